/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/constraint.h"

static void a_uri_is_a_key_and_a_pattern_percent_encoded(void **state) {
        static const struct {
                const char *uri, *text; /* text: as people read it; NULL: refused */
                bool prefix;
        } cases[] = {
                { "trireme:app=web", "app=web", false },
                { "TriReme:app=web", "app=web", false },
                { "trireme:app=web*", "app=web*", true },
                { "trireme:app=*", "app=*", true },
                { "trireme:app=", "app=", false },
                { "trireme:*", "*", false },
                { "trireme:app=a*b", "app=a*b", false },
                { "trireme:app=web%2A", "app=web*", false },
                { "trireme:team=R%26D", "team=R&D", false },
                { "trireme:app=a=b", "app=a=b", false },
                { "trireme:app=caf%C3%A9", "app=caf\xc3\xa9", false },
                { "trireme:@plug:color=red", "@plug:color=red", false },
                { "trireme:%40plug:color=red", "@plug:color=red", false },
                { "trireme:@usr:app=web", "app=web", false },
                { "trireme:", NULL, false },
                { "trireme:app", NULL, false },
                { "trireme:=web", NULL, false },
                { "trireme:**", NULL, false },
                { "trireme:%2A", NULL, false },
                { "trireme:@sys:uid=0", NULL, false },
                { "trireme:%40sys:uid=0", NULL, false },
                { "trireme:@port=tcp/80", NULL, false },
                { "trireme:@unknown=1", NULL, false },
                { "trireme:app=a%0", NULL, false },
                { "trireme:app=a%", NULL, false },
                { "trireme:app=a%zz", NULL, false },
                { "trireme:app=a%00", NULL, false },
                { "trireme:app=a%0A", NULL, false },
                { "trireme:app=%C3", NULL, false },
                { "triremes:app=web", NULL, false },
                { "trireme", NULL, false },
                { "", NULL, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Constraint c = { .depth = 99 };
                _cleanup_free_ char *text = NULL;
                int r = constraint_parse(cases[i].uri, 3, &c);

                if (!cases[i].text) {
                        if (r != -EINVAL)
                                fail_msg("%s: %d", cases[i].uri, r);
                        assert_int_equal(c.depth, 99);
                        continue;
                }
                if (r != 0)
                        fail_msg("%s: %d", cases[i].uri, r);
                text = constraint_format(&c);
                assert_string_equal(text, cases[i].text);
                assert_int_equal(c.prefix, cases[i].prefix);
                assert_int_equal(c.depth, 3);
                constraint_done(&c);
        }
}

static void a_label_becomes_the_uri_that_parses_to_it(void **state) {
        static const struct {
                const char *label, *uri;
        } cases[] = {
                { "app=web", "trireme:app=web" }, { "env=dev*", "trireme:env=dev*" }, { "*", "trireme:*" }, { "a=x*y", "trireme:a=x%2Ay" },
                { "team=R&D \xc3\xa9", "trireme:team=R%26D%20%C3%A9" }, { "app", NULL }, { "@sys:uid=0", NULL }, { "", NULL }, { "a=\n", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *uri = NULL;
                int r = constraint_to_uri(cases[i].label, &uri);

                assert_int_equal(r, cases[i].uri ? 0 : -EINVAL);
                if (cases[i].uri)
                        assert_string_equal(uri, cases[i].uri);
        }
}

/* "0 URI", "1 URI", "d HOST": the certificate's own, its issuer's, a DNS name. */
static void make_info(const char *const *names, CertificateInfo *ret) {
        size_t used = 0;

        *ret = (CertificateInfo) {};
        for (; *names; names++) {
                CertificateName *n = &ret->names[ret->n_names++];

                n->kind = (*names)[0] == 'd' ? CERTIFICATE_DNS : CERTIFICATE_URI;
                n->depth = (*names)[0] == 'd' ? 0 : (uint8_t) ((*names)[0] - '0');
                n->offset = (uint16_t) used;
                used = (size_t) (stpcpy(ret->text + used, *names + 2) - ret->text) + 1;
        }
}

static void each_level_with_names_has_to_allow_a_label(void **state) {
        static const struct {
                const char *names[6], *tags;
                ConstraintFault fault;
                const char *key; /* of the tag that is named */
        } cases[] = {
                { { NULL }, "", CONSTRAINT_OK, NULL },
                { { NULL }, "app=web", CONSTRAINT_NO_TAGS, "@usr:app" },
                { { NULL }, "@sys:uid=0 @sys:unit=a.service", CONSTRAINT_OK, NULL },
                { { NULL }, "@sys:host=h", CONSTRAINT_HOST, "@sys:host" },
                { { "d h", "d g" }, "@sys:host=g", CONSTRAINT_OK, NULL },
                { { "d h" }, "@sys:host=H", CONSTRAINT_HOST, "@sys:host" },
                { { "d h" }, "@sys:host=h.example", CONSTRAINT_HOST, "@sys:host" },
                { { "d h" }, "app=h", CONSTRAINT_NO_TAGS, "@usr:app" },
                { { "0 trireme:app=web" }, "app=web", CONSTRAINT_OK, NULL },
                { { "0 trireme:app=web" }, "app=webb", CONSTRAINT_TAGS, "@usr:app" },
                { { "0 trireme:app=web" }, "app=we", CONSTRAINT_TAGS, "@usr:app" },
                { { "0 trireme:app=web" }, "app=web env=dev", CONSTRAINT_TAGS, "@usr:env" },
                { { "0 trireme:app=web" }, "@plug:app=web", CONSTRAINT_TAGS, "@plug:app" },
                { { "0 trireme:app=web", "0 trireme:env=d*" }, "app=web env=dev", CONSTRAINT_OK, NULL },
                { { "0 trireme:env=d*" }, "env=xd", CONSTRAINT_TAGS, "@usr:env" },
                { { "0 trireme:*" }, "app=web env=dev @plug:x=1", CONSTRAINT_OK, NULL },
                { { "0 trireme:*", "1 trireme:app=*" }, "app=web", CONSTRAINT_OK, NULL },
                { { "0 trireme:*", "1 trireme:app=*" }, "env=dev", CONSTRAINT_TAGS, "@usr:env" },
                { { "0 trireme:app=web", "1 trireme:app=*", "2 trireme:app=db" }, "app=web", CONSTRAINT_TAGS, "@usr:app" },
                { { "1 trireme:*" }, "app=web", CONSTRAINT_NO_TAGS, "@usr:app" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Constraints c;
                CertificateInfo info;
                TagSet tags = {};
                const char *fault;
                const Tag *tag = NULL;
                ConstraintFault got;

                make_info(cases[i].names, &info);
                assert_int_equal(constraints_from_certificate(&info, &c), 0);
                assert_int_equal(tag_set_from_string(cases[i].tags, &tags, &fault), 0);
                got = constraints_check(&c, &tags, &tag);
                if (got != cases[i].fault)
                        fail_msg("case %zu: %d", i, got);
                if (cases[i].key)
                        assert_string_equal(tag->key, cases[i].key);
                tag_set_done(&tags);
                constraints_done(&c);
        }
}

static void what_a_broken_worker_says_is_refused(void **state) {
        CertificateInfo info = { .n_names = CERTIFICATE_NAMES_MAX + 1 };
        Constraints c;

        assert_int_equal(constraints_from_certificate(&info, &c), -EINVAL);
        info.n_names = 1;
        info.names[0] = (CertificateName) { .kind = CERTIFICATE_DNS, .offset = CERTIFICATE_TEXT_MAX };
        assert_int_equal(constraints_from_certificate(&info, &c), -EINVAL);
        info.names[0].offset = 0;
        memset(info.text, 'x', sizeof(info.text));
        assert_int_equal(constraints_from_certificate(&info, &c), -EINVAL);
        make_info((const char *const[]) { "0 trireme:app=web", "0 trireme:app", NULL }, &info);
        assert_int_equal(constraints_from_certificate(&info, &c), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_uri_is_a_key_and_a_pattern_percent_encoded),
                cmocka_unit_test(a_label_becomes_the_uri_that_parses_to_it),
                cmocka_unit_test(each_level_with_names_has_to_allow_a_label),
                cmocka_unit_test(what_a_broken_worker_says_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
