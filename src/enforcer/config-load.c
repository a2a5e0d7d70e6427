/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/config-load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"

#define FILES_MAX 256u
#define FILE_SIZE_MAX (1u << 20)

static const char *const directories[] = { "/etc/trireme", "/run/trireme", "/usr/local/lib/trireme", "/usr/lib/trireme" }; /* the first wins */

typedef struct Found {
        char *path;
        const char *name;  /* in path */
        char *data;
        size_t size;
} Found;

typedef struct Files {
        Found files[FILES_MAX];
        size_t n;
} Files;

static void files_done(Files *f) {
        for (size_t i = 0; i < f->n; i++) {
                free(f->files[i].path);
                free(f->files[i].data);
        }
}

/* The first n_main are no drop-ins. */
static bool files_have(const Files *f, size_t n_main, const char *name) {
        for (size_t i = n_main; i < f->n; i++)
                if (streq(f->files[i].name, name))
                        return true;
        return false;
}

static int files_add(Files *f, char *path) {
        if (f->n >= FILES_MAX) {
                free(path);
                return -E2BIG;
        }
        f->files[f->n++] = (Found) { .path = path, .name = strrchr(path, '/') + 1 };
        return 0;
}

static int files_scan(Files *f, size_t n_main, const char *root, const char *directory) {
        _cleanup_free_ char *path = NULL;
        struct dirent *e;
        DIR *d;
        int r = 0;

        if (asprintf(&path, "%s%s/trireme.conf.d", root, directory) < 0)
                return -ENOMEM;
        d = opendir(path);
        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && (e = readdir(d))) {
                size_t n = strlen(e->d_name);
                char *file;

                if (n < 6 || !streq(e->d_name + n - 5, ".conf") || e->d_name[0] == '.' || files_have(f, n_main, e->d_name))
                        continue;
                r = asprintf(&file, "%s/%s", path, e->d_name) < 0 ? -ENOMEM : files_add(f, file);
        }
        closedir(d);
        return r;
}

static int found_read(Found *f) {
        _cleanup_close_ int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode)) /* masked */
                return 0;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size > (off_t) FILE_SIZE_MAX)
                return -EFBIG;
        f->data = malloc((size_t) st.st_size + 1);
        if (!f->data)
                return -ENOMEM;
        n = read(fd, f->data, (size_t) st.st_size);
        if (n < 0)
                return -errno;
        f->size = (size_t) n;
        return 0;
}

static int found_compare(const void *a, const void *b) {
        return strcmp(((const Found *) a)->name, ((const Found *) b)->name);
}

static int files_find(Files *f, const char *root) {
        size_t n_main;
        int r = 0;

        for (size_t i = 0; r >= 0 && f->n == 0 && i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s/trireme.conf", root, directories[i]) < 0)
                        return -ENOMEM;
                if (access(path, F_OK) >= 0)
                        r = files_add(f, TAKE_PTR(path));
                else if (errno != ENOENT)
                        return -errno;
        }
        n_main = f->n;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(directories); i++)
                r = files_scan(f, n_main, root, directories[i]);
        qsort(f->files + n_main, f->n - n_main, sizeof(Found), found_compare);
        return r;
}

static int fault_text(const char *path, int error, char **ret) {
        return asprintf(ret, "%s: %s", path, strerror(-error)) < 0 ? -ENOMEM : error;
}

int config_load(const char *root, Config *ret, char **ret_text) {
        _cleanup_(files_done) Files files = { .n = 0 };
        ConfigFile list[FILES_MAX];
        ConfigErrors errors = {};
        int r;

        r = files_find(&files, root);
        if (r < 0)
                return fault_text("trireme.conf", r, ret_text);
        for (size_t i = 0; i < files.n; i++) {
                r = found_read(&files.files[i]);
                if (r < 0)
                        return fault_text(files.files[i].path, r, ret_text);
                list[i] = (ConfigFile) { .path = files.files[i].path, .data = files.files[i].data ?: "", .size = files.files[i].size };
        }
        r = config_parse(list, files.n, ret, &errors);
        if (r == -EINVAL)
                *ret_text = config_errors_format(&errors);
        config_errors_done(&errors);
        if (r < 0 && r != -EINVAL)
                return fault_text("trireme.conf", r, ret_text);
        return r == -EINVAL && !*ret_text ? -ENOMEM : r;
}
