/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

#include "inspect/ld-cache.h"
#include "inspect/memory.h"

#define OWN 0x0303   /* x86-64; the committed seeds of the fuzzer are of it, too */
#define OTHER 0x0003

static int find(const void *data, size_t size, const char *name, char path[static PROGRAM_PATH_MAX]) {
        return ld_cache_find(&(const ByteSource) { memory_read, &(Memory) { data, size } }, name, path);
}

typedef struct Line {
        uint32_t flags;
        uint64_t cpu;
        const char *name, *path;
} Line;

/* As ldconfig writes it; old: with the older layout ahead. */
static size_t cache_make(const Line *lines, uint32_t n, bool old, uint8_t *ret) {
        const uint32_t n_old = 3, head_size = 48, entry_size = 24;
        size_t at = 0, text;

        if (old) {
                memcpy(ret, "ld.so-1.7.0", 12);
                memcpy(ret + 12, &n_old, 4);
                at = (16 + n_old * 12 + 7) & ~7u;
                memset(ret + 16, 0, at - 16);
        }
        memset(ret + at, 0, head_size);
        memcpy(ret + at, "glibc-ld.so.cache1.1", 20);
        memcpy(ret + at + 20, &n, 4);
        text = head_size + n * entry_size;
        for (uint32_t i = 0; i < n; i++) {
                const uint32_t name = (uint32_t) text, path = (uint32_t) (text + strlen(lines[i].name) + 1);
                const uint32_t entry[] = { lines[i].flags, name, path, 0 };

                memcpy(ret + at + head_size + i * entry_size, entry, sizeof(entry));
                memcpy(ret + at + head_size + i * entry_size + 16, &lines[i].cpu, 8);
                strcpy((char *) ret + at + name, lines[i].name);
                strcpy((char *) ret + at + path, lines[i].path);
                text = path + strlen(lines[i].path) + 1;
        }
        return at + text;
}

static const Line lines[] = {
        { OWN, 1ull << 62, "libssl.so.3", "/usr/lib/glibc-hwcaps/x86-64-v3/libssl.so.3" }, { OTHER, 0, "libssl.so.3", "/usr/lib/i386-linux-gnu/libssl.so.3" },
        { OWN, 0, "libssl.so.3", "/usr/lib/x86_64-linux-gnu/libssl.so.3" }, { OWN, 0, "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6" }, { OWN, 0, "libbad.so", "/usr/lib/\033.so" },
};

static void the_plain_library_of_this_machines_kind_is_found(void **state) {
        for (unsigned old = 0; old < 2; old++) {
                char path[PROGRAM_PATH_MAX] = "untouched";
                uint8_t data[1024];
                size_t n = cache_make(lines, ELEMENTSOF(lines), old, data);

                assert_int_equal(find(data, n, "libnone.so", path), -ENOENT);
                assert_int_equal(find(data, n, "libssl.so", path), -ENOENT);
                assert_int_equal(find(data, n, "libbad.so", path), -EBADMSG);
                assert_string_equal(path, "untouched");
                assert_int_equal(find(data, n, "libssl.so.3", path), 0);
                assert_string_equal(path, "/usr/lib/x86_64-linux-gnu/libssl.so.3");
                assert_int_equal(find(data, n, "libc.so.6", path), 0);
                assert_string_equal(path, "/lib/x86_64-linux-gnu/libc.so.6");
        }
}

static void a_cache_cut_anywhere_is_refused_or_read(void **state) {
        uint8_t data[1024];
        size_t n = cache_make(lines, ELEMENTSOF(lines), true, data);

        for (size_t i = 0; i < n; i++) {
                char path[PROGRAM_PATH_MAX];
                int r = find(data, i, "libc.so.6", path);

                assert_true(r == -EBADMSG || r == -ENOENT || (r == 0 && streq(path, "/lib/x86_64-linux-gnu/libc.so.6")));
        }
}

static void a_cache_with_wild_numbers_is_refused(void **state) {
        char path[PROGRAM_PATH_MAX];
        uint8_t data[1024], broken[1024];
        size_t n = cache_make(lines, ELEMENTSOF(lines), false, data);

        for (size_t at = 20; at < 48 + ELEMENTSOF(lines) * 24; at += 4) {
                memcpy(broken, data, n);
                memset(broken + at, 0xff, 4);
                (void) find(broken, n, "libc.so.6", path); /* under the sanitizers: nothing beyond the end is read */
        }
        memcpy(broken, data, n);
        memset(broken + 20, 0xff, 4);
        assert_int_equal(find(broken, n, "libc.so.6", path), -EBADMSG);
        assert_int_equal(find("hello", 5, "libc.so.6", path), -EBADMSG);
}

static ssize_t endless_read(void *userdata, uint64_t offset, void *buf, size_t n) {
        memset(buf, 0, n);
        return (ssize_t) n;
}

static void a_cache_without_an_end_is_refused(void **state) {
        char path[PROGRAM_PATH_MAX];

        assert_int_equal(ld_cache_find(&(const ByteSource) { endless_read, NULL }, "libc.so.6", path), -EFBIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_plain_library_of_this_machines_kind_is_found),
                cmocka_unit_test(a_cache_cut_anywhere_is_refused_or_read),
                cmocka_unit_test(a_cache_with_wild_numbers_is_refused),
                cmocka_unit_test(a_cache_without_an_end_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
