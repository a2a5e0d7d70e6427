/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdint.h>

#include "util/utf8.h"

/* The table of RFC 3629 section 4: overlong forms, surrogates and all above U+10FFFF are kept out by the narrower range of the second byte. */
static size_t utf8_sequence(const uint8_t *s, size_t n) {
        static const struct {
                uint8_t first_min, first_max, second_min, second_max, length;
        } rows[] = {
                { 0xc2, 0xdf, 0x80, 0xbf, 2 },
                { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                { 0xe1, 0xec, 0x80, 0xbf, 3 },
                { 0xed, 0xed, 0x80, 0x9f, 3 },
                { 0xee, 0xef, 0x80, 0xbf, 3 },
                { 0xf0, 0xf0, 0x90, 0xbf, 4 },
                { 0xf1, 0xf3, 0x80, 0xbf, 4 },
                { 0xf4, 0xf4, 0x80, 0x8f, 4 },
        };

        if (s[0] < 0x80)
                return 1;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                if (s[0] < rows[i].first_min || s[0] > rows[i].first_max)
                        continue;
                if (n < rows[i].length || s[1] < rows[i].second_min || s[1] > rows[i].second_max)
                        return 0;
                for (size_t k = 2; k < rows[i].length; k++)
                        if ((s[k] & 0xc0) != 0x80)
                                return 0;
                return rows[i].length;
        }
        return 0;
}

static bool is_control(const uint8_t *s) {
        return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0); /* C1 is U+0080 to U+009F: c2 80 to c2 9f */
}

bool utf8_is_printable(const char *s, size_t n) {
        const uint8_t *p = (const uint8_t *) s;

        while (n > 0) {
                size_t length = utf8_sequence(p, n);

                if (length == 0 || is_control(p))
                        return false;
                p += length;
                n -= length;
        }
        return true;
}

size_t utf8_sequence_length(const char *s, size_t n) {
        return n > 0 ? utf8_sequence((const uint8_t *) s, n) : 0;
}
