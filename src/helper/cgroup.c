/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "util/fd.h"

#define UNIT_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@"

int unit_name_is_valid(const char *name) {
        static const char *const suffixes[] = { ".service", ".socket", ".slice", ".scope" };
        size_t len = strnlen(name, HELPER_UNIT_NAME_MAX);

        if (len >= HELPER_UNIT_NAME_MAX || strspn(name, UNIT_CHARS) != len)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t n = strlen(suffixes[i]);

                if (len > n && streq(name + len - n, suffixes[i]))
                        return name[0] != '@' && !strstr(name, "@.") /* a template is not a unit */;
        }
        return 0;
}

/* Names that would be taken for one of the kernel's own files get a "_" in front. */
static int component_needs_escape(const char *name) {
        static const char *const files[] = { "notify_on_release", "release_agent", "tasks" };
        static const char *const controllers[] = { "cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids", "bpf-firewall",
                                                   "bpf-devices", "bpf-foreign", "bpf-socket-bind", "bpf-restrict-network-interfaces" };

        if (name[0] == '_' || name[0] == '.')
                return 1;
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (streq(name, files[i]))
                        return 1;
        for (size_t i = 0; i < ELEMENTSOF(controllers); i++) {
                const char *rest = startswith(name, controllers[i]);

                if (rest && rest[0] == '.')
                        return 1;
        }
        return 0;
}

static int path_append(char *path, const char *component) {
        size_t len = strlen(path);
        int n = snprintf(path + len, HELPER_CGROUP_MAX - len, "/%s%s", component_needs_escape(component) ? "_" : "", component);

        return n < 0 || (size_t) n >= HELPER_CGROUP_MAX - len ? -ENAMETOOLONG : 0;
}

/* "a-b.slice" lies in "/a.slice/a-b.slice". */
static int path_append_slice(char *path, const char *slice) {
        size_t len = strlen(slice) - strlen(".slice");

        if (streq(slice, "-.slice"))
                return 0;
        if (slice[0] == '-' || slice[len - 1] == '-' || strstr(slice, "--"))
                return -EINVAL;
        for (size_t i = 1; i <= len; i++) {
                char component[HELPER_UNIT_NAME_MAX];
                int k;

                if (i < len && slice[i] != '-')
                        continue;
                (void) snprintf(component, sizeof(component), "%.*s.slice", (int) i, slice);
                k = path_append(path, component);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int is_slice(const char *unit) {
        size_t len = strlen(unit);

        return len > strlen(".slice") && streq(unit + len - strlen(".slice"), ".slice");
}

int cgroup_path_of_unit(const char *unit, const char *slice, char ret[static HELPER_CGROUP_MAX]) {
        char path[HELPER_CGROUP_MAX] = "";
        int k;

        if (!unit_name_is_valid(unit))
                return -EINVAL;
        if (is_slice(unit))
                k = path_append_slice(path, unit);
        else {
                if (slice[0] && (!unit_name_is_valid(slice) || !is_slice(slice)))
                        return -EINVAL;
                k = slice[0] ? path_append_slice(path, slice) : 0;
                if (k >= 0)
                        k = path_append(path, unit);
        }
        if (k < 0)
                return k;
        memcpy(ret, path, sizeof(path));
        return 0;
}

const char *cgroup_unit_of_path(const char *path) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

        return name[0] == '_' ? name + 1 : name;
}

uint32_t cgroup_level(const char *path) {
        uint32_t n = 0;

        for (size_t i = 0; path[i]; i++)
                n += path[i] == '/' && path[i + 1] && path[i + 1] != '/';
        return n;
}

int cgroup_root_open(void) {
        static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_close_ int fd = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
                struct statfs s;

                if (fd >= 0 && fstatfs(fd, &s) >= 0 && s.f_type == CGROUP2_SUPER_MAGIC)
                        return TAKE_FD(fd);
        }
        return -ENOENT;
}

static int path_is_relative_safe(const char *path) {
        size_t len = strlen(path);

        return path[0] == '/' && !strstr(path, "/../") && !(len >= 3 && streq(path + len - 3, "/..")) && !strstr(path, "//") && len < HELPER_CGROUP_MAX;
}

int cgroup_id(int root_fd, const char *path, uint64_t *ret) {
        struct stat st;

        if (!path_is_relative_safe(path))
                return -EINVAL;
        if (fstatat(root_fd, path[1] ? path + 1 : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        *ret = st.st_ino;
        return 0;
}

int cgroup_make(int root_fd, const char *path, uint64_t *ret_id) {
        char part[HELPER_CGROUP_MAX];

        if (!path_is_relative_safe(path) || !path[1])
                return -EINVAL;
        (void) snprintf(part, sizeof(part), "%s", path + 1);
        for (char *p = strchr(part, '/');; p = strchr(p + 1, '/')) {
                if (p)
                        *p = '\0';
                if (mkdirat(root_fd, part, 0755) < 0 && errno != EEXIST)
                        return -errno;
                if (!p)
                        break;
                *p = '/';
        }
        return cgroup_id(root_fd, path, ret_id);
}

static DIR *dir_close(DIR *d) {
        if (d)
                (void) closedir(d);
        return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close);

static int walk_below(int at, const char *name, uint32_t depth, CgroupCallback callback, void *userdata) {
        _cleanup_close_ int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_(dir_closep) DIR *d = NULL;
        const struct dirent *e;
        int result = 0;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        d = fdopendir(fd);
        if (!d)
                return -errno;
        fd = -1; /* the stream's */
        while ((e = readdir(d))) {
                struct stat st; /* d_ino may be another file system's number */
                int k;

                if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                        if (errno == ENOENT)
                                continue;
                        return -errno;
                }
                k = depth > CGROUP_DEPTH_MAX ? -ELOOP : callback(st.st_ino, depth, dirfd(d), e->d_name, userdata);
                if (k == 0)
                        k = walk_below(dirfd(d), e->d_name, depth + 1, callback, userdata);
                if (k < 0 && k != -ELOOP)
                        return k;
                result = k < 0 ? k : result;
        }
        return result;
}

int cgroup_walk(int root_fd, const char *path, CgroupCallback callback, void *userdata) {
        if (path[0] && !path_is_relative_safe(path))
                return -EINVAL;
        return walk_below(root_fd, path[0] && path[1] ? path + 1 : ".", 1, callback, userdata);
}

/* A number in one of the kernel's files of "NAME NUMBER" lines. */
static int read_number(int at, const char *group, const char *file, const char *name, uint64_t *ret) {
        char path[HELPER_CGROUP_MAX + 32], text[512];
        int n = snprintf(path, sizeof(path), "%s/%s", group, file);
        _cleanup_close_ int fd = n < (int) sizeof(path) ? openat(at, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
        ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        const char *found;

        if (size < 0)
                return -errno;
        text[size] = '\0';
        found = strstr(text, name);
        return found && sscanf(found + strlen(name), " %" SCNu64, ret) == 1 ? 0 : -EBADMSG;
}

int cgroup_count_dying(int root_fd, const char *path, uint64_t *ret) {
        return path_is_relative_safe(path) ? read_number(root_fd, path + 1, "cgroup.stat", "nr_dying_descendants", ret) : -EINVAL;
}

typedef struct Populated {
        uint64_t id, populated;
        int result;
} Populated;

static int on_group(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        Populated *p = userdata;

        if (id != p->id)
                return 0;
        p->result = read_number(at, name, "cgroup.events", "populated", &p->populated);
        return -EEXIST; /* ends the walk */
}

int cgroup_is_populated(int root_fd, uint64_t id, const char *cgroup) {
        Populated p = { .id = id };
        uint64_t present;
        int k = cgroup[0] ? cgroup_id(root_fd, cgroup, &present) : 0;

        if (cgroup[0] && k >= 0)
                k = present == id ? on_group(id, 1, root_fd, cgroup + 1, &p) : 0;
        else if (!cgroup[0])
                k = cgroup_walk(root_fd, "", on_group, &p);
        if (k == -EEXIST)
                k = p.result;
        if (k == -ENOENT || k == -ENODEV || k == -ELOOP) /* gone meanwhile; or what lies deeper than any unit was left out */
                return 0;
        return k < 0 ? k : p.populated != 0;
}

int cgroup_of_pid(pid_t pid, char ret[static HELPER_CGROUP_MAX]) {
        char name[64], line[HELPER_CGROUP_MAX + 64];
        FILE *f;
        int k = -ESRCH;

        (void) snprintf(name, sizeof(name), "/proc/%d/cgroup", (int) pid);
        f = fopen(name, "re");
        if (!f)
                return errno == ENOENT ? -ESRCH : -errno;
        while (k == -ESRCH && fgets(line, sizeof(line), f)) {
                const char *path = startswith(line, "0::");
                char *end = strchr(line, '\n');

                if (!path)
                        continue;
                if (!end || strlen(path) >= HELPER_CGROUP_MAX) {
                        k = -ENAMETOOLONG;
                        break;
                }
                *end = '\0';
                (void) snprintf(ret, HELPER_CGROUP_MAX, "%s", path);
                k = 0;
        }
        fclose(f);
        return k;
}
