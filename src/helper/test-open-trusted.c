/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "helper/open-trusted.h"
#include "util/fd.h"

/* A tree of its own:  bin/ good  open(group may write)  link->good  up->../bin/good  out->../../../../etc/passwd  root->/bin/good  loop->loop  usr->bin
 *                     loose/(others may write) good */
static int tree_make(char *path) {
        static const struct {
                const char *name, *target; /* target NULL: a file or, with "/", a directory */
                mode_t mode;
        } entries[] = {
                { "bin/", NULL, 0755 }, { "bin/good", NULL, 0755 }, { "bin/open", NULL, 0775 }, { "bin/link", "good", 0 }, { "bin/up", "../bin/good", 0 },
                { "bin/out", "../../../../../../etc/passwd", 0 }, { "bin/root", "/bin/good", 0 }, { "bin/loop", "loop", 0 }, { "usr", "bin", 0 },
                { "loose/", NULL, 0777 }, { "loose/good", NULL, 0755 }, { "bin/by-loose", "../loose/good", 0 }, { "bin/nothing", "none", 0 }, { "bin/up-loose", "../loose/../bin/good", 0 },
        };
        int root;

        assert_non_null(mkdtemp(path));
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                const char *name = entries[i].name;

                if (entries[i].target)
                        assert_int_equal(symlinkat(entries[i].target, root, name), 0);
                else if (name[strlen(name) - 1] == '/')
                        assert_int_equal(mkdirat(root, name, 0755), 0);
                else {
                        _cleanup_close_ int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

                        assert_true(fd >= 0);
                        assert_true(write(fd, name, strlen(name)) > 0);
                }
                if (!entries[i].target)
                        assert_int_equal(fchmodat(root, name, entries[i].mode, 0), 0);
        }
        return root;
}

static void a_path_is_walked_as_far_as_nobody_else_can_turn_it(void **state) {
        static const struct {
                const char *path;
                int result;
        } cases[] = {
                { "/bin/good", 0 }, { "/bin/link", 0 }, { "/bin/up", 0 }, { "/bin/root", 0 }, { "/usr/good", 0 }, { "//bin/./good", 0 }, { "/../../bin/good", 0 },
                { "/bin/../../bin/good", 0 }, { "/bin/open", -EPERM }, { "/loose/good", -EPERM }, { "/bin/by-loose", -EPERM }, { "/bin/up-loose", -EPERM },
                { "/bin/out", -ENOENT }, { "/bin/loop", -ELOOP }, { "/bin/nothing", -ENOENT }, { "/bin/good/x", -ENOTDIR }, { "bin/good", -EINVAL },
        };
        char path[] = "/tmp/trireme-test-XXXXXX", command[64];
        _cleanup_close_ int root = tree_make(path);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_close_ int fd = open_trusted(root, cases[i].path, getuid()), file = -1;
                char text[16] = "";

                if (cases[i].result < 0 ? fd != cases[i].result : fd < 0)
                        fail_msg("%s: %d", cases[i].path, fd);
                if (fd < 0)
                        continue;
                file = reopen_regular(fd);
                assert_true(file >= 0);
                assert_int_equal(read(file, text, sizeof(text) - 1), strlen("bin/good"));
                assert_string_equal(text, "bin/good");
        }
        (void) snprintf(command, sizeof(command), "rm -r %s", path);
        assert_int_equal(system(command), 0);
}

static void what_belongs_to_another_user_is_refused(void **state) {
        char path[] = "/tmp/trireme-test-XXXXXX", command[64];
        _cleanup_close_ int root = tree_make(path);

        assert_int_equal(open_trusted(root, "/bin/good", getuid() + 1), -EPERM);
        (void) snprintf(command, sizeof(command), "rm -r %s", path);
        assert_int_equal(system(command), 0);
}

static void only_regular_files_are_opened_for_reading(void **state) {
        _cleanup_close_ int directory = open("/tmp", O_PATH | O_CLOEXEC), device = open("/dev/null", O_PATH | O_CLOEXEC);

        assert_int_equal(reopen_regular(directory), -EBADF);
        assert_int_equal(reopen_regular(device), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_path_is_walked_as_far_as_nobody_else_can_turn_it),
                cmocka_unit_test(what_belongs_to_another_user_is_refused),
                cmocka_unit_test(only_regular_files_are_opened_for_reading),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
