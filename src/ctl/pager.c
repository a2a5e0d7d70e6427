/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/output.h"
#include "util/fd.h"

#define PAGER_WORDS_MAX 15u

/* Without a shell: this may run as root, with the environment of somebody who is not. */
static void pager_exec_words(const char *command) {
        char *words[PAGER_WORDS_MAX + 1] = {}, *state = NULL, *copy = strdup(command);
        size_t n = 0;

        for (char *word = copy ? strtok_r(copy, " \t", &state) : NULL; word && n < PAGER_WORDS_MAX; word = strtok_r(NULL, " \t", &state))
                words[n++] = word;
        if (n > 0)
                execvp(words[0], words);
        free(copy);
}

/* $SYSTEMD_PAGER, $PAGER, less, more: the first that is there. */
static void pager_exec(void) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", true);
        setenv("MORE", "-e", false); /* that of util-linux 2.38 waits for a key at the end, also of what fits the screen */
        setenv("LESSSECURE", "1", true); /* it may run as root, for someone who may only look: no shell from within */
        if (pager)
                pager_exec_words(pager);
        execlp("less", "less", NULL);
        execlp("more", "more", NULL);
        execlp("cat", "cat", NULL);
        _exit(EXIT_FAILURE);
}

pid_t pager_open(const Options *o) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        _cleanup_close_ int in = -1, out = -1;
        pid_t parent = getpid(), pid;
        int fds[2];

        if (o->no_pager || !isatty(STDOUT_FILENO) || (pager && (streq(pager, "") || streq(pager, "cat"))))
                return 0;
        fflush(stdout);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        in = fds[0];
        out = fds[1];
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (getppid() != parent || dup2(in, STDIN_FILENO) < 0)
                        _exit(EXIT_FAILURE);
                pager_exec();
        }
        if (pid > 0)
                (void) dup2(out, STDOUT_FILENO);
        return pid > 0 ? pid : 0;
}

void pager_close(pid_t pager) {
        if (pager <= 0)
                return;
        fflush(stdout);
        close(STDOUT_FILENO); /* the end of its input */
        (void) waitpid(pager, NULL, 0);
}
