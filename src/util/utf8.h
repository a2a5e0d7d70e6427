/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is s[0..n) well-formed UTF-8 (RFC 3629) without control characters (Unicode category Cc: C0, DEL, C1)? The empty string is. */
bool utf8_is_printable(const char *s, size_t n);
/* Length in bytes of the sequence that begins at s (control characters too), 0 when it is none. */
size_t utf8_sequence_length(const char *s, size_t n);
