/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Messages of the processes themselves, to stderr with a <priority> prefix when the journal reads it. Only the layers that make
 * system calls log; parsers and decisions return errors. Structured records of denials do not come here (enforcer/journal.c). */

#include <errno.h>
#include <stdarg.h>
#include <syslog.h>

#include "util/macro.h"

void log_setup(const char *name); /* reads $TRIREME_LOG_LEVEL / $SYSTEMD_LOG_LEVEL, $JOURNAL_STREAM; name is borrowed for ever */
void log_full(int level, int error, const char *format, ...) _printf_(3, 4); /* error 0, or an errno (either sign) shown as ": text" */

#define log_error(...) log_full(LOG_ERR, 0, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, 0, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, 0, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, 0, __VA_ARGS__)
#define log_debug(...) log_full(LOG_DEBUG, 0, __VA_ARGS__)

/* return log_error_errno(r, "..."): logs and yields the negative errno. */
#define log_full_errno(level, error, ...) ({ int _e = (error); log_full(level, _e, __VA_ARGS__); _e < 0 ? _e : -_e; })
#define log_error_errno(error, ...) log_full_errno(LOG_ERR, error, __VA_ARGS__)
#define log_warning_errno(error, ...) log_full_errno(LOG_WARNING, error, __VA_ARGS__)
#define log_debug_errno(error, ...) log_full_errno(LOG_DEBUG, error, __VA_ARGS__)
