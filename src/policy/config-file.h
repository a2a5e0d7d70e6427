/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files in systemd.syntax(7), read as PID 1 reads them (conf-parser.c): comments, '\' continuation, sections, KEY=VALUE. Unit files and trireme.conf share this.
 * Nothing is opened here: the caller brings the bytes. Faults are collected, not printed. */

#include <stdbool.h>
#include <stddef.h>

#include "util/macro.h"

#define CONFIG_ERRORS_MAX 64u            /* more faults than a person reads at once; the rest is counted */
#define CONFIG_LINE_MAX (1024u * 1024u)  /* systemd's LONG_LINE_MAX: PID 1 gives up on a file with a longer line */

/* Borrowed: both must live as long as whatever is parsed from them is being parsed. */
typedef struct ConfigFile {
        const char *path; /* for messages and rule names */
        const void *data;
        size_t size;
} ConfigFile;

typedef struct ConfigError {
        char *path;
        unsigned line; /* 1-based; 0: the file as a whole */
        unsigned column; /* 1-based; 0: not known */
        char *key;     /* NULL: not about one setting */
        char *text;    /* what is wrong and what to do */
} ConfigError;

typedef struct ConfigErrors {
        ConfigError *errors;
        size_t n_errors;
        size_t n_omitted; /* beyond CONFIG_ERRORS_MAX */
} ConfigErrors;

void config_errors_done(ConfigErrors *e);
_must_use_ int config_errors_add(ConfigErrors *e, const char *path, unsigned line, unsigned column, const char *key, const char *format, ...) _printf_(6, 7);
void config_errors_cut(ConfigErrors *e, size_t n_errors, size_t n_omitted); /* forgets what came after */
/* "PATH:LINE: KEY=: TEXT" of one error, or of all of them, one a line without the last newline. Untrusted bytes are escaped. NULL: out of memory. */
char *config_error_format(const ConfigError *error);
char *config_errors_format(const ConfigErrors *e);
char *config_errors_format_line(const ConfigErrors *e); /* the same on one line, for tables and records */

/* One logical line: continuations joined, whitespace stripped. Strings live in the reader until the next call. */
typedef struct ConfigLine {
        unsigned line;       /* where it begins */
        bool header;         /* a section header: text is the section's name */
        const char *section; /* NULL: before the first section header */
        const char *key;     /* NULL: not an assignment, text has it */
        const char *value;
        const char *text;
} ConfigLine;

typedef enum ConfigFault {
        CONFIG_FAULT_NONE,
        /* The line is lost, and PID 1 drops the rest of the file (in a drop-in with no more than a log line): */
        CONFIG_FAULT_UTF8,
        CONFIG_FAULT_SECTION,        /* '[' without ']' */
        CONFIG_FAULT_TOO_LONG,
        /* The line is lost: */
        CONFIG_FAULT_HIDDEN_END,     /* NUL or CR within: PID 1 takes either for the end of a line, so that it sees other lines than an editor shows */
        /* The line is read all the same: */
        CONFIG_FAULT_CARRIAGE_RETURN, /* CRLF */
        CONFIG_FAULT_BOM,
        _CONFIG_FAULT_MAX,
} ConfigFault;

typedef struct ConfigReader {
        const ConfigFile *file;
        size_t offset;
        unsigned n_lines;
        char *section;
        char *buffer; /* the logical line at hand, cut into key and value */
        size_t n_buffer;
} ConfigReader;

void config_reader_init(ConfigReader *r, const ConfigFile *file);
void config_reader_done(ConfigReader *r);
/* Returns 1 with a line, a fault, or both (a lost line: text is its beginning; reading goes on behind it); 0 at the end; -ENOMEM. */
_must_use_ int config_reader_next(ConfigReader *r, ConfigLine *ret, ConfigFault *ret_fault);
const char *config_fault_text(ConfigFault fault);

/* Splits off the next word as systemd does: whitespace separates, '...' and "..." quote, C escapes. *s moves on; *ret is newly allocated.
 * Returns 1, 0 at the end (*ret = NULL), -EINVAL (unbalanced quote, bad escape), -ENOMEM. */
_must_use_ int config_word(const char **s, char **ret);
_must_use_ int config_bool(const char *s, bool *ret); /* as systemd: 1 yes y true t on, 0 no n false f off; -EINVAL */
