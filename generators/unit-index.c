/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit-index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmsg.h"
#include "unit-name.h"
#include "unit-scan.h"
#include "util/fd.h"

#define FILE_SIZE_MAX (4u << 20) /* a unit file is some hundred bytes */

typedef struct ScanContext {
        UnitIndex *index;
        const char *name; /* drop-in name of the file under scan */
        int error;
} ScanContext;

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

/* The units that are needed before anything can be attached, and those that exist before any unit starts. A label of theirs cannot be honoured: requiring the attach
 * would be a circle. The enforcer reports them. */
static const char *const own_units[] = {
        "trireme.service", "trireme-helper.service", "trireme-datapath.service", "trireme-keygen.service", "trireme-attach@.service", "trireme-attach-again@.service",
        "trireme-inspect.service", "trireme-verify.service", "trireme-credentials.service", "trireme-table.socket", "trireme-helper.socket", "trireme-attach.socket",
        "trireme-datapath.socket", "trireme-inspect.socket", "trireme-verify.socket", "trireme-credentials.socket", "trireme.slice", "trireme-run-.scope",
        "-.slice", "init.scope",
        "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-remount-fs.service", "systemd-sysusers.service",
};

static bool is_own(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(own_units); i++)
                if (dropin_name_covers(own_units[i], name))
                        return true;
        return false;
}

void unit_index_done(UnitIndex *index) {
        name_set_done(&index->fragments);
        name_set_done(&index->labelled);
        name_set_done(&index->aliases);
        name_set_done(&index->triggers);
        free(index->buf);
}

/* Returns the size, or a negative errno. Special files are not waited for; an empty or a /dev/null one reads as nothing, which is what it means to PID 1. */
static ssize_t file_read(int dir_fd, const char *path, char **buf, size_t *size) {
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        size_t len = 0;

        if (fd < 0)
                return -errno;
        for (;;) {
                ssize_t n;

                if (len == *size) {
                        size_t wanted = *size > 0 ? *size * 2 : 64u << 10;
                        char *p = wanted <= FILE_SIZE_MAX ? realloc(*buf, wanted) : NULL;

                        if (!p)
                                return wanted <= FILE_SIZE_MAX ? -ENOMEM : -EFBIG;
                        *buf = p;
                        *size = wanted;
                }
                n = read(fd, *buf + len, *size - len);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return (ssize_t) len;
                len += (size_t) n;
        }
}

static void on_value(void *userdata, UnitScanKey key, const char *value, size_t len) {
        ScanContext *c = userdata;
        char other[UNIT_NAME_MAX];
        int r = 0;

        if (len >= sizeof(other))
                return; /* no unit has such a name */
        memcpy(other, value, len);
        other[len] = '\0';
        if (key == UNIT_SCAN_SERVICE && unit_name_has_suffix(c->name, ".socket"))
                r = name_set_add(&c->index->triggers, c->name, other);
        else if (key == UNIT_SCAN_SOCKET && unit_name_has_suffix(other, ".socket") && !strchr(other, '/') && !strchr(other, '%'))
                r = name_set_add(&c->index->triggers, other, c->name);
        if (r < 0)
                c->error = r;
}

static int index_file(UnitIndex *index, int dir_fd, const char *directory, const char *path, const char *name) {
        ScanContext c = { index, name, 0 };
        ssize_t n = file_read(dir_fd, path, &index->buf, &index->buf_size);
        bool labelled;

        if (n == -ENOMEM)
                return -ENOMEM;
        if (n == -ENOENT || n == -EISDIR)
                return 0;
        if (n < 0) {
                kmsg_log(KMSG_WARNING, "Cannot read %s/%s, taking %s for labelled: %s", directory, path, name, strerror((int) -n));
                labelled = true;
        } else
                labelled = unit_scan(index->buf, (size_t) n, on_value, &c);
        if (c.error < 0 || !labelled)
                return c.error;
        if (is_own(name)) {
                kmsg_log(KMSG_WARNING, "%s/%s labels %s, which cannot be attached before it starts", directory, path, name);
                return 0;
        }
        return name_set_add(&index->labelled, name, "") < 0 ? -ENOMEM : 0;
}

static int index_dropins(UnitIndex *index, int dir_fd, const char *directory, const char *entry) {
        _cleanup_(closedirp) DIR *d = NULL;
        char name[UNIT_NAME_MAX], path[2 * UNIT_NAME_MAX];
        size_t len = strlen(entry) - strlen(".d");
        int fd;

        if (len >= sizeof(name))
                return 0;
        memcpy(name, entry, len);
        name[len] = '\0';
        if (!unit_name_is_labellable(name))
                return 0;
        fd = openat(dir_fd, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0; /* not a directory, a dangling link: PID 1 finds no drop-in there either */
        d = fdopendir(fd);
        if (!d) {
                close(fd);
                return -ENOMEM;
        }
        for (struct dirent *e; (e = readdir(d));) {
                size_t n = strlen(e->d_name);

                if (n < strlen(".conf") || !streq(e->d_name + n - strlen(".conf"), ".conf"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/%s", entry, e->d_name);
                if (index_file(index, dir_fd, directory, path, name) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* A unit file; as in PID 1, one of the same name further down the path is not looked at. */
static int index_fragment(UnitIndex *index, int dir_fd, const char *directory, const struct dirent *e) {
        char target[4096];
        const char *base;
        ssize_t n;
        int r;

        if (!unit_name_is_labellable(e->d_name) || !strchr(e->d_name, '.'))
                return 0;
        r = name_set_add(&index->fragments, e->d_name, "");
        if (r <= 0)
                return r;
        n = e->d_type == DT_LNK || e->d_type == DT_UNKNOWN ? readlinkat(dir_fd, e->d_name, target, sizeof(target) - 1) : -1;
        if (n <= 0)
                return index_file(index, dir_fd, directory, e->d_name, e->d_name);
        target[n] = '\0';
        base = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
        if (unit_name_has_suffix(base, ".service") && !streq(base, e->d_name) && !unit_name_is_instance_of(e->d_name, base))
                if (name_set_add(&index->aliases, e->d_name, base) < 0)
                        return -ENOMEM;
        return index_file(index, dir_fd, directory, e->d_name, e->d_name);
}

int unit_index_read(UnitIndex *index, const char *directory) {
        _cleanup_(closedirp) DIR *d = opendir(directory);
        int r;

        if (!d) {
                if (errno != ENOENT && errno != ENOTDIR)
                        kmsg_log(KMSG_WARNING, "Cannot read %s: %s", directory, strerror(errno));
                return errno == ENOMEM ? -ENOMEM : 0;
        }
        for (struct dirent *e; (e = readdir(d));) {
                size_t n = strlen(e->d_name);

                if (n > 2 && streq(e->d_name + n - 2, ".d"))
                        r = index_dropins(index, dirfd(d), directory, e->d_name);
                else
                        r = index_fragment(index, dirfd(d), directory, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Is this unit, or a unit named by a broader drop-in name, labelled? A bare type ("service") covers its sockets by its own name already. */
static bool is_labelled(const UnitIndex *index, const char *unit) {
        for (size_t i = 0; i < index->labelled.n_pairs; i++)
                if (strchr(index->labelled.pairs[i].name, '.') && dropin_name_covers(index->labelled.pairs[i].name, unit))
                        return true;
        return false;
}

/* An alias and its unit are one: a label of one holds for the other, whose sockets must be found by that name. */
static int plan_aliases(UnitIndex *index) {
        for (size_t i = 0; i < index->aliases.n_pairs; i++) {
                const NamePair *p = &index->aliases.pairs[i];
                bool alias = is_labelled(index, p->name), unit = is_labelled(index, p->value);

                if (alias != unit && !is_own(p->name) && !is_own(p->value))
                        if (name_set_add(&index->labelled, alias ? p->value : p->name, "") < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int plan_add(NameSet *plan, const char *name) {
        return !is_own(name) && name_set_add(plan, name, "") < 0 ? -ENOMEM : 0;
}

static int plan_masks(NameSet *plan) {
        size_t n = plan->n_pairs;

        for (size_t i = 0; i < ELEMENTSOF(own_units); i++)
                for (size_t j = 0; j < n; j++)
                        if (dropin_name_covers(plan->pairs[j].name, own_units[i]))
                                if (name_set_add(plan, own_units[i], "mask") < 0)
                                        return -ENOMEM;
        return 0;
}

int unit_index_plan(UnitIndex *index, NameSet *plan) {
        char socket[UNIT_NAME_MAX];
        int r = plan_aliases(index);

        for (size_t i = 0; r >= 0 && i < index->labelled.n_pairs; i++) {
                const char *name = index->labelled.pairs[i].name;

                r = plan_add(plan, name);
                if (r >= 0 && dropin_name_to_socket(name, false, socket))
                        r = plan_add(plan, socket);
                if (r >= 0 && dropin_name_to_socket(name, true, socket))
                        r = plan_add(plan, socket);
        }
        for (size_t i = 0; r >= 0 && i < index->triggers.n_pairs; i++)
                if (is_labelled(index, index->triggers.pairs[i].value))
                        r = plan_add(plan, index->triggers.pairs[i].name);
        return r < 0 ? r : plan_masks(plan);
}
