/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/file-cache.h"

#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/unit-settings.h"

typedef struct Entry {
        dev_t device;
        ino_t inode;
        int64_t size, ctime_sec, ctime_nsec;
        char *data; /* NULL: no mention */
} Entry;

struct FileCache {
        void *tree;
        unsigned n;
};

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int entry_compare(const void *a, const void *b) {
        const Entry *x = a, *y = b;
        int r = COMPARE(x->inode, y->inode);

        r = r ?: COMPARE(x->device, y->device);
        r = r ?: COMPARE(x->size, y->size);
        r = r ?: COMPARE(x->ctime_sec, y->ctime_sec);
        return r ?: COMPARE(x->ctime_nsec, y->ctime_nsec);
}

static void entry_free(void *p) {
        free(((Entry *) p)->data);
        free(p);
}

int file_cache_new(FileCache **ret) {
        FileCache *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        *ret = c;
        return 0;
}

FileCache *file_cache_free(FileCache *c) {
        if (!c)
                return NULL;
        tdestroy(c->tree, entry_free);
        free(c);
        return NULL;
}

static int read_all(int fd, size_t size, char **ret) {
        _cleanup_free_ char *data = malloc(size + 1);
        size_t n = 0;

        if (!data)
                return -ENOMEM;
        while (n < size) {
                ssize_t k = pread(fd, data + n, size - n, (off_t) n);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k == 0)
                        return -EAGAIN; /* it shrank while we read: whoever writes it reloads after that */
                n += k > 0 ? (size_t) k : 0;
        }
        data[size] = 0;
        *ret = TAKE_PTR(data);
        return 0;
}

static int cache_add(FileCache *c, const Entry *key, const char *data) {
        Entry *e = malloc(sizeof(*e)), **slot;

        if (!e)
                return -ENOMEM;
        *e = *key;
        e->data = NULL;
        if (data) {
                e->data = malloc((size_t) key->size + 1);
                if (!e->data) {
                        free(e);
                        return -ENOMEM;
                }
                memcpy(e->data, data, (size_t) key->size + 1);
        }
        if (c->n >= FILE_CACHE_MAX) {
                tdestroy(c->tree, entry_free);
                c->tree = NULL;
                c->n = 0;
        }
        slot = tsearch(e, &c->tree, entry_compare);
        if (!slot || *slot != e) {
                entry_free(e);
                return slot ? 0 : -ENOMEM;
        }
        c->n++;
        return 0;
}

static int cache_give(const Entry *e, char **ret_data, size_t *ret_size) {
        char *copy = NULL;

        if (e->data) {
                copy = malloc((size_t) e->size + 1);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, e->data, (size_t) e->size + 1);
        }
        *ret_data = copy;
        *ret_size = copy ? (size_t) e->size : 0;
        return 0;
}

int file_cache_read(FileCache *c, int fd, char **ret_data, size_t *ret_size) {
        _cleanup_free_ char *data = NULL;
        Entry key, **slot;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode)) { /* masked: /dev/null */
                *ret_data = NULL;
                *ret_size = 0;
                return 0;
        }
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size > (off_t) UNIT_FILE_SIZE_MAX)
                return -EFBIG;
        key = (Entry) { .device = st.st_dev, .inode = st.st_ino, .size = st.st_size, .ctime_sec = st.st_ctim.tv_sec, .ctime_nsec = st.st_ctim.tv_nsec };
        slot = tfind(&key, &c->tree, entry_compare);
        if (slot)
                return cache_give(*slot, ret_data, ret_size);
        r = read_all(fd, (size_t) st.st_size, &data);
        if (r < 0)
                return r;
        if (!unit_settings_may_mention(data, (size_t) st.st_size)) {
                free(data);
                data = NULL;
        }
        r = cache_add(c, &key, data);
        if (r < 0)
                return r;
        *ret_size = data ? (size_t) st.st_size : 0;
        *ret_data = TAKE_PTR(data);
        return 0;
}
