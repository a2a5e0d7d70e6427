/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a decision costs, by the number of rules that do not concern it and of tags that it is about. Prints a table, judges nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "policy/evaluate.h"

#define ROUND_NSEC 200000000 /* long enough that reading the clock does not count */

static double now_nsec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static int add_rule(RuleList *list, const char *const *words, size_t n) {
        _cleanup_(rule_done) Rule rule = { .name = strdup(words[0]) };
        int r = rule.name ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                _cleanup_(clause_done) Clause clause = {};
                const char *fault;

                r = clause_parse(words[i], &clause, &fault);
                if (r >= 0)
                        r = rule_take_clause(&rule, &clause);
        }
        return r < 0 ? r : rule_list_take(list, &rule);
}

/* Rules for other applications, and as the last one that for ours. */
static int make_rules(size_t n, RuleSet **ret) {
        RuleList list = {};
        char app[32];
        int r = 0;

        for (size_t i = 1; r >= 0 && i < n; i++) {
                (void) snprintf(app, sizeof(app), "app=other-%zu", i);
                r = add_rule(&list, (const char *const[]) { app, "env=prod" }, 2);
        }
        if (r >= 0)
                r = add_rule(&list, (const char *const[]) { "app=web", "env=prod", "tier!=test" }, 3);
        if (r >= 0)
                r = rule_set_new(&list, ret);
        rule_list_done(&list);
        return r;
}

static int make_tags(size_t n, TagSet *ret) {
        char key[32];
        int r;

        r = tag_set_add(ret, "@usr:app", "web");
        if (r >= 0)
                r = tag_set_add(ret, "@usr:env", "prod");
        while (r >= 0 && ret->n_tags < n) {
                (void) snprintf(key, sizeof(key), "@usr:key-%zu", ret->n_tags);
                r = tag_set_add(ret, key, "value");
        }
        return r;
}

static int measure(size_t n_rules, size_t n_tags) {
        _cleanup_(rule_set_unrefp) RuleSet *rules = NULL;
        _cleanup_(tag_set_done) TagSet tags = {};
        PolicySide side = {};
        PolicyRequest request = { .tags = &tags, .announced = TAG_FAMILIES_ALL, .protocol = IPPROTO_TCP, .port = 80 };
        size_t n_decisions = 0, n_accepted = 0;
        double started, spent = 0;
        int r;

        r = make_rules(n_rules, &rules);
        if (r >= 0)
                r = make_tags(n_tags, &tags);
        if (r < 0)
                return r;
        side.accepts = rules;
        started = now_nsec();
        while (spent < ROUND_NSEC) {
                for (unsigned i = 0; i < 1000; i++)
                        n_accepted += policy_evaluate(&side, &request).accept;
                n_decisions += 1000;
                spent = now_nsec() - started;
        }
        if (n_accepted != n_decisions)
                return -EINVAL;
        printf("%9zu %6zu %12.0f\n", n_rules, n_tags, spent / (double) n_decisions);
        return 0;
}

int main(void) {
        static const size_t rules[] = { 10, 1000, 100000 }, tags[] = { 5, 60 };
        int r = 0;

        printf("%9s %6s %12s\n", "rules", "tags", "ns/decision");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(rules); i++)
                for (size_t k = 0; r >= 0 && k < ELEMENTSOF(tags); k++)
                        r = measure(rules[i], tags[k]);
        if (r < 0)
                fprintf(stderr, "bench-policy: %s\n", strerror(-r));
        return r < 0;
}
