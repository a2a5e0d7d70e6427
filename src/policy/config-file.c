/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The reader follows config_parse() of systemd's src/shared/conf-parser.c line by line, so that it sees a file as PID 1 does, and names what PID 1 swallows. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "policy/config-file.h"
#include "policy/tags.h"
#include "util/array.h"
#include "util/utf8.h"

#define WHITESPACE " \t\n\r"

/* ---- errors ---- */

static void config_error_done(ConfigError *e) {
        free(e->path);
        free(e->key);
        free(e->text);
}

void config_errors_done(ConfigErrors *e) {
        for (size_t i = 0; i < e->n_errors; i++)
                config_error_done(e->errors + i);
        free(e->errors);
        *e = (ConfigErrors) {};
}

void config_errors_cut(ConfigErrors *e, size_t n_errors, size_t n_omitted) {
        while (e->n_errors > n_errors)
                config_error_done(e->errors + --e->n_errors);
        e->n_omitted = n_omitted;
}

int config_errors_add(ConfigErrors *e, const char *path, unsigned line, unsigned column, const char *key, const char *format, ...) {
        ConfigError error = { .line = line, .column = column };
        va_list ap;
        int r;

        if (e->n_errors >= CONFIG_ERRORS_MAX) {
                e->n_omitted++;
                return 0;
        }
        va_start(ap, format);
        r = vasprintf(&error.text, format, ap);
        va_end(ap);
        if (r < 0)
                return -ENOMEM;
        error.path = strdup(path);
        error.key = key ? strdup(key) : NULL;
        if (!error.path || (key && !error.key) || !ARRAY_GROW(e->errors, e->n_errors)) {
                config_error_done(&error);
                return -ENOMEM;
        }
        e->errors[e->n_errors++] = error;
        return 0;
}

char *config_error_format(const ConfigError *error) {
        char where[32] = "", *text;
        _cleanup_free_ char *key = NULL;

        if (error->key) {
                key = tag_escape(error->key);
                if (!key)
                        return NULL;
        }
        if (error->column > 0)
                snprintf(where, sizeof(where), ":%u:%u", error->line, error->column);
        else if (error->line > 0)
                snprintf(where, sizeof(where), ":%u", error->line);
        return asprintf(&text, "%s%s: %s%s%s", error->path, where, key ? key : "", key ? "=: " : "", error->text) >= 0 ? text : NULL;
}

static char *errors_join(const ConfigErrors *e, const char *separator) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && i < e->n_errors; i++) {
                _cleanup_free_ char *one = config_error_format(e->errors + i), *old = TAKE_PTR(text);

                if (!one || asprintf(&text, "%s%s%s", old, i > 0 ? separator : "", one) < 0)
                        return text = NULL;
        }
        if (text && e->n_omitted > 0) {
                _cleanup_free_ char *old = TAKE_PTR(text);

                if (asprintf(&text, "%s%s(%zu more)", old, separator, e->n_omitted) < 0)
                        return text = NULL;
        }
        return TAKE_PTR(text);
}

char *config_errors_format(const ConfigErrors *e) {
        return errors_join(e, "\n");
}

char *config_errors_format_line(const ConfigErrors *e) {
        return errors_join(e, "; ");
}

const char *config_fault_text(ConfigFault fault) {
        static const char *const texts[_CONFIG_FAULT_MAX] = {
                [CONFIG_FAULT_NONE] = "no fault",
                [CONFIG_FAULT_UTF8] = "bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8",
                [CONFIG_FAULT_SECTION] = "a section header without \"]\": systemd ignores this file from here on; add the bracket",
                [CONFIG_FAULT_TOO_LONG] = "a line of more than 1 MiB: systemd ignores this file from here on; split the line",
                [CONFIG_FAULT_HIDDEN_END] = "a NUL or carriage return within a line, where systemd ends the line; remove it",
                [CONFIG_FAULT_CARRIAGE_RETURN] = "lines end with a carriage return; save the file with Unix line ends (LF)",
                [CONFIG_FAULT_BOM] = "the file begins with a byte order mark; save it as plain UTF-8",
        };

        return texts[(unsigned) fault < _CONFIG_FAULT_MAX ? fault : CONFIG_FAULT_NONE];
}

/* ---- lines ---- */

void config_reader_init(ConfigReader *r, const ConfigFile *file) {
        *r = (ConfigReader) { .file = file };
}

void config_reader_done(ConfigReader *r) {
        free(r->section);
        free(r->buffer);
        *r = (ConfigReader) {};
}

/* U+FDD0 to U+FDEF and the last two code points of each plane: well-formed, but systemd takes them for no text. */
static bool is_noncharacter(const char *text, size_t n) {
        const unsigned char *s = (const unsigned char *) text;

        if (n == 3)
                return s[0] == 0xef && ((s[1] == 0xb7 && s[2] >= 0x90 && s[2] <= 0xaf) || (s[1] == 0xbf && s[2] >= 0xbe));
        return n == 4 && (s[1] & 0xf) == 0xf && s[2] == 0xbf && s[3] >= 0xbe;
}

static bool is_utf8(const char *s, size_t n) {
        while (n > 0) {
                size_t length = utf8_sequence_length(s, n);

                if (length == 0 || is_noncharacter(s, length))
                        return false;
                s += length;
                n -= length;
        }
        return true;
}

typedef struct PhysicalLine {
        const char *s; /* without line end and byte order mark */
        size_t n;
        bool comment;
        ConfigFault fault;
} PhysicalLine;

/* Comments may have any byte but those that PID 1 takes for the end of a line. */
static ConfigFault line_fault(const PhysicalLine *p) {
        if (p->n > CONFIG_LINE_MAX)
                return CONFIG_FAULT_TOO_LONG;
        if (memchr(p->s, '\0', p->n) || memchr(p->s, '\r', p->n))
                return CONFIG_FAULT_HIDDEN_END;
        return p->comment || is_utf8(p->s, p->n) ? CONFIG_FAULT_NONE : CONFIG_FAULT_UTF8;
}

/* false at the end. */
static bool next_physical(ConfigReader *r, PhysicalLine *ret) {
        size_t left = r->file->size - r->offset, blank = 0;
        PhysicalLine p = {};
        bool crlf, bom;
        const char *end;

        if (left == 0)
                return false;
        p.s = (const char *) r->file->data + r->offset;
        end = memchr(p.s, '\n', left);
        p.n = end ? (size_t) (end - p.s) : left;
        r->offset += p.n + (end ? 1 : 0);
        r->n_lines++;

        bom = r->n_lines == 1 && p.n >= 3 && memcmp(p.s, "\xef\xbb\xbf", 3) == 0;
        if (bom) {
                p.s += 3;
                p.n -= 3;
        }
        crlf = p.n > 0 && p.s[p.n - 1] == '\r';
        if (crlf)
                p.n--;
        while (blank < p.n && memchr(WHITESPACE, p.s[blank], strlen(WHITESPACE)))
                blank++;
        p.comment = blank < p.n && (p.s[blank] == '#' || p.s[blank] == ';');
        p.fault = line_fault(&p);
        if (p.fault == CONFIG_FAULT_NONE)
                p.fault = bom ? CONFIG_FAULT_BOM : crlf ? CONFIG_FAULT_CARRIAGE_RETURN : CONFIG_FAULT_NONE;
        *ret = p;
        return true;
}

static int buffer_append(ConfigReader *r, const char *s, size_t n) {
        char *p = realloc(r->buffer, r->n_buffer + n + 1);

        if (!p)
                return -ENOMEM;
        r->buffer = p;
        if (n > 0)
                memcpy(p + r->n_buffer, s, n);
        r->n_buffer += n;
        p[r->n_buffer] = '\0';
        return 0;
}

/* Does s end with an odd number of backslashes? */
static bool continues(const char *s, size_t n) {
        bool escaped = false;

        for (size_t i = 0; i < n; i++)
                escaped = !escaped && s[i] == '\\';
        return escaped;
}

static char *strip(char *s) {
        char *end;

        s += strspn(s, WHITESPACE);
        end = s + strlen(s);
        while (end > s && strchr(WHITESPACE, end[-1]))
                *--end = '\0';
        return s;
}

static int set_section(ConfigReader *r, const char *name, size_t n) {
        char *p = strndup(name, n);

        if (!p)
                return -ENOMEM;
        free(r->section);
        r->section = p;
        return 0;
}

/* Cuts the logical line in the buffer, which is not blank. */
static int cut_line(ConfigReader *r, ConfigLine *line, ConfigFault *fault) {
        char *s = strip(r->buffer), *equal;

        line->text = s;
        if (*s == '[') {
                size_t n = strlen(s);
                bool closed = s[n - 1] == ']';
                /* A header that PID 1 does not understand still says what was meant by the lines that follow. */
                int q = set_section(r, s + 1, n - 1 - closed);

                if (q < 0)
                        return q;
                line->header = closed;
                if (closed)
                        line->text = r->section;
                else
                        *fault = CONFIG_FAULT_SECTION;
        } else {
                equal = strchr(s, '=');
                if (equal) {
                        *equal = '\0';
                        line->key = strip(s);
                        line->value = strip(equal + 1);
                }
        }
        line->section = r->section;
        return 1;
}

static int lost_line(ConfigReader *r, const PhysicalLine *p, ConfigFault fault, ConfigLine *ret, ConfigFault *ret_fault) {
        int q;

        r->n_buffer = 0;
        q = buffer_append(r, p->s, MIN(p->n, (size_t) 80));
        if (q < 0)
                return q;
        *ret = (ConfigLine) { .line = r->n_lines, .section = r->section, .text = r->buffer };
        *ret_fault = fault;
        return 1;
}

int config_reader_next(ConfigReader *r, ConfigLine *ret, ConfigFault *ret_fault) {
        ConfigFault soft = CONFIG_FAULT_NONE;
        ConfigLine line = {};
        bool pending = false;
        PhysicalLine p;
        int q;

        r->n_buffer = 0;
        while (next_physical(r, &p)) {
                if (!pending)
                        line = (ConfigLine) { .line = r->n_lines, .section = r->section };
                if (p.fault == CONFIG_FAULT_BOM || p.fault == CONFIG_FAULT_CARRIAGE_RETURN)
                        soft = soft ? soft : p.fault;
                else if (p.fault != CONFIG_FAULT_NONE)
                        return lost_line(r, &p, p.fault, ret, ret_fault);
                if (p.comment)
                        continue;
                q = buffer_append(r, p.s, p.n);
                if (q < 0)
                        return q;
                if (r->n_buffer > CONFIG_LINE_MAX)
                        return lost_line(r, &p, CONFIG_FAULT_TOO_LONG, ret, ret_fault);
                pending = continues(p.s, p.n);
                if (pending)
                        r->buffer[r->n_buffer - 1] = ' ';
                else if (strspn(r->buffer, WHITESPACE) < r->n_buffer)
                        break;
                else
                        r->n_buffer = 0;
        }
        if (r->n_buffer > 0 && strspn(r->buffer, WHITESPACE) < r->n_buffer) {
                q = cut_line(r, &line, &soft);
                if (q < 0)
                        return q;
        } else if (soft == CONFIG_FAULT_NONE)
                return 0;
        *ret = line;
        *ret_fault = soft;
        return 1;
}
