/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1) /* NUL included */

/* RFC 4648 section 4, with padding; NUL-terminated. */
void base64_encode(const uint8_t *data, size_t n, char *ret);
