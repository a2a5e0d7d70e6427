/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <netinet/in.h>

#include "policy/policy-check.h"

static char *warnings_of(const char *rejects, const char *accepts) {
        _cleanup_(rule_set_unrefp) RuleSet *r = test_rules(rejects), *a = test_rules(accepts);
        _cleanup_(config_errors_done) ConfigErrors warnings = {};

        assert_int_equal(policy_check_side(&(const PolicySide) { .rejects = r, .accepts = a }, &warnings), 0);
        return warnings.n_errors > 0 ? config_errors_format(&warnings) : strdup("");
}

static void rules_that_can_never_match_are_named_and_no_others(void **state) {
        static const struct {
                const char *rejects, *accepts, *warning; /* warning: part of it; NULL: none */
        } cases[] = {
                { "", "app=web env!=test", NULL },
                { "", "app=web !app", "app=web !app: can never match: app=web and !app exclude each other" },
                { "", "app !app", "exclude each other" },
                { "", "app=web app!=web", "exclude each other" },
                { "", "app=web|api app!=web", NULL },
                { "", "app=web|api app!=web|api", "exclude each other" },
                { "", "app=webshop app!=web*", "exclude each other" },
                { "", "app=web* app!=webshop", NULL },
                { "", "app=web app=api", NULL },             /* a key may have several values */
                { "", "@port=tcp/80 @port=tcp/443", "exclude each other" },
                { "", "@port=tcp/80|tcp/443 @port=tcp/443", NULL },
                { "app=web", "app=web", "never accepts anything" },
                { "app=web", "app=web env=prod", "never accepts anything: whom it names is rejected by app=web" },
                { "app=web env=prod", "app=web", NULL },
                { "app=web*", "app=webshop|web", "never accepts" },
                { "app=web", "app=web|api", NULL },
                { "app", "app=web", "never accepts" },
                { "env!=prod", "app=web !env", "never accepts" },
                { "env!=prod", "app=web env!=prod|test", "never accepts" },
                { "env!=prod|test", "app=web env!=prod", NULL },
                { "!env", "app=web env!=prod", NULL },
                { "other=web", "app=web", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = warnings_of(cases[i].rejects, cases[i].accepts);

                if (cases[i].warning ? !strstr(text, cases[i].warning) : *text != 0)
                        fail_msg("reject %s, accept %s: \"%s\"", cases[i].rejects, cases[i].accepts, text);
        }
}

static void entries_behind_a_reject_are_named(void **state) {
        static const struct {
                const char *address, *protocol;
                bool reject, warned;
        } entries[] = {
                { "10.0.0.0/8", "tcp/22-23", true, false },
                { "10.1.0.0/16", "tcp/22", false, true },
                { "10.1.0.0/16", "tcp/24", false, false },
                { "10.1.0.0/16", "tcp/23-24", false, false },
                { "10.1.0.0/16", "udp/22", false, false },
                { "0.0.0.0/0", "tcp/22", false, false },
        };
        _cleanup_(config_errors_done) ConfigErrors warnings = {};
        AclList list = {};
        const char *fault;

        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                char *words[] = { (char *) entries[i].address, (char *) entries[i].protocol }, name[2] = { (char) ('0' + i) };
                AclList one = {};

                assert_int_equal(acl_parse(words, 2, ACL_TCP_UDP, name, &one, &fault), 0);
                one.entries[0].reject = entries[i].reject;
                assert_int_equal(acl_list_merge(&list, &one), 0);
                acl_list_done(&one);
        }
        assert_int_equal(policy_check_acl(&list, &warnings), 0);
        assert_int_equal(warnings.n_errors, 1);
        assert_string_equal(warnings.errors[0].path, "1");
        acl_list_done(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rules_that_can_never_match_are_named_and_no_others),
                cmocka_unit_test(entries_behind_a_reject_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
