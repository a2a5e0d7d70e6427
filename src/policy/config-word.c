/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Words as extract_first_word(EXTRACT_UNQUOTE|EXTRACT_CUNESCAPE) of systemd cuts them, since people know its quoting. */

#include <errno.h>
#include <strings.h>

#include "policy/config-file.h"

#define WHITESPACE " \t\n\r"

/* n hexadecimal (base 16) or octal (base 8) digits at s. */
static int digits(const char *s, size_t n, unsigned base, uint32_t *ret) {
        uint32_t value = 0;

        for (size_t i = 0; i < n; i++) {
                static const char alphabet[] = "0123456789abcdef";
                const char *p = s[i] ? strchr(alphabet, s[i] >= 'A' && s[i] <= 'F' ? s[i] + ('a' - 'A') : s[i]) : NULL;

                if (!p || (unsigned) (p - alphabet) >= base)
                        return -EINVAL;
                value = value * base + (uint32_t) (p - alphabet);
        }
        *ret = value;
        return 0;
}

static char *utf8_put(char *out, uint32_t c) {
        if (c < 0x80)
                *out++ = (char) c;
        else {
                unsigned n = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; /* continuation bytes */

                *out++ = (char) (((0xff00u >> (n + 1)) & 0xff) | c >> (6 * n));
                while (n-- > 0)
                        *out++ = (char) (0x80 | ((c >> (6 * n)) & 0x3f));
        }
        return out;
}

/* The escape behind a backslash at *s; writes at most 4 bytes, never more than it reads. NUL is refused: it would end the string early. */
static int unescape(const char **s, char **out) {
        static const char letters[] = "abfnrtv\\\"'s", bytes[] = "\a\b\f\n\r\t\v\\\"' ";
        const char *p = **s ? strchr(letters, **s) : NULL;
        size_t n = 0;
        uint32_t c;
        int r;

        if (p) {
                *(*out)++ = bytes[p - letters];
                (*s)++;
                return 0;
        }
        switch (**s) {
        case 'x': n = 2; break;
        case 'u': n = 4; break;
        case 'U': n = 8; break;
        }
        r = n > 0 ? digits(*s + 1, n, 16, &c) : digits(*s, 3, 8, &c);
        if (r < 0)
                return r;
        if (c == 0 || c > 0x10ffff || (n > 2 && c >= 0xd800 && c <= 0xdfff) || (n == 0 && c > 0xff))
                return -EINVAL;
        *s += n > 0 ? n + 1 : 3;
        if (n > 2)
                *out = utf8_put(*out, c);
        else
                *(*out)++ = (char) c;
        return 0;
}

int config_word(const char **s, char **ret) {
        const char *p = *s + strspn(*s, WHITESPACE);
        _cleanup_free_ char *word = NULL;
        char quote = '\0', *out;

        if (*p == '\0') {
                *s = p;
                *ret = NULL;
                return 0;
        }
        out = word = malloc(strlen(p) + 1);
        if (!word)
                return -ENOMEM;
        while (*p && (quote || !strchr(WHITESPACE, *p))) {
                char c = *p++;

                if (c == '\\') {
                        int r = unescape(&p, &out);

                        if (r < 0)
                                return r;
                } else if (quote ? c == quote : c == '"' || c == '\'')
                        quote = quote ? '\0' : c;
                else
                        *out++ = c;
        }
        if (quote)
                return -EINVAL;
        *out = '\0';
        *s = p;
        *ret = TAKE_PTR(word);
        return 1;
}

int config_bool(const char *s, bool *ret) {
        static const char *const words[][2] = { { "1", "0" }, { "yes", "no" }, { "y", "n" }, { "true", "false" }, { "t", "f" }, { "on", "off" } };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (int k = 0; k < 2; k++)
                        if (strcasecmp(s, words[i][k]) == 0) {
                                *ret = k == 0;
                                return 0;
                        }
        return -EINVAL;
}
