/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *log_name = "trireme";
static int log_max_level = LOG_INFO;
static int log_to_journal;

static int level_from_string(const char *s) {
        static const char *const names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(s, names[i]))
                        return (int) i;
        if (s[0] >= '0' && s[0] <= '7' && !s[1])
                return s[0] - '0';
        return -EINVAL;
}

/* The variable is inherited by whatever a service starts, also where its output goes to a file or a terminal: systemd.exec(5). */
static int stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return e && sscanf(e, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(const char *name) {
        const char *e = getenv("TRIREME_LOG_LEVEL");

        log_name = name;
        log_to_journal = stderr_is_journal();
        if (!e)
                e = getenv("SYSTEMD_LOG_LEVEL");
        if (e && level_from_string(e) >= 0)
                log_max_level = level_from_string(e);
}

void log_full(int level, int error, const char *format, ...) {
        char text[2048];
        va_list ap;

        if (level > log_max_level)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (log_to_journal)
                fprintf(stderr, "<%d>", level);
        else
                fprintf(stderr, "%s: ", log_name);
        if (error)
                fprintf(stderr, "%s: %s\n", text, strerror(error < 0 ? -error : error));
        else
                fprintf(stderr, "%s\n", text);
}
