/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "helper/identity.h"
#include "util/fd.h"

static void write_file(int directory, const char *name, const char *text, size_t n) {
        _cleanup_close_ int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, n), n);
}

/* As the kernel writes them: AppArmor with a newline, SELinux with a NUL behind it, and each of them nothing where it is not in use. */
static void labels_are_read_as_the_kernel_writes_them(void **state) {
        static const struct {
                const char *apparmor, *current;
                size_t current_len;
                bool selinux;
                const char *want_apparmor, *want_selinux;
        } cases[] = {
                { "lab-nginx (enforce)\n", "", 0, false, "lab-nginx (enforce)", "" }, { "unconfined\n", "unconfined\n", 11, false, "unconfined", "" },
                { "", "system_u:system_r:httpd_t:s0", 29, true, "", "system_u:system_r:httpd_t:s0" }, { NULL, NULL, 0, true, "", "" },
                { "lab//child (complain)\n", "u:r:t:s0-s0:c0.c1023", 21, true, "lab//child (complain)", "u:r:t:s0-s0:c0.c1023" },
        };
        char path[] = "/tmp/trireme-test-XXXXXX", long_label[HELPER_NAME_MAX + 1];
        _cleanup_close_ int fd = -1;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(fd, "attr", 0700), 0);
        assert_int_equal(mkdirat(fd, "attr/apparmor", 0700), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HelperCredentials c = {};

                (void) unlinkat(fd, "attr/apparmor/current", 0);
                (void) unlinkat(fd, "attr/current", 0);
                if (cases[i].apparmor)
                        write_file(fd, "attr/apparmor/current", cases[i].apparmor, strlen(cases[i].apparmor));
                if (cases[i].current)
                        write_file(fd, "attr/current", cases[i].current, cases[i].current_len);
                identity_read_labels(fd, cases[i].selinux, &c);
                assert_string_equal(c.apparmor, cases[i].want_apparmor);
                assert_string_equal(c.selinux, cases[i].want_selinux);
        }
        memset(long_label, 'a', sizeof(long_label));
        write_file(fd, "attr/apparmor/current", long_label, sizeof(long_label));
        {
                HelperCredentials c = {};

                identity_read_labels(fd, false, &c);
                assert_string_equal(c.apparmor, "");
        }
        assert_int_equal(unlinkat(fd, "attr/apparmor/current", 0), 0);
        (void) unlinkat(fd, "attr/current", 0);
        assert_int_equal(unlinkat(fd, "attr/apparmor", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(fd, "attr", AT_REMOVEDIR), 0);
        assert_int_equal(rmdir(path), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(labels_are_read_as_the_kernel_writes_them) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
