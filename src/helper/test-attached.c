/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper/attached.h"
#include "helper/cgroup.h"

/* What stands for the cgroup file system is a directory, too: the id of a control group is its inode. */
typedef struct World {
        char dir[64], root[64];
        int root_fd;
        uint64_t id;
} World;

static int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        strcpy(w->dir, "/tmp/test-attached-XXXXXX");
        strcpy(w->root, "/tmp/test-attached-XXXXXX");
        assert_non_null(mkdtemp(w->dir));
        assert_non_null(mkdtemp(w->root));
        w->root_fd = open(w->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(w->root_fd >= 0);
        assert_int_equal(cgroup_make(w->root_fd, "/a.service", &w->id), 0);
        assert_int_equal(attached_write(w->dir, "a.service", w->id, "/a.service"), 0);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;

        (void) unlinkat(w->root_fd, "a.service", AT_REMOVEDIR);
        assert_int_equal(attached_remove(w->dir, "a.service"), 0);
        assert_int_equal(attached_remove(w->dir, "b.service"), 0);
        assert_int_equal(rmdir(w->dir), 0);
        assert_int_equal(rmdir(w->root), 0);
        close(w->root_fd);
        free(w);
        return 0;
}

static void a_start_is_prepared_in_its_own_control_group_only(void **state) {
        const World *w = *state;
        char unit[HELPER_UNIT_NAME_MAX] = "";

        assert_true(attached_is(w->dir, "a.service", w->id));
        assert_false(attached_is(w->dir, "a.service", w->id + 1));
        assert_false(attached_is(w->dir, "b.service", w->id));
        assert_false(attached_find(w->dir, w->root_fd, "b.service", w->id, unit));
        assert_false(attached_find(w->dir, w->root_fd, "a.service", w->id + 1, unit));
        assert_true(attached_find(w->dir, w->root_fd, "a.service", w->id, unit));
        assert_string_equal(unit, "a.service");
        unit[0] = '\0';
        assert_true(attached_find(w->dir, w->root_fd, "", w->id, unit));
        assert_string_equal(unit, "a.service");
}

static void what_is_gone_can_have_no_start(void **state) {
        World *w = *state;
        char unit[HELPER_UNIT_NAME_MAX];

        assert_int_equal(unlinkat(w->root_fd, "a.service", AT_REMOVEDIR), 0);
        assert_false(attached_find(w->dir, w->root_fd, "a.service", w->id, unit));
        assert_false(attached_find(w->dir, w->root_fd, "", w->id, unit));
        assert_true(attached_is(w->dir, "a.service", w->id));
}

static void a_file_that_does_not_say_where_counts(void **state) {
        const World *w = *state;
        char unit[HELPER_UNIT_NAME_MAX], path[128];
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/b.service", w->dir);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fprintf(f, "77\n") > 0);
        assert_int_equal(fclose(f), 0);
        assert_true(attached_find(w->dir, w->root_fd, "b.service", 77, unit));
        assert_string_equal(unit, "b.service");
        f = fopen(path, "we");
        assert_int_equal(fclose(f), 0);
        assert_false(attached_find(w->dir, w->root_fd, "b.service", 77, unit));
        assert_false(attached_is(w->dir, "b.service", 0));
}

static void the_end_of_one_life_leaves_what_the_next_has_made(void **state) {
        const World *w = *state;

        attached_forget(w->dir, "a.service", w->id + 1);
        attached_forget(w->dir, "", w->id + 1);
        assert_true(attached_is(w->dir, "a.service", w->id));
        attached_forget(w->dir, "", w->id);
        assert_false(attached_is(w->dir, "a.service", w->id));
        assert_int_equal(attached_write(w->dir, "a.service", w->id, "/a.service"), 0);
        attached_forget(w->dir, "a.service", w->id);
        assert_false(attached_is(w->dir, "a.service", w->id));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_start_is_prepared_in_its_own_control_group_only, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_gone_can_have_no_start, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_file_that_does_not_say_where_counts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_end_of_one_life_leaves_what_the_next_has_made, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
