/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/constraint.h"
#include "policy/evaluate.h"
#include "util/fuzz.h"

/* The tags of a node that may sign what it likes, as far as a decision about them. */

static RuleSet *rules(const char *const *words, size_t n_words) {
        Rule rule = { .name = strdup("a rule") };
        RuleList list = {};
        RuleSet *set;

        for (size_t i = 0; i < n_words; i++) {
                const char *fault;
                Clause c;

                CHECK(clause_parse(words[i], &c, &fault) == 0 && rule_take_clause(&rule, &c) == 0);
        }
        CHECK(rule_list_take(&list, &rule) == 0 && rule_set_new(&list, &set) == 0);
        return set;
}

static void check_tags(const Token *t, const TagSet *tags) {
        CHECK(tags->n_tags == t->n_tags);
        for (size_t i = 0; i < tags->n_tags; i++) {
                const Tag *tag = &tags->tags[i];
                int family = tag_family(tag->key);

                CHECK(tag_key_is_valid(tag->key, strlen(tag->key)) && tag_value_is_valid(tag->value, strlen(tag->value)));
                CHECK(family >= 0 && (t->families & TAG_FAMILY_BIT(family))); /* so it is not @port */
                CHECK(i == 0 || strcmp(tag[-1].key, tag->key) < 0 || (strcmp(tag[-1].key, tag->key) == 0 && strcmp(tag[-1].value, tag->value) < 0));
        }
}

/* Of a certificate that lists app=web alone. */
static void check_constraints(const TagSet *tags) {
        Constraints c = { .n_patterns = 1 };
        const Tag *which = NULL;

        CHECK(constraint_parse("trireme:app=web", 0, &c.patterns[0]) == 0);
        if (constraints_check(&c, tags, &which) == CONSTRAINT_OK)
                for (size_t i = 0; i < tags->n_tags; i++)
                        CHECK(strncmp(tags->tags[i].key, "@sys:", 5) == 0 || (strcmp(tags->tags[i].key, "@usr:app") == 0 && strcmp(tags->tags[i].value, "web") == 0));
        else
                CHECK(which);
        constraints_done(&c);
}

static void check_rules(const Token *t, const TagSet *tags) {
        static RuleSet *accepts, *rejects;
        PolicyRequest request = { .tags = tags, .announced = t->families, .protocol = 6, .port = 80 };
        PolicySide side;
        Verdict v;

        if (!accepts) {
                accepts = rules((const char *const[]) { "app=web", "env!=prod" }, 2);
                rejects = rules((const char *const[]) { "@sys:user=root|dae*" }, 1);
        }
        side = (PolicySide) { .accepts = accepts, .rejects = rejects };
        v = policy_evaluate(&side, &request);
        CHECK(!v.accept || (tag_set_has(tags, "@usr:app", "web") && !tag_set_has(tags, "@usr:env", "prod") && (t->families & 1) && !tag_set_has(tags, "@sys:user", "root")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = NULL;
        TagSet tags = {};
        Token t;

        if (token_parse(data, size, &t) < 0 || tag_set_from_token(&t, &tags) < 0)
                return 0;
        check_tags(&t, &tags);
        check_constraints(&tags);
        check_rules(&t, &tags);
        text = tag_set_format(&tags);
        CHECK(text);
        tag_set_done(&tags);
        return 0;
}
