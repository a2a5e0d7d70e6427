/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <errno.h>
#include <stdio.h>

static void keys_belong_to_families(void **state) {
        static const struct {
                const char *key;
                int family;
        } cases[] = {
                { "@usr:app", TAG_FAMILY_LABELS },       { "@usr:@odd", TAG_FAMILY_LABELS },   { "@sys:unit", TAG_FAMILY_UNIT },
                { "@sys:exe", TAG_FAMILY_EXE },          { "@sys:exe.sha256", TAG_FAMILY_EXE_SHA256 }, { "@sys:exe.verity", TAG_FAMILY_EXE_VERITY },
                { "@sys:lib", TAG_FAMILY_LIB },          { "@sys:user", TAG_FAMILY_USER },     { "@sys:uid", TAG_FAMILY_UID },
                { "@sys:group", TAG_FAMILY_GROUP },      { "@sys:gid", TAG_FAMILY_GID },       { "@sys:groups", TAG_FAMILY_GROUPS },
                { "@sys:selinux", TAG_FAMILY_SELINUX },  { "@sys:apparmor", TAG_FAMILY_APPARMOR }, { "@sys:host", TAG_FAMILY_HOST },
                { "@sys:machine", TAG_FAMILY_MACHINE },  { "@cloud:region", TAG_FAMILY_PLUGIN }, { "@a-b_9:x:y", TAG_FAMILY_PLUGIN },
                { "@port", -ENOENT },    { "@port:x", -ENOENT },     { "@usr:", -ENOENT },    { "@sys:", -ENOENT },   { "@sys:labels", -ENOENT },
                { "@sys:plug-ins", -ENOENT }, { "@sys:nothing", -ENOENT }, { "@sys:exe.md5", -ENOENT }, { "@", -ENOENT }, { "@:x", -ENOENT },
                { "@cloud:", -ENOENT },  { "@Cloud:x", -ENOENT },    { "app", -ENOENT },      { "$controller", -ENOENT }, { "", -ENOENT },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (tag_family(cases[i].key) != cases[i].family)
                        fail_msg("%s: %d", cases[i].key, tag_family(cases[i].key));
        for (int f = 0; f < _TAG_FAMILY_MAX; f++)
                assert_int_equal(tag_family_from_string(tag_family_to_string(f)), f);
}

static void bare_keys_are_labels(void **state) {
        static const struct {
                const char *key, *full; /* NULL: refused */
                int r;
        } cases[] = {
                { "app", "@usr:app", 0 },        { "@usr:app", "@usr:app", 0 },  { "@sys:user", "@sys:user", 0 }, { "@port", "@port", 0 },
                { "@cloud:zone", "@cloud:zone", 0 }, { "a@b", "@usr:a@b", 0 },   { "gr\xc3\xb6\xc3\x9f" "e", "@usr:gr\xc3\xb6\xc3\x9f" "e", 0 },
                { "", NULL, -EINVAL },           { "a b", NULL, -EINVAL },       { "a=b", NULL, -EINVAL },        { "a!", NULL, -EINVAL },
                { "a|b", NULL, -EINVAL },        { "a*", NULL, -EINVAL },        { "\xff", NULL, -EINVAL },       { "a\n", NULL, -EINVAL },
                { "@nobody", NULL, -ENOENT },    { "@sys:x", NULL, -ENOENT },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *full = NULL;

                assert_int_equal(tag_key_normalize(cases[i].key, &full), cases[i].r);
                assert_string_equal(full ? full : "-", cases[i].full ? cases[i].full : "-");
        }
}

static void sets_are_sorted_and_without_duplicates(void **state) {
        _cleanup_(tag_set_done) TagSet a = {}, b = {};
        size_t n;

        assert_int_equal(tag_set_add(&a, "@usr:b", "2"), 0);
        assert_int_equal(tag_set_add(&a, "@usr:b", "10"), 0);
        assert_int_equal(tag_set_add(&a, "@usr:a", "1"), 0);
        assert_int_equal(tag_set_add(&a, "@usr:b", "2"), 0);
        assert_int_equal(tag_set_add(&a, "@sys:user", "x"), 0);
        assert_int_equal(tag_set_add(&a, "@usr:ba", "3"), 0);
        assert_int_equal(a.n_tags, 5);
        for (size_t i = 1; i < a.n_tags; i++) {
                int c = strcmp(a.tags[i - 1].key, a.tags[i].key);

                assert_true(c < 0 || (c == 0 && strcmp(a.tags[i - 1].value, a.tags[i].value) < 0));
        }
        assert_string_equal(tag_set_find(&a, "@usr:b", &n)->value, "10");
        assert_int_equal(n, 2);
        (void) tag_set_find(&a, "@usr:c", &n);
        assert_int_equal(n, 0);
        assert_true(tag_set_has(&a, "@usr:b", "2"));
        assert_false(tag_set_has(&a, "@usr:b", "1"));
        assert_false(tag_set_equal(&a, &b));
        assert_int_equal(tag_set_merge(&b, &a), 0);
        assert_true(tag_set_equal(&a, &b));
}

static void a_set_has_a_bound(void **state) {
        _cleanup_(tag_set_done) TagSet s = {};
        char value[16];

        for (unsigned i = 0; i < TAGS_MAX; i++) {
                snprintf(value, sizeof(value), "%u", i);
                assert_int_equal(tag_set_add(&s, "@usr:k", value), 0);
        }
        assert_int_equal(tag_set_add(&s, "@usr:k", "one more"), -E2BIG);
        assert_int_equal(tag_set_add(&s, "@usr:k", "0"), 0);
        assert_int_equal(s.n_tags, TAGS_MAX);
}

static void a_token_with_a_foreign_tag_is_rejected_whole(void **state) {
        static const struct {
                const char *key, *value;
                unsigned families;
                int r;
        } cases[] = {
                { "@usr:app", "web", 0x0001, 0 },
                { "@usr:app", "", 0x0001, 0 },
                { "@cloud:zone", "x", 0x8001, 0 },
                { "@port", "tcp/22", 0xffff, -EPROTONOSUPPORT },
                { "@sys:future", "x", 0xffff, -EPROTONOSUPPORT },
                { "app", "web", 0xffff, -EPROTONOSUPPORT },
                { "$controller", "x", 0xffff, -EPROTONOSUPPORT },
                { "@sys:user", "root", 0x0001, -EBADMSG },       /* not among the announced */
                { "@cloud:zone", "x", 0x0001, -EBADMSG },
                { "@usr:a=b", "c", 0xffff, -EBADMSG },           /* would print like another tag */
                { "@usr:app", "a\nb", 0xffff, -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(tag_set_done) TagSet s = {};
                Token t = { .families = (uint16_t) cases[i].families, .n_tags = 2 };
                int r;

                t.tags[0] = (TokenTag) { "@usr:a", "b", 6, 1 };
                t.tags[1] = (TokenTag) { cases[i].key, cases[i].value, (uint8_t) strlen(cases[i].key), (uint8_t) strlen(cases[i].value) };
                r = tag_set_from_token(&t, &s);
                if (r != cases[i].r)
                        fail_msg("%s=%s: %d", cases[i].key, cases[i].value, r);
                assert_int_equal(s.n_tags, r == 0 ? 2 : 0);
        }
}

static void what_is_printed_cannot_deceive(void **state) {
        static const struct {
                const char *text, *escaped;
        } cases[] = {
                { "plain-1.2/x", "plain-1.2/x" },
                { "a b", "a\\x20b" },
                { "a\"b'c\\d", "a\\x22b\\x27c\\x5cd" },
                { "\x1b[31m\n\x7f", "\\x1b[31m\\x0a\\x7f" },
                { "gr\xc3\xb6\xc3\x9f" "e", "gr\xc3\xb6\xc3\x9f" "e" },
                { "\xc2\x85", "\\xc2\\x85" },                         /* NEL, a C1 control */
                { "a\xe2\x80\xaeg", "a\\xe2\\x80\\xaeg" },            /* right-to-left override */
                { "a\xe2\x80\x8b" "b", "a\\xe2\\x80\\x8bb" },         /* zero width space */
                { "a\xc2\xa0" "b", "a\\xc2\\xa0b" },                  /* no-break space */
                { "\xff\xc3", "\\xff\\xc3" },
                { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *escaped = tag_escape(cases[i].text);

                assert_string_equal(escaped, cases[i].escaped);
        }
}

static void clauses_print_as_they_are_written(void **state) {
        static const char *const cases[] = {
                "app=web", "app=a|b*", "app!=a|b", "team", "!team", "@sys:user=root", "@port=tcp/5432", "@cloud:zone!=a*", "\"name=a b\"", "\"x=\\\"\"", "app=*",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Rule rule = test_rule(cases[i]);
                _cleanup_free_ char *text = rule_format(&rule);

                assert_string_equal(text, cases[i]);
                rule_done(&rule);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keys_belong_to_families),
                cmocka_unit_test(bare_keys_are_labels),
                cmocka_unit_test(sets_are_sorted_and_without_duplicates),
                cmocka_unit_test(a_set_has_a_bound),
                cmocka_unit_test(a_token_with_a_foreign_tag_is_rejected_whole),
                cmocka_unit_test(what_is_printed_cannot_deceive),
                cmocka_unit_test(clauses_print_as_they_are_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
