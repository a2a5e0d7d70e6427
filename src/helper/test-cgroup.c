/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* What stands for the cgroup file system is a directory, too. */
typedef struct World {
        char root[64];
        int root_fd;
} World;

static int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        strcpy(w->root, "/tmp/test-cgroup-XXXXXX");
        assert_non_null(mkdtemp(w->root));
        w->root_fd = open(w->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(w->root_fd >= 0);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;
        char command[128];

        (void) snprintf(command, sizeof(command), "rm -rf %s", w->root);
        assert_int_equal(system(command), 0);
        (void) close(w->root_fd);
        free(w);
        return 0;
}

static uint64_t make(const World *w, const char *path, const char *file, const char *text) {
        char name[256];
        uint64_t id;

        assert_int_equal(cgroup_make(w->root_fd, path, &id), 0);
        (void) snprintf(name, sizeof(name), "%s%s/%s", w->root, path, file ?: "cgroup.procs");
        FILE *f = fopen(name, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        return id;
}

typedef struct Seen {
        uint64_t ids[8], leave_out;
        uint32_t depths[8];
        size_t n;
} Seen;

static int on_seen(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        Seen *s = userdata;
        struct stat st;

        assert_int_equal(fstatat(at, name, &st, 0), 0);
        assert_int_equal(st.st_ino, id);
        assert_true(s->n < 8);
        s->ids[s->n] = id;
        s->depths[s->n++] = depth;
        return id == s->leave_out;
}

static void all_groups_below_one_are_seen_before_what_is_in_them(void **state) {
        const World *w = *state;
        uint64_t a = make(w, "/s.slice/a.service", NULL, ""), x = make(w, "/s.slice/a.service/x", NULL, ""), y = make(w, "/s.slice/a.service/x/y", NULL, "");
        Seen all = {}, some = { .leave_out = x }, none = {};

        make(w, "/s.slice/b.service/z", NULL, "");
        assert_int_equal(cgroup_walk(w->root_fd, "/s.slice/a.service", on_seen, &all), 0);
        assert_int_equal(all.n, 2);
        assert_int_equal(all.ids[0], x);
        assert_int_equal(all.ids[1], y);
        assert_int_equal(all.depths[1], 2);
        assert_int_equal(cgroup_walk(w->root_fd, "/s.slice/a.service", on_seen, &some), 0);
        assert_int_equal(some.n, 1);
        assert_int_equal(cgroup_walk(w->root_fd, "/s.slice/c.service", on_seen, &none), 0);
        assert_int_equal(cgroup_walk(w->root_fd, "/s.slice/../..", on_seen, &none), -EINVAL);
        assert_int_equal(cgroup_walk(w->root_fd, "/..", on_seen, &none), -EINVAL);
        assert_int_equal(none.n, 0);
        all.n = 0;
        assert_int_equal(cgroup_walk(w->root_fd, "", on_seen, &all), 0);
        assert_int_equal(all.n, 6);
        assert_true(a != 0);
}

static int on_counted(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        ++*(unsigned *) userdata;
        return 0;
}

static void what_lies_too_deep_is_said_to_be_left_out(void **state) {
        const World *w = *state;
        char path[4 * CGROUP_DEPTH_MAX] = "";
        unsigned n = 0;

        for (unsigned i = 0; i < CGROUP_DEPTH_MAX + 2; i++)
                strcat(path, "/d");
        make(w, path, NULL, "");
        make(w, "/e", NULL, "");
        assert_int_equal(cgroup_walk(w->root_fd, "", on_counted, &n), -ELOOP);
        assert_int_equal(n, CGROUP_DEPTH_MAX + 1); /* and the others all the same */
}

static void a_group_is_populated_as_its_events_say(void **state) {
        const World *w = *state;
        uint64_t full = make(w, "/full.service", "cgroup.events", "populated 1\nfrozen 0\n"), empty = make(w, "/empty.service", "cgroup.events", "populated 0\nfrozen 1\n");

        assert_int_equal(cgroup_is_populated(w->root_fd, full, "/full.service"), 1);
        assert_int_equal(cgroup_is_populated(w->root_fd, full, ""), 1);
        assert_int_equal(cgroup_is_populated(w->root_fd, empty, "/empty.service"), 0);
        assert_int_equal(cgroup_is_populated(w->root_fd, empty, ""), 0);
        assert_int_equal(cgroup_is_populated(w->root_fd, full + 12345, "/full.service"), 0); /* another life's */
        assert_int_equal(cgroup_is_populated(w->root_fd, full, "/gone.service"), 0);
        assert_int_equal(cgroup_is_populated(w->root_fd, full + 12345, ""), 0);
        assert_int_equal(cgroup_is_populated(w->root_fd, full, "/../full.service"), -EINVAL);
        assert_int_equal(cgroup_is_populated(w->root_fd, make(w, "/odd.service", "cgroup.events", "nonsense\n"), "/odd.service"), -EBADMSG);
}

static void groups_that_are_gone_but_in_use_are_counted(void **state) {
        const World *w = *state;
        uint64_t n = 7;

        make(w, "/a.service", "cgroup.stat", "nr_descendants 2\nnr_dying_descendants 3\n");
        make(w, "/b.service", "cgroup.stat", "nr_descendants 2\n");
        assert_int_equal(cgroup_count_dying(w->root_fd, "/a.service", &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(cgroup_count_dying(w->root_fd, "/b.service", &n), -EBADMSG);
        assert_int_equal(cgroup_count_dying(w->root_fd, "/c.service", &n), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(paths_are_those_of_systemd),
                cmocka_unit_test(what_is_no_unit_has_no_path),
                cmocka_unit_test(a_name_without_end_is_no_unit_name),
                cmocka_unit_test(levels_are_counted_and_names_unescaped),
                cmocka_unit_test_setup_teardown(all_groups_below_one_are_seen_before_what_is_in_them, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_lies_too_deep_is_said_to_be_left_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_group_is_populated_as_its_events_say, set_up, tear_down),
                cmocka_unit_test_setup_teardown(groups_that_are_gone_but_in_use_are_counted, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
