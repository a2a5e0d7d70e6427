/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/found-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"

static const char *const directories[] = { "/etc/trireme", "/run/trireme", "/usr/local/lib/trireme", "/usr/lib/trireme" }; /* the first wins */

void found_files_done(FoundFiles *f) {
        for (size_t i = 0; i < f->n_files; i++) {
                free(f->files[i].path);
                free(f->files[i].data);
        }
        f->n_files = 0;
}

static int add(FoundFiles *f, char *path) {
        if (f->n_files >= FOUND_FILES_MAX) {
                free(path);
                return -E2BIG;
        }
        f->files[f->n_files++] = (FoundFile) { .path = path, .name = strrchr(path, '/') + 1 };
        return 0;
}

int found_files_add_first(FoundFiles *f, const char *root, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s/%s", root, directories[i], name) < 0)
                        return -ENOMEM;
                if (access(path, F_OK) >= 0)
                        return add(f, TAKE_PTR(path));
                if (errno != ENOENT)
                        return -errno;
        }
        return 0;
}

static bool have_name(const FoundFiles *f, size_t from, const char *name) {
        for (size_t i = from; i < f->n_files; i++)
                if (streq(f->files[i].name, name))
                        return true;
        return false;
}

static bool has_suffix(const char *name, const char *suffix) {
        size_t n = strlen(name), k = strlen(suffix);

        return n > k && streq(name + n - k, suffix);
}

static int scan(FoundFiles *f, size_t from, const char *path, const char *suffix) {
        DIR *d = opendir(path);
        struct dirent *e;
        int r = 0;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && (e = readdir(d))) {
                char *file;

                if (e->d_name[0] == '.' || !has_suffix(e->d_name, suffix) || have_name(f, from, e->d_name))
                        continue;
                r = asprintf(&file, "%s/%s", path, e->d_name) < 0 ? -ENOMEM : add(f, file);
        }
        closedir(d);
        return r;
}

static int compare(const void *a, const void *b) {
        return strcmp(((const FoundFile *) a)->name, ((const FoundFile *) b)->name);
}

int found_files_add_directory(FoundFiles *f, const char *root, const char *name, const char *suffix) {
        size_t from = f->n_files;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;
                int r;

                if (asprintf(&path, "%s%s/%s", root, directories[i], name) < 0)
                        return -ENOMEM;
                r = scan(f, from, path, suffix);
                if (r < 0)
                        return r;
        }
        qsort(f->files + from, f->n_files - from, sizeof(FoundFile), compare);
        return 0;
}

static int read_all(FoundFile *f, int fd, size_t size) {
        size_t n = 0;

        f->data = malloc(size + 1);
        if (!f->data)
                return -ENOMEM;
        while (n < size) {
                ssize_t k = read(fd, f->data + n, size - n);

                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }
        f->size = n;
        return 0;
}

static int read_one(FoundFile *f, size_t size_max) {
        _cleanup_close_ int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size == 0)) /* masked */
                return 0;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if ((uint64_t) st.st_size > size_max)
                return -EFBIG;
        return read_all(f, fd, (size_t) st.st_size);
}

int found_file_fault(const char *path, int error, char **ret_text) {
        if (asprintf(ret_text, "%s: %s", path, strerror(-error)) >= 0)
                return error;
        *ret_text = NULL;
        return -ENOMEM;
}

int found_files_read(FoundFiles *f, size_t size_max, char **ret_text) {
        for (size_t i = 0; i < f->n_files; i++) {
                int r = read_one(&f->files[i], size_max);

                if (r < 0)
                        return found_file_fault(f->files[i].path, r, ret_text);
        }
        return 0;
}

ConfigFile found_file_config(const FoundFile *f) {
        return (ConfigFile) { .path = f->path, .data = f->data ?: "", .size = f->size };
}
