/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/attached.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper/cgroup.h"
#include "util/fd.h"
#include "util/log.h"

static int dir_open(const char *dir) {
        int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int attached_write(const char *dir, const char *unit, uint64_t cgroup_id, const char *cgroup) {
        _cleanup_close_ int at = dir_open(dir), fd = -1;

        if (at < 0)
                return at;
        fd = openat(at, unit, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        return dprintf(fd, "%" PRIu64 " %s\n", cgroup_id, cgroup) < 0 ? -errno : 0;
}

int attached_remove(const char *dir, const char *unit) {
        _cleanup_close_ int at = dir_open(dir);

        if (at < 0)
                return at;
        return unlinkat(at, unit, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* ret_cgroup is "" if the file does not say it. */
static bool attached_read(const char *dir, const char *unit, uint64_t *ret_id, char ret_cgroup[static HELPER_CGROUP_MAX]) {
        char text[32 + HELPER_CGROUP_MAX], *end;
        _cleanup_close_ int at = dir_open(dir), fd = at < 0 ? -1 : openat(at, unit, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return false;
        text[n] = '\0';
        *ret_id = strtoull(text, &end, 10);
        text[strcspn(text, "\n")] = '\0';
        (void) snprintf(ret_cgroup, HELPER_CGROUP_MAX, "%s", *end == ' ' ? end + 1 : "");
        return end > text;
}

bool attached_is(const char *dir, const char *unit, uint64_t cgroup_id) {
        char cgroup[HELPER_CGROUP_MAX];
        uint64_t id;

        return attached_read(dir, unit, &id, cgroup) && id == cgroup_id;
}

static bool attached_there(const char *dir, int cgroup_root_fd, const char *unit, uint64_t id) {
        char cgroup[HELPER_CGROUP_MAX];
        uint64_t prepared, present;
        int k;

        if (!attached_read(dir, unit, &prepared, cgroup) || prepared != id)
                return false;
        k = cgroup[0] ? cgroup_id(cgroup_root_fd, cgroup, &present) : -EINVAL;
        return k < 0 ? k != -ENOENT : present == id;
}

/* Calls back for each unit that has a file, until one is right. */
static bool attached_any(const char *dir, bool (*is)(const char *unit, void *userdata), void *userdata) {
        DIR *d = opendir(dir);
        const struct dirent *e;
        bool found = false;

        if (!d) {
                log_warning_errno(errno, "Cannot read %s", dir);
                return false;
        }
        while (!found && (e = readdir(d)))
                found = unit_name_is_valid(e->d_name) && is(e->d_name, userdata);
        closedir(d);
        return found;
}

typedef struct Search {
        const char *dir;
        int cgroup_root_fd;
        uint64_t cgroup_id;
        char *unit;
} Search;

static bool is_there(const char *unit, void *userdata) {
        const Search *s = userdata;

        if (!attached_there(s->dir, s->cgroup_root_fd, unit, s->cgroup_id))
                return false;
        (void) snprintf(s->unit, HELPER_UNIT_NAME_MAX, "%s", unit);
        return true;
}

bool attached_find(const char *dir, int cgroup_root_fd, const char *unit, uint64_t cgroup_id, char ret_unit[static HELPER_UNIT_NAME_MAX]) {
        Search s = { .dir = dir, .cgroup_root_fd = cgroup_root_fd, .cgroup_id = cgroup_id, .unit = ret_unit };

        return unit[0] ? is_there(unit, &s) : attached_any(dir, is_there, &s);
}

static bool forget_if(const char *unit, void *userdata) {
        const Search *s = userdata;
        int k;

        if (!attached_is(s->dir, unit, s->cgroup_id))
                return false;
        k = attached_remove(s->dir, unit);
        if (k < 0)
                log_warning_errno(k, "Cannot remove the file that says that %s is attached", unit);
        return true;
}

void attached_forget(const char *dir, const char *unit, uint64_t cgroup_id) {
        Search s = { .dir = dir, .cgroup_id = cgroup_id };

        (void) (unit[0] ? forget_if(unit, &s) : attached_any(dir, forget_if, &s));
}
