/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What triremectl prints: JSON in the mode asked for, tables, and lines. Text of others (tags, unit names) comes out escaped, so that it
 * cannot drive the terminal; backslashes stay, since tags are escaped by the enforcer and unit names by systemd. */

#include <jansson.h>
#include <sys/types.h>

#include "ctl/ctl.h"
#include "util/macro.h"

int print_json(const Options *o, const json_t *v); /* JSON_OFF is taken for JSON_SHORT. 0, -EIO */

/* Escaped text to stdout; NULL or "" prints "-". */
void print_text(const char *s);

/* Is stdout a terminal that shows colours, and nobody against it ($SYSTEMD_COLORS, $NO_COLOR)? To be asked before there is a pager. */
bool colors_wanted(void);
/* A word that says how good something is, in its colour: "allowed", "denied", "fail"; others as they are. width: padded to, as printf's "%-*s". */
void print_word(const Options *o, const char *word, int width);
/* "%*s: value", right-aligned like systemctl status; an array's items on lines of their own. Nothing for null, "" or an empty array. */
void print_field(const char *name, const json_t *v);
/* As one line: an array's items joined by spaces. Newly allocated, escaped. */
char *json_to_text(const json_t *v);

/* A string of an object; "" if it has none of that name. Borrowed. */
static inline const char *json_text(const json_t *o, const char *key) {
        return json_string_value(json_object_get(o, key)) ?: "";
}

typedef struct Column {
        const char *title, *key; /* key: of the row's object */
        double width;            /* hint, below 1 a share */
        bool truncate;
} Column;
/* rows: array of objects. what: "units", for the closing line. */
int print_table(const Options *o, const json_t *rows, const Column *columns, size_t n_columns, const char *what);

/* Lets stdout run through a pager if it is a terminal and the options allow it. Returns its process, or 0; pager_close() waits for it. */
pid_t pager_open(const Options *o);
void pager_close(pid_t pager);

static inline void pager_closep(pid_t *pager) {
        pager_close(*pager);
}
