/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "util/macro.h"

#define PSK_LINES_MAX 4u
#define PSK_TEXT_MAX 512u   /* a trireme.psk that is longer is none */

/* One line of a trireme.psk: 32 bytes in base64, one newline allowed. -EINVAL with *ret_fault (static text) when it is not that, or is no random key. */
_must_use_ int psk_parse(const char *text, size_t len, uint8_t ret[static 32], const char **ret_fault);

/* A whole trireme.psk: the first line is this node's own key, the others are accepted as well. The number of keys; -EINVAL with *ret_fault, -EIO. */
_must_use_ int psk_list_parse(const char *text, size_t len, PskKeys ret[static PSK_LINES_MAX], const char **ret_fault);
