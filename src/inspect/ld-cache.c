/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/ld-cache.h"

#include <errno.h>
#include <stdbool.h>

#include "util/utf8.h"

#define CACHE_MAX (4u << 20) /* bytes; a real one has some ten thousand */

/* The layouts are those of glibc's sysdeps/generic/dl-cache.h. */
typedef struct OldHead {
        char magic[12];
        uint32_t n_entries;
} OldHead;

#define OLD_MAGIC "ld.so-1.7.0"
#define OLD_ENTRY_SIZE 12u

typedef struct Head {
        char magic[20];
        uint32_t n_entries;
        uint32_t unused[6];
} Head;

#define MAGIC "glibc-ld.so.cache1.1"

typedef struct Entry {
        int32_t flags;
        uint32_t name, path; /* offsets of text, from the head on */
        uint32_t os_version;
        uint64_t cpu;        /* 0: for every CPU of this kind */
} Entry;

#if defined(__x86_64__)
#define OWN_FLAGS 0x0303
#elif defined(__aarch64__)
#define OWN_FLAGS 0x0a03
#elif defined(__arm__)
#define OWN_FLAGS 0x0903
#elif defined(__powerpc64__)
#define OWN_FLAGS 0x0503
#elif defined(__s390x__)
#define OWN_FLAGS 0x0403
#elif defined(__riscv)
#define OWN_FLAGS 0x1003
#else
#define OWN_FLAGS 0x0003
#endif

/* Until glibc 2.31 one of another layout stood ahead of it. */
static int head_find(const uint8_t *data, size_t n, Head *ret, size_t *ret_at) {
        size_t at = 0;
        OldHead old;

        if (n >= sizeof(old)) {
                memcpy(&old, data, sizeof(old));
                if (memcmp(old.magic, OLD_MAGIC, strlen(OLD_MAGIC)) == 0)
                        at = (sizeof(old) + (size_t) old.n_entries * OLD_ENTRY_SIZE + 7) & ~(size_t) 7;
        }
        if (at > n || n - at < sizeof(*ret))
                return -EBADMSG;
        memcpy(ret, data + at, sizeof(*ret));
        if (memcmp(ret->magic, MAGIC, strlen(MAGIC)) != 0 || ret->n_entries > (n - at - sizeof(*ret)) / sizeof(Entry))
                return -EBADMSG;
        *ret_at = at;
        return 0;
}

static bool text_is(const uint8_t *data, size_t n, uint32_t offset, const char *text) {
        const size_t size = strlen(text) + 1;

        return offset < n && n - offset >= size && memcmp(data + offset, text, size) == 0;
}

static int text_take(const uint8_t *data, size_t n, uint32_t offset, char ret[static PROGRAM_PATH_MAX]) {
        size_t len = offset < n ? strnlen((const char *) data + offset, n - offset) : 0;

        if (len == 0 || len == n - offset || len >= PROGRAM_PATH_MAX || !utf8_is_printable((const char *) data + offset, len))
                return -EBADMSG;
        memcpy(ret, data + offset, len + 1);
        return 0;
}

static int find(const uint8_t *data, size_t n, const char *name, char ret_path[static PROGRAM_PATH_MAX]) {
        size_t at;
        Head head;
        int r = head_find(data, n, &head, &at);

        if (r < 0)
                return r;
        data += at;
        n -= at;
        for (uint32_t i = 0; i < head.n_entries; i++) {
                Entry e;

                memcpy(&e, data + sizeof(head) + i * sizeof(e), sizeof(e));
                if (e.flags == OWN_FLAGS && e.cpu == 0 && text_is(data, n, e.name, name))
                        return text_take(data, n, e.path, ret_path);
        }
        return -ENOENT;
}

int ld_cache_find(const ByteSource *source, const char *name, char ret_path[static PROGRAM_PATH_MAX]) {
        _cleanup_free_ uint8_t *data = malloc(CACHE_MAX);
        ssize_t n;

        if (!data)
                return -ENOMEM;
        n = source->read(source->userdata, 0, data, CACHE_MAX);
        if (n < 0)
                return (int) n;
        return (size_t) n >= CACHE_MAX ? -EFBIG : find(data, (size_t) n, name, ret_path);
}
