/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/key-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/base64.h"
#include "util/fd.h"
#include "util/log.h"

#define KEY_FILE_MAX (1u << 20)
#define PSK_SIZE 32u

static int write_all(int fd, const char *text) {
        size_t left = strlen(text);

        while (left > 0) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno != EINTR)
                        return -errno;
                text += n > 0 ? n : 0;
                left -= n > 0 ? (size_t) n : 0;
        }
        return 0;
}

/* A temporary name and then the real one: link(2) refuses what is there, rename(2) replaces it. */
int key_file_write(const char *path, const char *text, mode_t mode, bool replace) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r = 0;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
                return log_error_errno(ENOMEM, "Cannot write %s", path);
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return log_error_errno(errno, "Cannot write beside %s", path);
        r = write_all(fd, text);
        if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || (replace ? rename(temporary, path) : link(temporary, path)) < 0))
                r = -errno;
        if (r < 0 || !replace)
                (void) unlink(temporary);
        return r < 0 ? log_error_errno(r, "Cannot write %s", path) : 0;
}

int key_file_read(const char *path, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? -ENOENT : log_error_errno(errno, "Cannot read %s", path);
        if (fstat(fd, &st) < 0)
                return log_error_errno(errno, "Cannot read %s", path);
        if (!S_ISREG(st.st_mode) || st.st_size > (off_t) KEY_FILE_MAX)
                return log_error_errno(EINVAL, "Cannot read %s", path);
        text = calloc(1, (size_t) st.st_size + 1);
        if (!text)
                return log_error_errno(ENOMEM, "Cannot read %s", path);
        n = read(fd, text, (size_t) st.st_size);
        if (n < 0)
                return log_error_errno(errno, "Cannot read %s", path);
        text[n] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int psk_text_new(char **ret) {
        char *text = malloc(BASE64_SIZE(PSK_SIZE) + 1);
        uint8_t psk[PSK_SIZE];

        if (!text || getrandom(psk, sizeof(psk), 0) != (ssize_t) sizeof(psk)) {
                free(text);
                return log_error_errno(text ? errno : ENOMEM, "Cannot make a key");
        }
        base64_encode(psk, sizeof(psk), text);
        strcat(text, "\n");
        explicit_bzero(psk, sizeof(psk));
        *ret = text;
        return 0;
}

/* In the child. */
static void exec_encrypt(const char *name, const char *path, int in) {
        char option[64];

        (void) snprintf(option, sizeof(option), "--name=%s", name);
        if (dup2(in, STDIN_FILENO) >= 0)
                execlp("systemd-creds", "systemd-creds", "encrypt", option, "-", path, NULL);
        log_error_errno(errno, "Cannot run systemd-creds");
        _exit(EXIT_FAILURE);
}

int key_store_encrypted(const char *name, const char *text) {
        char path[128];
        int ends[2], status, r;
        pid_t pid;

        (void) snprintf(path, sizeof(path), CREDSTORE_ENCRYPTED "/%s", name);
        if (access(path, F_OK) >= 0)
                return log_error_errno(EEXIST, "Cannot write %s", path);
        if (mkdir(CREDSTORE_ENCRYPTED, 0700) < 0 && errno != EEXIST)
                return log_error_errno(errno, "Cannot create " CREDSTORE_ENCRYPTED);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return log_error_errno(errno, "Cannot make a pipe");
        pid = fork();
        if (pid == 0)
                exec_encrypt(name, path, ends[0]);
        close(ends[0]);
        r = pid < 0 ? -errno : write_all(ends[1], text); /* short: it fits the pipe, whoever reads */
        close(ends[1]);
        if (pid >= 0 && waitpid(pid, &status, 0) < 0)
                r = -errno;
        else if (r >= 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
                r = -EIO;
        return r < 0 ? log_error_errno(r, "Cannot encrypt %s", name) : 0;
}
