/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/psk.h"

#include <errno.h>
#include <stdbool.h>

#define PSK_BYTES 32u
#define PSK_TEXT_LEN 44u       /* 32 bytes in base64 with padding */
#define PSK_DISTINCT_MIN 16u   /* of 32 random bytes fewer than 16 distinct ones are rarer than 2^-60: a repeated or padded word */

static int base64_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static const char *psk_weakness(const uint8_t *psk) {
        bool seen[256] = {}, text = true;
        size_t distinct = 0;

        for (size_t i = 0; i < PSK_BYTES; i++) {
                distinct += !seen[psk[i]];
                seen[psk[i]] = true;
                text = text && psk[i] >= 0x20 && psk[i] < 0x7f;
        }
        if (text)
                return "it is text, not 32 random bytes; make one with: openssl rand -base64 32";
        return distinct < PSK_DISTINCT_MIN ? "it repeats itself and is not random; make one with: openssl rand -base64 32" : NULL;
}

int psk_parse(const char *text, size_t len, uint8_t ret[static 32], const char **ret_fault) {
        uint8_t psk[PSK_TEXT_LEN / 4 * 3];
        uint32_t bits = 0;

        if (len == PSK_TEXT_LEN + 1 && text[len - 1] == '\n')
                len--;
        if (len != PSK_TEXT_LEN || text[len - 1] != '=') {
                *ret_fault = "it is not 32 bytes in base64; make one with: openssl rand -base64 32";
                return -EINVAL;
        }
        for (size_t i = 0; i < PSK_TEXT_LEN; i++) {
                int v = i == PSK_TEXT_LEN - 1 ? 0 : base64_value(text[i]);

                if (v < 0) {
                        *ret_fault = "it is not base64";
                        return -EINVAL;
                }
                bits = bits << 6 | (uint32_t) v;
                if (i % 4 == 3)
                        for (size_t k = 0; k < 3; k++)
                                psk[i / 4 * 3 + k] = (uint8_t) (bits >> (16 - 8 * k));
        }
        *ret_fault = psk_weakness(psk);
        if (!*ret_fault)
                memcpy(ret, psk, PSK_BYTES);
        crypto_wipe(psk, sizeof(psk));
        return *ret_fault ? -EINVAL : 0;
}

static bool psk_known(const PskKeys *keys, int n, const PskKeys *key) {
        for (int i = 0; i < n; i++)
                if (keys[i].key_id == key->key_id)
                        return true;
        return false;
}

static int psk_add(const char *line, size_t len, PskKeys *keys, int n, const char **ret_fault) {
        uint8_t psk[PSK_BYTES];
        int r = psk_parse(line, len, psk, ret_fault);

        if (r < 0)
                return r;
        r = psk_keys_derive(psk, &keys[n]);
        crypto_wipe(psk, sizeof(psk));
        if (r >= 0 && psk_known(keys, n, &keys[n])) {
                *ret_fault = "the same key stands in it twice";
                return -EINVAL;
        }
        return r;
}

int psk_list_parse(const char *text, size_t len, PskKeys ret[static PSK_LINES_MAX], const char **ret_fault) {
        PskKeys keys[PSK_LINES_MAX] = {};
        int n = 0, r = 0;

        do {
                const char *newline = memchr(text, '\n', len);
                size_t line = newline ? (size_t) (newline - text) : len;

                if (n == PSK_LINES_MAX) {
                        *ret_fault = "it has more than four keys";
                        r = -EINVAL;
                } else
                        r = psk_add(text, line, keys, n++, ret_fault);
                line += newline ? 1 : 0;
                text += line;
                len -= line;
        } while (r >= 0 && len > 0);
        if (r >= 0)
                memcpy(ret, keys, sizeof(keys));
        crypto_wipe(keys, sizeof(keys));
        return r < 0 ? r : n;
}
