/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/run-labels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"
#include "util/log.h"

#define TEXT_MAX 65536u

/* Names that we gave ourselves: prefix, 32 hex digits, ".scope". Nothing else becomes part of a path. */
static bool is_run_unit(const char *unit) {
        const char *hex = startswith(unit, RUN_UNIT_PREFIX);

        return hex && strspn(hex, "0123456789abcdef") == 32 && streq(hex + 32, ".scope");
}

static char *labels_path(const Manager *m, const char *unit) {
        char *path;

        return asprintf(&path, "%s/run/%s", m->runtime_directory, unit) < 0 ? NULL : path;
}

int run_labels_read(const Manager *m, const char *unit, char **ret) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_close_ int fd = -1;
        ssize_t n;

        if (!m->runtime_directory || !is_run_unit(unit))
                return 0;
        path = labels_path(m, unit);
        text = calloc(1, TEXT_MAX + 1);
        if (!path || !text)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = read(fd, text, TEXT_MAX);
        if (n < 0)
                return -errno;
        *ret = TAKE_PTR(text);
        return 1;
}

int run_labels_parse(const char *text, TagSet *ret) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;

        if (!copy)
                return -ENOMEM;
        for (char *word = strtok_r(copy, "\n", &state); word; word = strtok_r(NULL, "\n", &state)) {
                const char *fault;
                int r = label_parse(word, ret, &fault);

                if (r < 0)
                        return r;
        }
        return 0;
}

int run_labels_write(const Manager *m, const char *unit, char *const *labels) {
        _cleanup_free_ char *path = NULL, *directory = NULL;
        _cleanup_close_ int fd = -1;

        if (!m->runtime_directory)
                return -ENOENT;
        if (!is_run_unit(unit))
                return -EINVAL;
        path = labels_path(m, unit);
        if (!path || asprintf(&directory, "%s/run", m->runtime_directory) < 0)
                return -ENOMEM;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        for (; *labels; labels++)
                if (dprintf(fd, "%s\n", *labels) < 0) {
                        int r = -errno;

                        (void) unlink(path);
                        return r;
                }
        return 0;
}

void run_labels_remove(const Manager *m, const char *unit) {
        _cleanup_free_ char *path = NULL;

        if (!m->runtime_directory || !is_run_unit(unit))
                return;
        path = labels_path(m, unit);
        if (!path || (unlink(path) < 0 && errno != ENOENT))
                log_warning("Cannot remove the labels of %s from %s", unit, m->runtime_directory);
}
