/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/listen.h"

static void set(const char *pid, const char *fds, const char *names) {
        char own[16];

        (void) snprintf(own, sizeof(own), "%d", getpid());
        assert_int_equal(pid ? setenv("LISTEN_PID", *pid ? pid : own, 1) : unsetenv("LISTEN_PID"), 0);
        assert_int_equal(fds ? setenv("LISTEN_FDS", fds, 1) : unsetenv("LISTEN_FDS"), 0);
        assert_int_equal(names ? setenv("LISTEN_FDNAMES", names, 1) : unsetenv("LISTEN_FDNAMES"), 0);
}

static void test_none(void **state) {
        set(NULL, NULL, NULL);
        assert_int_equal(listen_fds(), 0);
        set("1", "2", NULL); /* another process's */
        assert_int_equal(listen_fds(), 0);
        set("", NULL, NULL);
        assert_int_equal(listen_fds(), 0);
        assert_false(listen_fd_has_name(0, "control"));
}

static void test_bad(void **state) {
        static const char *const bad[] = { "x", "-1", "1x", "9999999999", "2147483647", " " };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                set("", bad[i], NULL);
                assert_int_equal(listen_fds(), -EINVAL);
                set(bad[i], "1", NULL);
                assert_int_equal(listen_fds(), -EINVAL);
        }
}

static void test_passed(void **state) {
        assert_true(dup2(STDERR_FILENO, LISTEN_FDS_START) == LISTEN_FDS_START && dup2(STDERR_FILENO, LISTEN_FDS_START + 1) == LISTEN_FDS_START + 1);
        set("", "2", "control:queue-0");
        assert_int_equal(listen_fds(), 2);
        for (int i = 0; i < 2; i++)
                assert_int_equal(fcntl(LISTEN_FDS_START + i, F_GETFD), FD_CLOEXEC);
        close(LISTEN_FDS_START + 1);
        assert_int_equal(listen_fds(), -EBADF);
}

static void test_names(void **state) {
        set("", "3", "control:queue-0:queue-01");
        assert_true(listen_fd_has_name(0, "control"));
        assert_false(listen_fd_has_name(0, "contro"));
        assert_false(listen_fd_has_name(0, "control:queue-0"));
        assert_true(listen_fd_has_name(1, "queue-0"));
        assert_false(listen_fd_has_name(2, "queue-0"));
        assert_true(listen_fd_has_name(2, "queue-01"));
        assert_false(listen_fd_has_name(3, ""));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_passed),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
