/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

int pid_of_pidfd(int pidfd, uint32_t *ret) {
        char path[64], line[256];
        int pid = 0;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        while (fgets(line, sizeof(line), f) && sscanf(line, "Pid: %d", &pid) != 1)
                ;
        fclose(f);
        if (pid <= 0)
                return -ESRCH; /* or no pidfd at all */
        *ret = (uint32_t) pid;
        return 0;
}

bool process_alive(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        return poll(&p, 1, 0) == 0;
}

int process_check_uid(uint32_t pid, uint32_t uid) {
        unsigned real, effective, saved, fs;
        char path[64], line[256];
        int n = 0;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%u/status", pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        while (n != 4 && fgets(line, sizeof(line), f))
                n = sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &fs);
        fclose(f);
        if (n != 4)
                return -ESRCH;
        return real == uid && effective == uid && saved == uid && fs == uid ? 0 : -EPERM;
}
