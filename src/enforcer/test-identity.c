/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "enforcer/identity-libraries.h"
#include "enforcer/identity-names.h"
#include "enforcer/identity-output.h"
#include "enforcer/identity-tags.h"

static void the_output_of_a_plug_in_is_read_whole_or_not_at_all(void **state) {
        static const struct {
                const char *text, *tags, *fault; /* fault: part of it */
                bool host;
        } cases[] = {
                { "", "", NULL, false },
                { "a=b\n", "@dmi:a=b", NULL, false },
                { "a=b\n\na=c\n", "@dmi:a=b @dmi:a=c", NULL, false },
                { "# host\na=\n", "@dmi:a=", NULL, true },
                { "#host\n", "", NULL, true },
                { "# hosts\n#\n# a=b\n", "", NULL, false },
                { "label.x/y=a=b c\n", "@dmi:label.x/y=a=b\\x20c", NULL, false },
                { "a=b", NULL, "no end", false },
                { "a=b\nc\n", NULL, "not KEY=VALUE", false },
                { "=b\n", NULL, "not KEY=VALUE", false },
                { "a b=c\n", NULL, "characters", false },
                { "a=\x01\n", NULL, "characters", false },
                { "a=\xff\n", NULL, "characters", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *fault = NULL;
                TagSet tags = {};
                bool host = false;
                int r = plugin_output_parse("dmi", cases[i].text, strlen(cases[i].text), &tags, &host, &fault);
                _cleanup_free_ char *text = tag_set_format(&tags);

                assert_int_equal(r, cases[i].tags ? 0 : -EINVAL);
                assert_string_equal(text, cases[i].tags ?: "");
                assert_int_equal(host, cases[i].host);
                if (cases[i].fault)
                        assert_non_null(strstr(fault, cases[i].fault));
                tag_set_done(&tags);
        }
}

static void a_plug_in_that_prints_too_much_is_not_read(void **state) {
        _cleanup_free_ char *text = malloc(PLUGIN_OUTPUT_MAX + 1);
        const char *fault;
        TagSet tags = {};
        size_t n = 0;
        bool host;

        memset(text, '\n', PLUGIN_OUTPUT_MAX + 1);
        assert_int_equal(plugin_output_parse("dmi", text, PLUGIN_OUTPUT_MAX, &tags, &host, &fault), 0);
        assert_int_equal(plugin_output_parse("dmi", text, PLUGIN_OUTPUT_MAX + 1, &tags, &host, &fault), -EINVAL);
        for (unsigned i = 0; i <= PLUGIN_TAGS_MAX; i++)
                n += (size_t) sprintf(text + n, "k=%u\n", i);
        assert_int_equal(plugin_output_parse("dmi", text, n, &tags, &host, &fault), -EINVAL);
        assert_string_equal(fault, "too many tags");
        assert_int_equal(plugin_output_parse("dmi", "a\0=b\n", 5, &tags, &host, &fault), -EINVAL);
        assert_int_equal(tags.n_tags, 0);
}

static void the_slice_of_a_user_names_the_user(void **state) {
        static const struct {
                const char *unit;
                int result;
                uint32_t uid;
        } cases[] = {
                { "user-0.slice", 0, 0 }, { "user-1000.slice", 0, 1000 }, { "user-4294967295.slice", 0, UINT32_MAX }, { "user-4294967296.slice", -EINVAL, 0 },
                { "user-00.slice", -EINVAL, 0 }, { "user-.slice", -EINVAL, 0 }, { "user-1000-x.slice", -EINVAL, 0 }, { "user-1000.service", -EINVAL, 0 },
                { "user.slice", -EINVAL, 0 }, { "xuser-1.slice", -EINVAL, 0 }, { "user-99999999999.slice", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint32_t uid = 77;

                assert_int_equal(identity_uid_of_slice(cases[i].unit, &uid), cases[i].result);
                assert_int_equal(uid, cases[i].result < 0 ? 77 : cases[i].uid);
        }
}

static void root_is_known_by_name_and_number(void **state) {
        const UserRecord *user;
        IdentityNames *n;
        const char *name;
        uint32_t gid;

        assert_int_equal(identity_names_new(&n), 0);
        assert_int_equal(identity_user_by_uid(n, 0, 1, &user), 0);
        assert_string_equal(user->name, "root");
        assert_int_equal(identity_user_by_name(n, "root", 2, &user), 0);
        assert_int_equal(user->uid, 0);
        assert_true(user->n_groups >= 1);
        assert_int_equal(identity_user_by_name(n, "0", 3 + IDENTITY_NAMES_USEC, &user), 0);
        assert_string_equal(user->name, "root");
        assert_int_equal(identity_group_number(n, "root", 4, &gid), 0);
        assert_int_equal(gid, 0);
        assert_int_equal(identity_group_name(n, 0, 5, &name), 0);
        assert_string_equal(name, "root");
        assert_int_equal(identity_group_number(n, "123", 6, &gid), 0);
        assert_int_equal(gid, 123);
        assert_int_equal(identity_user_by_name(n, "no-such-user-at-all", 7, &user), -ENOENT);
        identity_names_free(n);
}

static void run_paths_are_read_as_the_loader_reads_them(void **state) {
        static const struct {
                const char *directories, *origin, *paths; /* paths: joined by spaces */
                int result;
        } cases[] = {
                { "", "/opt/app", "", 0 }, { "/a", "", "/a/lib.so", 0 }, { "/a:/b", "", "/a/lib.so /b/lib.so", 0 }, { ":/a::", "", "/a/lib.so", 0 },
                { "$ORIGIN", "/opt/app", "/opt/app/lib.so", 0 }, { "${ORIGIN}/../lib:/a", "/opt/app", "/opt/app/../lib/lib.so /a/lib.so", 0 },
                { "$ORIGIN/lib", "", "", -EOPNOTSUPP }, { "$ORIGINAL/lib", "/opt", "", -EOPNOTSUPP }, { "$ORIGIN/$LIB", "/opt", "", -EOPNOTSUPP },
                { "/usr/$LIB", "/opt", "", -EOPNOTSUPP }, { "lib", "/opt", "", -EOPNOTSUPP }, { "/a:../lib", "/opt", "/a/lib.so", -EOPNOTSUPP },
                { "/1:/2:/3:/4:/5:/6:/7:/8:/9:/a:/b:/c:/d:/e:/f:/g:/h", "", NULL, -E2BIG },
        };
        static LibraryPaths p;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[512] = "";

                p.n = 0;
                assert_int_equal(library_paths_add(&p, cases[i].directories, cases[i].origin, "lib.so"), cases[i].result);
                for (size_t k = 0; k < p.n && cases[i].paths; k++)
                        sprintf(text + strlen(text), "%s%s", k > 0 ? " " : "", p.paths[k]);
                if (cases[i].paths)
                        assert_string_equal(text, cases[i].paths);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_output_of_a_plug_in_is_read_whole_or_not_at_all),
                cmocka_unit_test(a_plug_in_that_prints_too_much_is_not_read),
                cmocka_unit_test(the_slice_of_a_user_names_the_user),
                cmocka_unit_test(root_is_known_by_name_and_number),
                cmocka_unit_test(run_paths_are_read_as_the_loader_reads_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
