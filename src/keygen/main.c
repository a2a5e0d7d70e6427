/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Makes the first PSK of a host that has no key of any kind, so that units of one machine can talk without any set-up.
 * A key that is there, even a broken one or half of a pair, is the administrator's: then nothing is made.
 * With --check it makes nothing, but leaves a note for the enforcer, which cannot look: a secret that others than its owner's group may read. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/credentials-protocol.h"
#include "util/base64.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/macro.h"

#define CREDSTORE "/etc/credstore"
#define PSK_NAME "trireme.psk"
#define PSK_SIZE 32u
#define PSK_TEXT_SIZE BASE64_SIZE(PSK_SIZE) /* a newline where the NUL is */

/* Where systemd looks for LoadCredential= without a path: systemd.exec(5). In the first four secrets lie open. */
#define OPEN_STORES 4u
static const char *const stores[] = {
        "/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore", "/run/credentials/@system",
        "/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/local/lib/credstore.encrypted", "/usr/lib/credstore.encrypted",
        "/run/credentials/@encrypted",
};

/* 1 found, 0 not, negative errno. */
static int key_exists(void) {
        static const char *const names[] = { PSK_NAME, "trireme.cert", "trireme.key", "trireme.ca" };
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(stores); i++)
                for (size_t j = 0; j < ELEMENTSOF(names); j++) {
                        struct stat st;

                        (void) snprintf(path, sizeof(path), "%s/%s", stores[i], names[j]);
                        if (lstat(path, &st) >= 0)
                                return 1;
                        if (errno != ENOENT && errno != ENOTDIR)
                                return log_error_errno(errno, "Cannot look for %s", path);
                }
        return 0;
}

/* All of it or nothing, and never over a key that came in between: the file gets its name when it is complete and on the disk. */
static int psk_make(void) {
        _cleanup_close_ int dir_fd = -1, fd = -1;
        unsigned char psk[PSK_SIZE];
        char text[PSK_TEXT_SIZE], link[64];
        ssize_t n = -1;

        if (mkdir(CREDSTORE, 0700) < 0 && errno != EEXIST)
                return log_error_errno(errno, "Cannot create " CREDSTORE);
        dir_fd = open(CREDSTORE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return log_error_errno(errno, "Cannot open " CREDSTORE);
        fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
                return log_error_errno(errno, "Cannot create a file in " CREDSTORE);
        if (getrandom(psk, sizeof(psk), 0) != (ssize_t) sizeof(psk))
                return log_error_errno(errno, "Cannot get random bytes");
        base64_encode(psk, sizeof(psk), text);
        text[PSK_TEXT_SIZE - 1] = '\n';
        n = write(fd, text, sizeof(text));
        explicit_bzero(psk, sizeof(psk));
        explicit_bzero(text, sizeof(text));
        if (n != (ssize_t) sizeof(text))
                return log_error_errno(n < 0 ? errno : ENOSPC, "Cannot write the key");
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (fsync(fd) < 0 || linkat(AT_FDCWD, link, dir_fd, PSK_NAME, AT_SYMLINK_FOLLOW) < 0 || fsync(dir_fd) < 0)
                return log_error_errno(errno, "Cannot store " CREDSTORE "/" PSK_NAME);
        log_notice("Made " CREDSTORE "/" PSK_NAME ", a key of this host alone. Copy it to the hosts that shall form one group with it.");
        return 0;
}

static int note_write(const char *path) {
        _cleanup_close_ int fd = open(CREDENTIALS_EXPOSED_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, path, strlen(path)) != (ssize_t) strlen(path))
                return log_error_errno(errno, "Cannot write " CREDENTIALS_EXPOSED_PATH);
        log_error("%s can be read by others and is not used; make it mode 0600 and choose a new one", path);
        return 0;
}

static int check(void) {
        static const char *const secrets[] = { PSK_NAME, "trireme.key" };
        char path[128];
        struct stat st;

        for (size_t i = 0; i < OPEN_STORES; i++)
                for (size_t j = 0; j < ELEMENTSOF(secrets); j++) {
                        (void) snprintf(path, sizeof(path), "%s/%s", stores[i], secrets[j]);
                        if (stat(path, &st) >= 0 && (st.st_mode & S_IRWXO))
                                return note_write(path);
                }
        if (unlink(CREDENTIALS_EXPOSED_PATH) < 0 && errno != ENOENT)
                return log_error_errno(errno, "Cannot remove " CREDENTIALS_EXPOSED_PATH);
        return 0;
}

int main(int argc, char **argv) {
        int r;

        log_setup("trireme-keygen");
        if (argc == 2 && streq(argv[1], "--check"))
                return check() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (argc != 1) {
                log_error("%s takes no arguments but --check", argv[0]);
                return EXIT_FAILURE;
        }
        r = key_exists();
        if (r != 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (psk_make() < 0)
                return EXIT_FAILURE;
        /* An enforcer that a question on the bus started before read its credentials when there were none. It does not wait for the
         * job, which itself waits for this unit; the attach that pulled us in waits for both. */
        execl("/usr/bin/systemctl", "systemctl", "--no-block", "try-restart", "trireme.service", NULL);
        log_error_errno(errno, "Cannot run systemctl; restart trireme.service to make it use the new key");
        return EXIT_FAILURE;
}
