/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdbool.h>
#include <stdio.h>

#include "policy/json-locate.h"
#include "util/macro.h"

/* The text is known to be JSON, so no step checks syntax; each only keeps inside the bounds. */
typedef struct Cursor {
        const char *p, *end;
} Cursor;

static void skip_blank(Cursor *c) {
        while (c->p < c->end && memchr(" \t\r\n", *c->p, 4))
                c->p++;
}

static void skip_string(Cursor *c) {
        for (c->p++; c->p < c->end && *c->p != '"'; c->p++)
                if (*c->p == '\\')
                        c->p++;
        c->p = c->p < c->end ? c->p + 1 : c->end;
}

static void skip_value(Cursor *c) {
        unsigned depth = 0;

        do {
                skip_blank(c);
                if (c->p >= c->end)
                        return;
                if (*c->p == '"')
                        skip_string(c);
                else if (memchr("{}[],:", *c->p, 6)) {
                        depth += *c->p == '{' || *c->p == '[';
                        depth -= depth > 0 && (*c->p == '}' || *c->p == ']');
                        c->p++;
                } else
                        while (c->p < c->end && !memchr("{}[],: \t\r\n", *c->p, 10))
                                c->p++;
        } while (depth > 0);
}

/* At the key of the next member: is it this one? A key written with escapes is not recognized. */
static bool key_is(const Cursor *c, const char *key) {
        size_t n = strlen(key);

        return (size_t) (c->end - c->p) > n + 1 && memcmp(c->p + 1, key, n) == 0 && c->p[n + 1] == '"';
}

static void step(Cursor *c, const JsonPath *path) {
        Cursor at = *c;

        at.p++; /* { or [ */
        for (size_t i = 0; at.p < at.end; i++) {
                skip_blank(&at);
                if (path->key ? at.p < at.end && key_is(&at, path->key) : i == path->index)
                        break;
                if (path->key) {
                        skip_string(&at);
                        skip_blank(&at);
                        at.p++; /* : */
                }
                skip_value(&at);
                skip_blank(&at);
                if (at.p >= at.end || *at.p != ',')
                        return; /* not there */
                at.p++;
        }
        *c = at;
}

/* Of a member, leaves the cursor at its key; the value is reached when it is stepped into. */
static void descend(Cursor *c, const JsonPath *path) {
        if (!path)
                return;
        descend(c, path->up);
        if (path->up && path->up->key && c->p < c->end && *c->p == '"') {
                skip_string(c);
                skip_blank(c);
                c->p++;
                skip_blank(c);
        }
        if (c->p < c->end && (*c->p == '{' || *c->p == '['))
                step(c, path);
}

void json_locate(const char *text, size_t size, const JsonPath *path, unsigned *ret_line, unsigned *ret_column) {
        Cursor c = { text, text + size };
        unsigned line = 1, column = 1;

        skip_blank(&c);
        descend(&c, path);
        for (const char *p = text; p < c.p && p < c.end; p++)
                if (*p == '\n') {
                        line++;
                        column = 1;
                } else
                        column++;
        *ret_line = line;
        *ret_column = column;
}

char *json_path_format(const JsonPath *path) {
        _cleanup_free_ char *up = NULL;
        char *text;
        int r;

        if (!path)
                return strdup("");
        up = json_path_format(path->up);
        if (!up)
                return NULL;
        if (path->key)
                r = asprintf(&text, "%s%s%s", up, *up ? "." : "", path->key);
        else
                r = asprintf(&text, "%s[%zu]", up, path->index);
        return r >= 0 ? text : NULL;
}
