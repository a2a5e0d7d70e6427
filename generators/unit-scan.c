/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit-scan.h"

#include <string.h>
#include <strings.h>

#include "util/macro.h"

#define SETTING "Trireme" /* how all begin */

typedef struct Line {
        const char *p, *end; /* without leading and trailing white space */
} Line;

static bool is_space(char c) {
        return c == ' ' || c == '\t';
}

/* As PID 1 reads: a NUL and a carriage return end a line too. */
static bool is_end(char c) {
        return c == '\n' || c == '\r' || c == '\0';
}

static Line line_next(const char **text, const char *end) {
        const char *p = *text, *e;

        while (p < end && is_space(*p))
                p++;
        for (e = p; e < end && !is_end(*e);)
                e++;
        *text = e < end ? e + 1 : end;
        while (e > p && is_space(e[-1]))
                e--;
        return (Line) { p, e };
}

static bool line_begins(Line line, const char *word) {
        size_t n = strlen(word);

        return (size_t) (line.end - line.p) >= n && memcmp(line.p, word, n) == 0;
}

static bool is_word_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* [X-Trireme] in any state of repair, and what somebody wrote who meant it, but not [X-TriremeOther]. */
static bool line_is_our_section(Line line) {
        static const char *const names[] = { "X-Trireme", "XTrireme", "X_Trireme", "Trireme" };
        bool bracket = line.p < line.end && *line.p == '[';
        const char *p = line.p;

        while (p < line.end && (is_space(*p) || *p == '['))
                p++;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                size_t n = strlen(names[i]);
                const char *rest = p + n;

                if ((size_t) (line.end - p) < n || strncasecmp(p, names[i], n) != 0 || (rest < line.end && is_word_char(*rest)))
                        continue;
                while (!bracket && rest < line.end && (is_space(*rest) || *rest == ']'))
                        rest++;
                return bracket || rest == line.end;
        }
        return false;
}

/* Wherever it stands: outside of its section it is a fault. */
static bool line_is_our_setting(Line line) {
        const char *p = line.p;

        if (!line_begins(line, SETTING))
                return false;
        while (p < line.end && is_word_char(*p))
                p++;
        while (p < line.end && is_space(*p))
                p++;
        return p < line.end && *p == '=';
}

/* The value behind "word =", or false. */
static bool line_value(Line line, const char *word, Line *ret) {
        const char *p;

        if (!line_begins(line, word))
                return false;
        for (p = line.p + strlen(word); p < line.end && is_space(*p);)
                p++;
        if (p == line.end || *p != '=')
                return false;
        for (p++; p < line.end && is_space(*p);)
                p++;
        *ret = (Line) { p, line.end };
        return true;
}

static void each_word(Line line, UnitScanKey key, unit_scan_cb cb, void *userdata) {
        for (const char *p = line.p, *e; p < line.end; p = e) {
                while (p < line.end && (is_space(*p) || *p == '\\' || *p == '"' || *p == '\''))
                        p++;
                for (e = p; e < line.end && !is_space(*e) && *e != '\\' && *e != '"' && *e != '\'';)
                        e++;
                if (e > p)
                        cb(userdata, key, p, (size_t) (e - p));
        }
}

bool unit_scan(const char *text, size_t len, unit_scan_cb cb, void *userdata) {
        static const struct {
                const char *section, *word;
                UnitScanKey key;
        } keys[] = { { "[Socket]", "Service", UNIT_SCAN_SERVICE }, { "[Service]", "Sockets", UNIT_SCAN_SOCKET } };
        const char *end = text + len;
        int section = -1, continued = -1; /* index into keys; -1: of no interest */
        bool labelled = false;

        if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                text += 3;
        while (text < end) {
                Line line = line_next(&text, end), value;

                if (line.p == line.end || *line.p == '#' || *line.p == ';')
                        continue; /* a comment does not end a continuation */
                labelled |= line_is_our_section(line) || line_is_our_setting(line);
                if (continued >= 0)
                        value = line;
                else if (*line.p == '[') {
                        section = line_begins(line, keys[0].section) ? 0 : line_begins(line, keys[1].section) ? 1 : -1;
                        continue;
                } else if (section < 0 || !line_value(line, keys[section].word, &value))
                        continue;
                each_word(value, keys[section].key, cb, userdata);
                continued = line.end[-1] == '\\' ? section : -1;
        }
        return labelled;
}
