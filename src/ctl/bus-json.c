/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/output.h"

/* Steals v, also on failure. */
static int array_append(json_t *array, json_t *v) {
        return v && json_array_append_new(array, v) == 0 ? 0 : -ENOMEM;
}

static int bytes_to_json(sd_bus_message *m, json_t **ret) {
        char text[2 * 64 + 1] = "";
        const uint8_t *bytes;
        const void *p;
        json_t *v;
        size_t n;
        int r = sd_bus_message_read_array(m, 'y', &p, &n);

        if (r < 0 || 2 * n >= sizeof(text))
                return r < 0 ? r : -EBADMSG;
        bytes = p;
        for (size_t i = 0; i < n; i++)
                (void) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
        v = json_string(text);
        if (!v)
                return -ENOMEM;
        *ret = v;
        return 0;
}

static int basic_to_json(sd_bus_message *m, char type, json_t **ret) {
        union { const char *s; uint8_t y; int b; int16_t n; uint16_t q; int32_t i; uint32_t u; int64_t x; uint64_t t; double d; } u;
        int r = sd_bus_message_read_basic(m, type, &u);
        json_t *v;

        if (r < 0)
                return r;
        switch (type) {
        case 's': case 'o': case 'g': v = json_string(u.s); break;
        case 'b': v = json_boolean(u.b); break;
        case 'y': v = json_integer(u.y); break;
        case 'n': v = json_integer(u.n); break;
        case 'q': v = json_integer(u.q); break;
        case 'i': v = json_integer(u.i); break;
        case 'u': v = json_integer(u.u); break;
        case 'x': v = json_integer(u.x); break;
        case 't': v = u.t <= INT64_MAX ? json_integer((json_int_t) u.t) : json_null(); break; /* UINT64_MAX stands for "no limit" */
        case 'd': v = json_real(u.d); break;
        default: return -EBADMSG;
        }
        if (!v)
                return -ENOMEM;
        *ret = v;
        return 0;
}

static int entry_to_json(sd_bus_message *m, const char *contents, json_t *object) {
        const char *key;
        json_t *v;
        int r = sd_bus_message_enter_container(m, 'e', contents);

        if (r > 0)
                r = sd_bus_message_read(m, "s", &key);
        if (r > 0)
                r = bus_message_to_json(m, &v);
        if (r < 0)
                return r;
        if (json_object_set_new(object, key, v) < 0)
                return -ENOMEM;
        return sd_bus_message_exit_container(m);
}

/* Arrays and structs: whatever they hold, one after the other. */
static int container_to_json(sd_bus_message *m, char type, const char *contents, json_t **ret) {
        bool dict = type == 'a' && startswith(contents, "{s");
        _cleanup_(json_decrefp) json_t *container = dict ? json_object() : json_array();
        char entry[256];
        int r;

        if (!container)
                return -ENOMEM;
        if (dict && (size_t) snprintf(entry, sizeof(entry), "%.*s", (int) strlen(contents) - 2, contents + 1) >= sizeof(entry))
                return -EBADMSG;
        r = sd_bus_message_enter_container(m, type, contents);
        while (r > 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                json_t *v;

                if (dict)
                        r = entry_to_json(m, entry, container);
                else {
                        r = bus_message_to_json(m, &v);
                        if (r >= 0)
                                r = array_append(container, v);
                }
                if (r >= 0)
                        r = 1;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(container);
        return 0;
}

int bus_message_to_json(sd_bus_message *m, json_t **ret) {
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);

        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        if (type == 'a' && streq(contents, "y"))
                return bytes_to_json(m, ret);
        if (type == 'a' || type == 'r')
                return container_to_json(m, type, contents, ret);
        if (type != 'v')
                return basic_to_json(m, type, ret);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = bus_message_to_json(m, ret);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                json_decref(*ret);
        return r;
}
