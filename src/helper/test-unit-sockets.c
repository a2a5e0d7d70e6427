/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "helper/cgroup.h"
#include "helper/unit-sockets.h"

/* What stands for the cgroup file system is a directory: the id of a control group is its inode. */
typedef struct World {
        char root[64];
        Table table;
        TableUnit units[2];
        SocketOwners owners;
} World;

static uint64_t make(const World *w, const char *path) {
        uint64_t id;

        assert_int_equal(cgroup_make(w->owners.cgroup_root_fd, path, &id), 0);
        return id;
}

static int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        strcpy(w->root, "/tmp/test-unit-sockets-XXXXXX");
        assert_non_null(mkdtemp(w->root));
        w->owners = (SocketOwners) { .table = &w->table, .cgroup_root_fd = open(w->root, O_PATH | O_DIRECTORY | O_CLOEXEC), .conntrack_fd = -1 };
        assert_true(w->owners.cgroup_root_fd >= 0);
        w->units[0] = (TableUnit) { .cgroup_id = make(w, "/lab.slice"), .level = 1, .index = 1 };
        w->units[1] = (TableUnit) { .cgroup_id = make(w, "/lab.slice/own.service"), .level = 2, .index = 2 };
        w->table.units = w->units;
        w->table.n_units = 2;
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;
        char command[128];

        (void) snprintf(command, sizeof(command), "rm -rf %s", w->root);
        assert_int_equal(system(command), 0);
        (void) close(w->owners.cgroup_root_fd);
        socket_owners_done(&w->owners);
        free(w);
        return 0;
}

static uint32_t owner(World *w, uint64_t id) {
        const TableUnit *u = cgroup_owner(&w->owners, id);

        return u ? u->index : 0;
}

static void a_group_is_of_the_innermost_unit_above_it(void **state) {
        World *w = *state;

        assert_int_equal(owner(w, w->units[0].cgroup_id), 1);
        assert_int_equal(owner(w, make(w, "/lab.slice/other.service")), 1);
        assert_int_equal(owner(w, make(w, "/lab.slice/other.service/a/b")), 1);
        assert_int_equal(owner(w, w->units[1].cgroup_id), 2);
        assert_int_equal(owner(w, make(w, "/lab.slice/own.service/a/b/c/d/e/f/g/h")), 2);
        assert_int_equal(owner(w, make(w, "/system.slice/x.service")), 0);
        assert_int_equal(owner(w, 0), 0);
}

static void where_a_group_was_stays_known_when_it_is_gone(void **state) {
        World *w = *state;
        uint64_t id = make(w, "/lab.slice/other.service");
        char path[128];

        assert_int_equal(owner(w, id), 1);
        (void) snprintf(path, sizeof(path), "%s/lab.slice/other.service", w->root);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(owner(w, id), 1);
}

static void hundreds_of_groups_that_are_there_or_not_are_told_apart(void **state) {
        World *w = *state;
        uint64_t ids[3 * CGROUPS_MISSING_MAX];

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                char path[64];

                (void) snprintf(path, sizeof(path), "/%s/s%zu.service", i % 2 ? "lab.slice" : "system.slice", i);
                ids[i] = make(w, path);
        }
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                assert_int_equal(owner(w, ids[i]), i % 2);
        for (uint64_t i = 1; i <= 3 * CGROUPS_MISSING_MAX; i++)
                assert_int_equal(owner(w, UINT64_MAX - i), 0);
        assert_int_equal(owner(w, ids[1]), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_group_is_of_the_innermost_unit_above_it, set_up, tear_down),
                cmocka_unit_test_setup_teardown(where_a_group_was_stays_known_when_it_is_gone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(hundreds_of_groups_that_are_there_or_not_are_told_apart, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
