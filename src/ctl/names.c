/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"
#include "policy/tags.h"
#include "util/clock.h"
#include "util/log.h"

#define UNIT_NAME_MAX 255u

int unit_name_mangle(const char *name, char **ret) {
        static const char *const suffixes[] = { ".service", ".socket", ".slice", ".scope" };
        static const char *const others[] = { ".timer", ".target", ".mount", ".automount", ".path", ".swap", ".device" };
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@");
        const char *dot = strrchr(name, '.');
        bool suffixed = false;
        char *s;

        for (size_t i = 0; dot && i < ELEMENTSOF(suffixes); i++)
                suffixed |= streq(dot, suffixes[i]);
        if (n == 0 || name[n] || n + (suffixed ? 0 : strlen(".service")) > UNIT_NAME_MAX) {
                _cleanup_free_ char *escaped = text_escape(name);

                log_error("Not a unit name: \"%s\"", escaped ?: "");
                return -EINVAL;
        }
        for (size_t i = 0; dot && i < ELEMENTSOF(others); i++)
                if (streq(dot, others[i])) {
                        log_error("\"%s\": only services, sockets, slices and scopes take part in connections", name);
                        return -EINVAL;
                }
        if (asprintf(&s, "%s%s", name, suffixed ? "" : ".service") < 0)
                return log_error_errno(-ENOMEM, "Cannot read the unit name");
        *ret = s;
        return 0;
}

static const char *span_unit(const char *s, usec_t *ret) {
        static const struct { const char *name; usec_t usec; } units[] = { /* longer names first */
                { "seconds", USEC_PER_SEC }, { "second", USEC_PER_SEC }, { "sec", USEC_PER_SEC }, { "minutes", 60 * USEC_PER_SEC },
                { "minute", 60 * USEC_PER_SEC }, { "min", 60 * USEC_PER_SEC }, { "msec", USEC_PER_MSEC }, { "ms", USEC_PER_MSEC },
                { "hours", 3600 * USEC_PER_SEC }, { "hour", 3600 * USEC_PER_SEC }, { "hr", 3600 * USEC_PER_SEC },
                { "days", 86400 * USEC_PER_SEC }, { "day", 86400 * USEC_PER_SEC },
                { "s", USEC_PER_SEC }, { "m", 60 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC }, { "d", 86400 * USEC_PER_SEC },
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (startswith(s, units[i].name)) {
                        *ret = units[i].usec;
                        return s + strlen(units[i].name);
                }
        return NULL;
}

static int bad_span(const char *s) {
        log_error("Not a time span: \"%s\". Try 90s, 10min or infinity.", s);
        return -EINVAL;
}

int parse_span(const char *s, uint64_t *ret_usec) {
        const char *p = s + strspn(s, " ");
        usec_t sum = 0;

        if (streq(p, "infinity")) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }
        do {
                usec_t unit = USEC_PER_SEC, part;
                unsigned long long n;
                const char *rest;
                char *end;

                errno = 0;
                n = isdigit((unsigned char) *p) ? strtoull(p, &end, 10) : 0;
                if (!isdigit((unsigned char) *p) || errno != 0)
                        return bad_span(s);
                p = end + strspn(end, " ");
                rest = span_unit(p, &unit);
                if (!rest && *p)
                        return bad_span(s);
                if (__builtin_mul_overflow(n, unit, &part) || __builtin_add_overflow(sum, part, &sum) || sum == USEC_INFINITY)
                        return bad_span(s);
                p = rest ?: p;
                p += strspn(p, " ");
        } while (*p);
        if (sum == 0)
                return bad_span(s);
        *ret_usec = sum;
        return 0;
}

int check_labels(const char *const *labels, size_t n_labels) {
        _cleanup_(tag_set_done) TagSet set = {};

        for (size_t i = 0; i < n_labels; i++) {
                _cleanup_free_ char *escaped = NULL;
                const char *fault = NULL;
                int r = label_parse(labels[i], &set, &fault);

                if (r >= 0)
                        continue;
                escaped = text_escape(labels[i]);
                log_error("Not a label: \"%s\": %s", escaped ?: "", fault ?: strerror(-r));
                return r;
        }
        return 0;
}
