/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kmsg.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "util/fd.h"

static bool log_to_stderr;

void kmsg_setup(bool to_stderr) {
        log_to_stderr = to_stderr;
}

void kmsg_log(int level, const char *format, ...) {
        _cleanup_close_ int fd = log_to_stderr ? -1 : open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        char text[900]; /* the kernel takes 1024 bytes with its prefix */
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (fd >= 0)
                dprintf(fd, "<%d>trireme-generator[%d]: %s\n", level, (int) getpid(), text);
        else
                fprintf(stderr, "trireme-generator: %s\n", text);
}
