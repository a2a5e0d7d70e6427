/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit-name.h"

#include <stdio.h>
#include <string.h>

#include "util/macro.h"

/* prefix[@instance].suffix; a bare type has a suffix only. Lengths, because the parts are not NUL-terminated. */
typedef struct NameParts {
        const char *prefix, *instance, *suffix; /* instance: NULL without "@"; suffix with its dot, or the bare type */
        size_t prefix_len, instance_len;
} NameParts;

static NameParts name_split(const char *name) {
        const char *dot = strrchr(name, '.'), *at = strchr(name, '@');
        NameParts p = { .prefix = name, .suffix = dot ?: name };

        if (!dot)
                return p;
        if (at && at < dot) {
                p.instance = at + 1;
                p.instance_len = (size_t) (dot - at - 1);
                p.prefix_len = (size_t) (at - name);
        } else
                p.prefix_len = (size_t) (dot - name);
        return p;
}

bool unit_name_has_suffix(const char *name, const char *suffix) {
        const char *s = name_split(name).suffix;

        return streq(s, suffix) || (s == name && streq(s, suffix + 1));
}

bool unit_name_is_labellable(const char *name) {
        static const char *const suffixes[] = { ".service", ".socket", ".slice", ".scope" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (unit_name_has_suffix(name, suffixes[i]))
                        return strlen(name) < UNIT_NAME_MAX;
        return false;
}

bool unit_name_is_instance_of(const char *name, const char *template) {
        NameParts n = name_split(name), t = name_split(template);

        return n.instance && n.instance_len > 0 && t.instance && t.instance_len == 0 && streq(n.suffix, t.suffix) &&
               n.prefix_len == t.prefix_len && memcmp(n.prefix, t.prefix, n.prefix_len) == 0;
}

bool dropin_name_covers(const char *name, const char *unit) {
        NameParts n = name_split(name), u = name_split(unit);
        const char *specifier = strchr(unit, '%');

        if (n.suffix == name)
                return streq(name, u.suffix + (u.suffix != unit));
        if (!streq(n.suffix, u.suffix))
                return false;
        if (specifier)
                return strncmp(name, unit, MIN((size_t) (specifier - unit), n.prefix_len)) == 0;
        if (!n.instance != !u.instance)
                return false;
        if (n.instance && n.instance_len > 0 && (n.instance_len != u.instance_len || memcmp(n.instance, u.instance, n.instance_len) != 0))
                return false;
        if (n.prefix_len > u.prefix_len || memcmp(n.prefix, u.prefix, n.prefix_len) != 0)
                return false;
        return n.prefix_len == u.prefix_len || (n.prefix_len > 0 && n.prefix[n.prefix_len - 1] == '-');
}

bool dropin_name_to_socket(const char *service, bool accept, char ret[static UNIT_NAME_MAX]) {
        NameParts p = name_split(service);
        int n;

        if (!unit_name_has_suffix(service, ".service") || (accept && (!p.instance || p.instance_len > 0)))
                return false;
        if (p.suffix == service)
                n = snprintf(ret, UNIT_NAME_MAX, "socket");
        else
                n = snprintf(ret, UNIT_NAME_MAX, "%.*s.socket", (int) (accept ? p.prefix_len : (size_t) (p.suffix - service)), service);
        return n < UNIT_NAME_MAX;
}
