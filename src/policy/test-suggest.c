/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <netinet/in.h>
#include <stdio.h>

#include "policy/suggest.h"
#include "policy/unit-settings.h"

static Suggestion only(SuggestionList *l, const SuggestDenial *d) {
        assert_int_equal(suggest(d, l), 0);
        assert_int_equal(l->n_items, 1);
        return l->items[0];
}

static void each_denial_has_its_line_or_says_why_not(void **state) {
        static const struct {
                SuggestDenial denial;
                const char *line, *why; /* why: part of it */
        } cases[] = {
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=shop env=prod" },
                  "TriremeAccept=app=shop env=prod @port=tcp/80", "no-rule" },
                { { .connect = true, .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=db" },
                  "TriremeConnect=app=db @port=tcp/80", "no-rule" },
                { { .reason = "no-rule", .claimed = true, .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=db" },
                  "TriremeAccept=app=db @port=tcp/80", "did not prove" },
                { { .reason = "not-announced", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=db" },
                  "TriremeAccept=app=db @port=tcp/80", "not-announced" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "", .peer_unit = "a.service" },
                  "TriremeAccept=@sys:unit=a.service @port=tcp/80", "no-rule" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "", .peer_unit = "a\\x2db.service" }, NULL, "no-rule" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "a=x|y" }, NULL, "no-rule" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "a=*" }, NULL, "no-rule" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "a==x b=1" }, "TriremeAccept=b=1 @port=tcp/80", "no-rule" },
                { { .reason = "no-rule", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "a=50%n" }, "TriremeAccept=a=50%%n @port=tcp/80", "no-rule" },
                { { .reason = "no-identity", .address = "192.0.2.1", .protocol = "tcp", .port = 22 }, "TriremeAcceptFrom=192.0.2.1/32 tcp/22", "no-identity" },
                { { .reason = "no-identity", .address = "2001:db8::1", .protocol = "udp", .port = 53 }, "TriremeAcceptFrom=2001:db8::1/128 udp/53", "no-identity" },
                { { .connect = true, .reason = "no-identity", .address = "192.0.2.1", .protocol = "icmp", .port = 0 }, "TriremeConnectTo=192.0.2.1/32 icmp", "no-identity" },
                { { .connect = true, .reason = "no-identity", .address = "192.0.2.1", .protocol = "other", .port = 0 }, NULL, "no-identity" },
                { { .reason = "no-identity", .address = "192.0.2.1", .protocol = "icmp", .port = 0 }, NULL, "no-identity" },
                { { .reason = "rule", .rule = "p.json: Web.ExposureRules[1]", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=db" }, NULL,
                  "192.0.2.1: rejected by p.json: Web.ExposureRules[1], which no line here overrules" },
                { { .reason = "acl", .rule = "x:1", .address = "192.0.2.1", .protocol = "tcp", .port = 80 }, NULL, "rejected by x:1" },
                { { .reason = "unverified", .claimed = true, .address = "192.0.2.1", .protocol = "tcp", .port = 80, .labels = "app=db" }, NULL, "another key" },
                { { .reason = "bad-settings", .address = "192.0.2.1", .protocol = "tcp", .port = 80 }, NULL, "do not parse" },
                { { .reason = "of a later version", .address = "192.0.2.1", .protocol = "tcp", .port = 80 }, NULL, "not known" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(suggestion_list_done) SuggestionList list = {};
                SuggestDenial d = cases[i].denial;
                Suggestion s;

                d.rule = d.rule ?: "";
                d.labels = d.labels ?: "";
                d.peer_unit = d.peer_unit ?: "";
                s = only(&list, &d);
                assert_string_equal(s.line ?: "-", cases[i].line ?: "-");
                if (!strstr(s.why, cases[i].why))
                        fail_msg("case %zu: \"%s\"", i, s.why);
        }
}

static void each_line_stands_once_with_its_count(void **state) {
        SuggestDenial d = { .reason = "no-rule", .rule = "", .address = "192.0.2.1", .protocol = "tcp", .port = 80, .peer_unit = "", .labels = "app=shop" };
        _cleanup_(suggestion_list_done) SuggestionList list = {};

        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(suggest(&d, &list), 0);
        d.address = "192.0.2.2"; /* the same label from elsewhere is the same line */
        assert_int_equal(suggest(&d, &list), 0);
        assert_int_equal(list.n_items, 1);
        assert_int_equal(list.items[0].n_denials, 4);
        d.port = 81;
        assert_int_equal(suggest(&d, &list), 0);
        d.reason = "unverified";
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(suggest(&d, &list), 0);
        assert_int_equal(list.n_items, 3);
        assert_int_equal(list.items[2].n_denials, 2);
}

/* What is suggested parses, and accepts whom it was made for and nobody with one label less. */
static void a_suggested_rule_accepts_the_peer_that_was_denied(void **state) {
        static const char *const labels[] = {
                "app=shop", "app=shop env=prod", "\"note=two words\" app=x", "note=\\x22quoted\\x22", "note=back\\\\slash", "note=\xc3\xa4", ("note=\xe2\x80\xae" "evil"),
                "a%b=100% %x=%n", "k='single'", "a=1 a=2",
        };

        for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
                _cleanup_(tag_set_done) TagSet tags = test_tags(labels[i]);
                _cleanup_(suggestion_list_done) SuggestionList list = {};
                _cleanup_(unit_settings_done) UnitSettings settings = {};
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_free_ char *text = tag_set_format(&tags), *file = NULL;
                const SuggestDenial d = { .reason = "no-rule", .rule = "", .address = "::1", .protocol = "tcp", .port = 80, .peer_unit = "", .labels = text };
                PolicyRequest request = { .tags = &tags, .announced = TAG_FAMILIES_ALL, .protocol = IPPROTO_TCP, .port = 80 };
                Suggestion s = only(&list, &d);

                assert_non_null(s.line);
                assert_true(s.rule && asprintf(&file, "[X-Trireme]\n%s\n", s.line) > 0);
                if (unit_settings_parse(&(ConfigFile) { "x", file, strlen(file) }, 1, &(UnitSpecifiers) { "a.service", "h", "m" }, &settings, &errors) != 1)
                        fail_msg("%s", file);
                assert_int_equal(settings.accept.n_rules, 1);
                assert_int_equal(rule_holds(&settings.accept.rules[0], &request), HOLDS_YES);
                assert_int_equal(settings.accept.rules[0].n_clauses, tags.n_tags + 1);
                request.port = 81;
                assert_int_equal(rule_holds(&settings.accept.rules[0], &request), HOLDS_NO);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_denial_has_its_line_or_says_why_not),
                cmocka_unit_test(each_line_stands_once_with_its_count),
                cmocka_unit_test(a_suggested_rule_accepts_the_peer_that_was_denied),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
