/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/base64.h"

void base64_encode(const uint8_t *data, size_t n, char *ret) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        for (size_t i = 0; i < n; i += 3) {
                size_t left = n - i;
                uint32_t v = (uint32_t) data[i] << 16 | (left > 1 ? (uint32_t) data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0u);

                *ret++ = digits[v >> 18];
                *ret++ = digits[v >> 12 & 63];
                *ret++ = left > 1 ? digits[v >> 6 & 63] : '=';
                *ret++ = left > 2 ? digits[v & 63] : '=';
        }
        *ret = '\0';
}
