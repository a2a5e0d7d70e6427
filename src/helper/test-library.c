/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "helper/library.h"
#include "util/fd.h"

static const char *const files[] = { "lib", "lib/libgood.so.1", "lib/secret", "lib/libsecret.so", "lib/libprivate.so", "loose", "loose/libgood.so.1" };

static int tree_make(char *path) {
        static const mode_t modes[] = { 0755, 0644, 0644, 0, 0640, 0777, 0644 };
        int root;

        assert_non_null(mkdtemp(path));
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                if (streq(files[i], "lib/libsecret.so"))
                        assert_int_equal(symlinkat("secret", root, files[i]), 0);
                else if (!strchr(files[i], '/'))
                        assert_int_equal(mkdirat(root, files[i], 0755), 0);
                else
                        close(openat(root, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        }
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (modes[i])
                        assert_int_equal(fchmodat(root, files[i], modes[i], 0), 0);
        return root;
}

static void tree_remove(const char *path) {
        char full[256];

        for (size_t i = ELEMENTSOF(files); i > 0; i--) {
                (void) snprintf(full, sizeof(full), "%s/%s", path, files[i - 1]);
                assert_int_equal(remove(full), 0);
        }
        assert_int_equal(rmdir(path), 0);
}

static void only_a_library_that_everybody_may_read_is_handed_over(void **state) {
        static const struct {
                const char *paths[3];
                int result; /* its number, or why not */
        } cases[] = {
                { { "/lib/libgood.so.1" }, 0 }, { { "/lib/libnone.so", "/none/libgood.so.1", "/lib/libgood.so.1" }, 2 }, { { "/lib/libnone.so" }, -ENOENT },
                { { "/lib/libgood.so.1/libx.so", "/lib/libgood.so.1" }, 1 },
                /* a place that others can fill ends the search: what the loader finds there is not for root to say */
                { { "/loose/libnone.so", "/lib/libgood.so.1" }, -EPERM }, { { "/loose/libgood.so.1", "/lib/libgood.so.1" }, -EPERM },
                { { "/lib/libsecret.so", "/lib/libgood.so.1" }, -EACCES }, { { "/lib/libprivate.so" }, -EACCES },
        };
        char path[] = "/tmp/trireme-test-XXXXXX";
        _cleanup_close_ int root = -1;

        if (geteuid() != 0)
                skip(); /* the files have to be root's */
        root = tree_make(path);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HelperLibrary request = {};
                uint32_t index = 77;
                _cleanup_close_ int fd = -1;

                for (; request.n_paths < 3 && cases[i].paths[request.n_paths]; request.n_paths++)
                        strcpy(request.paths[request.n_paths], cases[i].paths[request.n_paths]);
                fd = library_open_below(root, &request, &index);
                assert_int_equal(fd < 0 ? fd : (int) index, cases[i].result);
        }
        tree_remove(path);
}

static void what_is_not_named_like_a_library_is_not_asked_for(void **state) {
        static const char *const bad[] = { "", "/etc/shadow", "lib/libc.so.6", "/etc/x.so/shadow", "libc.so.6", "/" };
        static const char *const good[] = { "/lib/libc.so.6", "/etc/ld.so.cache", "/lib64/ld-linux-x86-64.so.2" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(library_path_is_valid(bad[i]));
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(library_path_is_valid(good[i]));
}

static void a_process_that_is_not_of_the_unit_is_not_looked_into(void **state) {
        HelperLibrary request = { .unit = "no-such-unit-at-all.service", .pid = (uint32_t) getpid(), .n_paths = 1, .paths = { "/etc/ld.so.cache" } };
        uint32_t index;

        assert_int_equal(library_open(&request, &index), -ESRCH);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_a_library_that_everybody_may_read_is_handed_over),
                cmocka_unit_test(what_is_not_named_like_a_library_is_not_asked_for),
                cmocka_unit_test(a_process_that_is_not_of_the_unit_is_not_looked_into),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
