/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "helper/cgroup.h"

static void paths_are_those_of_systemd(void **state) {
        static const struct {
                const char *unit, *slice, *path;
        } cases[] = {
                { "nginx.service", "system.slice", "/system.slice/nginx.service" },
                { "nginx.service", "", "/nginx.service" },
                { "nginx.service", "-.slice", "/nginx.service" },
                { "a@b.service", "system-a.slice", "/system.slice/system-a.slice/a@b.service" },
                { "x.socket", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/x.socket" },
                { "a-b-c.slice", "ignored", "/a.slice/a-b.slice/a-b-c.slice" },
                { "system.slice", "", "/system.slice" },
                { "-.slice", "", "" },
                { "user@1000.service", "user-1000.slice", "/user.slice/user-1000.slice/user@1000.service" },
                { "session-1.scope", "user-0.slice", "/user.slice/user-0.slice/session-1.scope" },
                { "_hidden.service", "system.slice", "/system.slice/__hidden.service" },
                { ".dot.service", "system.slice", "/system.slice/_.dot.service" },
                { "cgroup.service", "system.slice", "/system.slice/_cgroup.service" },
                { "cpu.service", "system.slice", "/system.slice/_cpu.service" },
                { "memory.slice", "", "/_memory.slice" },
                { "memory-x.slice", "", "/_memory.slice/memory-x.slice" },
                { "cpus.service", "system.slice", "/system.slice/cpus.service" },
                { "dev-sda\\x2d1.service", "system.slice", "/system.slice/dev-sda\\x2d1.service" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char path[HELPER_CGROUP_MAX] = "unset";

                assert_int_equal(cgroup_path_of_unit(cases[i].unit, cases[i].slice, path), 0);
                assert_string_equal(path, cases[i].path);
        }
}

static void what_is_no_unit_has_no_path(void **state) {
        static const struct {
                const char *unit, *slice;
                int result;
        } cases[] = {
                { "", "system.slice", -EINVAL }, { "nginx", "system.slice", -EINVAL }, { ".service", "system.slice", -EINVAL },
                { "../x.service", "system.slice", -EINVAL }, { "a/b.service", "system.slice", -EINVAL }, { "a b.service", "system.slice", -EINVAL },
                { "x@.service", "system.slice", -EINVAL }, { "@x.service", "system.slice", -EINVAL }, { "x.timer", "system.slice", -EINVAL },
                { "x.service", "system.service", -EINVAL }, { "x.service", "../system.slice", -EINVAL }, { "x.service", "a--b.slice", -EINVAL },
                { "a--b.slice", "", -EINVAL }, { "-a.slice", "", -EINVAL }, { "a-.slice", "", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char path[HELPER_CGROUP_MAX] = "unset";

                assert_int_equal(cgroup_path_of_unit(cases[i].unit, cases[i].slice, path), cases[i].result);
                assert_string_equal(path, "unset");
        }
}

static void a_name_without_end_is_no_unit_name(void **state) {
        char name[HELPER_UNIT_NAME_MAX + 16];

        memset(name, 'a', sizeof(name));
        memcpy(name + sizeof(name) - sizeof(".service"), ".service", sizeof(".service"));
        assert_false(unit_name_is_valid(name));
        assert_true(unit_name_is_valid(name + 16)); /* 255 bytes, the longest there is */
}

static void levels_are_counted_and_names_unescaped(void **state) {
        assert_int_equal(cgroup_level(""), 0);
        assert_int_equal(cgroup_level("/"), 0);
        assert_int_equal(cgroup_level("/a.slice"), 1);
        assert_int_equal(cgroup_level("/a.slice/b.service"), 2);
        assert_string_equal(cgroup_unit_of_path("/a.slice/b.service"), "b.service");
        assert_string_equal(cgroup_unit_of_path("/a.slice/_cpu.service"), "cpu.service");
        assert_string_equal(cgroup_unit_of_path("/"), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(paths_are_those_of_systemd),
                cmocka_unit_test(what_is_no_unit_has_no_path),
                cmocka_unit_test(a_name_without_end_is_no_unit_name),
                cmocka_unit_test(levels_are_counted_and_names_unescaped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
