/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the tests of this directory share: rules and tags from text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first */
#include <cmocka.h>

#include "policy/config-file.h"
#include "policy/rule.h"
#include "policy/tags.h"

/* "CLAUSE ...", named after its text. */
static inline Rule test_rule(const char *text) {
        Rule rule = { .name = strdup(text) };
        char *word;

        assert_non_null(rule.name);
        while (config_word(&text, &word) > 0) {
                const char *fault = NULL;
                Clause c;

                if (clause_parse(word, &c, &fault) < 0)
                        fail_msg("%s: %s", word, fault);
                assert_int_equal(rule_take_clause(&rule, &c), 0);
                free(word);
        }
        return rule;
}

/* Rules separated by ';', "" is the empty set. */
static inline RuleSet *test_rules(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;
        RuleList list = {};
        RuleSet *set;

        for (char *line = strtok_r(copy, ";", &state); line; line = strtok_r(NULL, ";", &state)) {
                Rule rule = test_rule(line + strspn(line, " "));

                assert_int_equal(rule_list_take(&list, &rule), 0);
        }
        assert_int_equal(rule_set_new(&list, &set), 0);
        return set;
}

static inline TagSet test_tags(const char *text) {
        const char *fault = NULL;
        TagSet tags;

        if (tag_set_from_string(text, &tags, &fault) < 0)
                fail_msg("%s: %s", text, fault);
        return tags;
}
