/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/output.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/tags.h"
#include "util/log.h"

static void scols_table_unrefp(struct libscols_table **t) {
        scols_unref_table(*t);
}

int print_json(const Options *o, const json_t *v) {
        size_t flags = o->json == JSON_PRETTY ? JSON_INDENT(8) : JSON_COMPACT;

        if (json_dumpf(v, stdout, flags | JSON_ENCODE_ANY) < 0 || putchar('\n') == EOF || fflush(stdout) == EOF)
                return log_error_errno(-EIO, "Cannot write");
        return 0;
}

bool colors_wanted(void) {
        const char *wanted = getenv("SYSTEMD_COLORS"), *none = getenv("NO_COLOR"), *term = getenv("TERM");

        if (wanted && *wanted)
                return !streq(wanted, "0") && !streq(wanted, "no") && !streq(wanted, "false") && !streq(wanted, "off");
        return isatty(STDOUT_FILENO) && !(none && *none) && term && *term && !streq(term, "dumb");
}

/* NULL: none. */
static const char *word_color(const char *word) {
        static const char *const words[][2] = {
                { "denied", "red" }, { "DENIED", "red" }, { "reject", "red" }, { "fail", "red" },
                { "observing", "yellow" }, { "would-reject", "yellow" }, { "warn", "yellow" },
                { "enforcing", "green" }, { "allowed", "green" }, { "ok", "green" },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(word, words[i][0]))
                        return words[i][1];
        return NULL;
}

void print_word(const Options *o, const char *word, int width) {
        const char *color = o->colors ? word_color(word) : NULL;

        if (color)
                printf("\x1b[%sm%-*s\x1b[0m", streq(color, "red") ? "31" : streq(color, "yellow") ? "33" : "32", width, word);
        else
                printf("%-*s", width, word);
}

void print_text(const char *s) {
        _cleanup_free_ char *escaped = s && *s ? text_printable(s) : NULL;

        fputs(escaped ?: "-", stdout);
}

char *json_to_text(const json_t *v) {
        _cleanup_free_ char *raw = NULL;
        char *joined = NULL;
        size_t size, i;
        json_t *item;
        FILE *f;

        switch (json_typeof(v)) {
        case JSON_STRING: return text_printable(json_string_value(v));
        case JSON_TRUE: return strdup("yes");
        case JSON_FALSE: return strdup("no");
        case JSON_NULL: return strdup("");
        case JSON_ARRAY: break;
        default:
                raw = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
                return raw ? text_printable(raw) : NULL;
        }
        f = open_memstream(&joined, &size);
        if (!f)
                return NULL;
        json_array_foreach(v, i, item) {
                _cleanup_free_ char *s = json_to_text(item);

                fprintf(f, "%s%s", i > 0 ? " " : "", s ?: "");
        }
        if (fclose(f) != 0) {
                free(joined);
                return NULL;
        }
        return joined;
}

void print_field(const char *name, const json_t *v) {
        bool list = json_is_array(v);

        for (size_t i = 0; i < (list ? json_array_size(v) : 1); i++) {
                _cleanup_free_ char *s = v ? json_to_text(list ? json_array_get(v, i) : v) : NULL;

                if (s && *s)
                        printf("%12s%c %s\n", i == 0 ? name : "", i == 0 ? ':' : ' ', s);
        }
}

static int line_fill(const Options *o, struct libscols_line *line, size_t column, const char *text) {
        const char *color = o->colors ? word_color(text) : NULL;

        if (scols_line_set_data(line, column, text) < 0)
                return -ENOMEM;
        return color && scols_cell_set_color(scols_line_get_cell(line, column), color) < 0 ? -ENOMEM : 0;
}

static int table_fill(const Options *o, struct libscols_table *t, const json_t *rows, const Column *columns, size_t n_columns) {
        json_t *row;
        size_t i;

        json_array_foreach(rows, i, row) {
                struct libscols_line *line = scols_table_new_line(t, NULL);

                if (!line)
                        return -ENOMEM;
                for (size_t j = 0; j < n_columns; j++) {
                        json_t *v = json_object_get(row, columns[j].key);
                        _cleanup_free_ char *s = v ? json_to_text(v) : NULL;

                        if (line_fill(o, line, j, s && *s ? s : "-") < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

int print_table(const Options *o, const json_t *rows, const Column *columns, size_t n_columns, const char *what) {
        _cleanup_(scols_table_unrefp) struct libscols_table *t = scols_new_table();
        int r = t ? 0 : -ENOMEM;

        for (size_t j = 0; r == 0 && j < n_columns; j++) {
                struct libscols_column *column = scols_table_new_column(t, columns[j].title, columns[j].width, columns[j].truncate ? SCOLS_FL_TRUNC : 0);

                if (!column || scols_column_set_safechars(column, "\\") < 0) /* it would escape our escapes again */
                        r = -ENOMEM;
        }
        if (r == 0)
                r = table_fill(o, t, rows, columns, n_columns);
        if (r < 0)
                return log_error_errno(r, "Cannot print");
        (void) scols_table_enable_noheadings(t, o->no_legend);
        (void) scols_table_enable_colors(t, o->colors);
        if (json_array_size(rows) > 0 && scols_print_table(t) < 0)
                return log_error_errno(-EIO, "Cannot print");
        if (!o->no_legend)
                printf("%s%zu %s listed.\n", json_array_size(rows) > 0 ? "\n" : "", json_array_size(rows), what);
        return 0;
}
