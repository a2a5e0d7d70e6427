/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "policy/specifier.h"

/* The unit name's parts as systemd.unit(5) names them: PREFIX[@INSTANCE].TYPE; *ret is a piece of unit. */
static const char *unit_part(const char *unit, char specifier, size_t *ret_n) {
        const char *end, *at, *dash;
        size_t n_name;

        if (!unit)
                return NULL;
        end = strrchr(unit, '.');
        n_name = end ? (size_t) (end - unit) : strlen(unit);
        at = memchr(unit, '@', n_name);

        if (specifier == 'n' || specifier == 'N') {
                *ret_n = specifier == 'n' ? strlen(unit) : n_name;
                return unit;
        }
        if (specifier == 'i') {
                *ret_n = at ? n_name - (size_t) (at + 1 - unit) : 0;
                return at ? at + 1 : NULL;
        }
        *ret_n = at ? (size_t) (at - unit) : n_name;
        dash = specifier == 'j' ? memrchr(unit, '-', *ret_n) : NULL;
        if (dash) {
                *ret_n -= (size_t) (dash + 1 - unit);
                return dash + 1;
        }
        return unit;
}

static const char *specifier_value(const UnitSpecifiers *s, char specifier, size_t *ret_n) {
        const char *value;

        if (strchr("nNpij", specifier))
                return unit_part(s->unit, specifier, ret_n);
        value = specifier == 'H' ? s->hostname : specifier == 'm' ? s->machine_id : "%";
        *ret_n = value ? strlen(value) : 0;
        return value;
}

int specifier_expand(const char *word, const UnitSpecifiers *s, char **ret, const char **ret_fault) {
        _cleanup_free_ char *text = strdup("");
        size_t len = 0;

        if (!text)
                return -ENOMEM;
        while (*word) {
                size_t n = strcspn(word, "%");
                const char *piece = word;
                char *p;

                if (n == 0) {
                        if (word[1] == '\0' || !strchr("nNpijHm%", word[1])) {
                                *ret_fault = "unknown specifier: %n %N %p %i %j %H %m are known; write %% for a percent sign";
                                return -EINVAL;
                        }
                        piece = specifier_value(s, word[1], &n);
                        if (!piece || n == 0) {
                                *ret_fault = word[1] == 'i' ? "\"%i\" is empty: the unit is not an instance of a template" : "a specifier has no value here";
                                return -EINVAL;
                        }
                        for (size_t i = 0; i < n; i++)
                                if (strchr(" \t\"'=!|*,", piece[i])) {
                                        *ret_fault = "what a specifier stands for has one of the characters space \" ' = ! | * ,";
                                        return -EINVAL;
                                }
                        word += 2;
                } else
                        word += n;
                p = realloc(text, len + n + 1);
                if (!p)
                        return -ENOMEM;
                text = p;
                memcpy(text + len, piece, n);
                len += n;
                text[len] = '\0';
        }
        *ret = TAKE_PTR(text);
        return 0;
}
