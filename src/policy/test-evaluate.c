/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <netinet/in.h>
#include <stdio.h>

#include "policy/evaluate.h"

#define ALL TAG_FAMILIES_ALL
#define NONE 0u
#define LABELS TAG_FAMILY_BIT(TAG_FAMILY_LABELS)

typedef struct Case {
        const char *rejects, *accepts;
        const char *own;      /* same-label over these; NULL: it does not apply */
        const char *tags;     /* of the peer */
        unsigned announced;
        unsigned port;        /* tcp; 0 not known */
        bool accept;
        Reason reason;
        const char *rule;     /* its text; NULL: none */
} Case;

static void run_case(const Case *c) {
        _cleanup_(rule_set_unrefp) RuleSet *rejects = test_rules(c->rejects), *accepts = test_rules(c->accepts);
        _cleanup_(tag_set_done) TagSet tags = test_tags(c->tags), own = test_tags(c->own ? c->own : "");
        const PolicySide side = { .rejects = rejects, .accepts = accepts, .same_label = c->own ? &own : NULL };
        const PolicyRequest request = { .tags = &tags, .announced = (uint16_t) c->announced, .protocol = IPPROTO_TCP, .port = (uint16_t) c->port };
        Verdict v = policy_evaluate(&side, &request);
        _cleanup_free_ char *text = policy_explain(&side, &request);

        if (v.accept != c->accept || v.reason != c->reason || !v.rule != !c->rule || (v.rule && !streq(v.rule->name, c->rule)))
                fail_msg("reject {%s} accept {%s} over {%s}: %s, %s, %s; expected %s, %s, %s", c->rejects, c->accepts, c->tags, v.accept ? "accept" : "deny",
                         reason_to_string(v.reason), v.rule ? v.rule->name : "-", c->accept ? "accept" : "deny", reason_to_string(c->reason), c->rule ? c->rule : "-");
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        if (c->rule)
                assert_non_null(strstr(text, c->rule));
}

static void each_operator_means_what_the_manual_says(void **state) {
        static const Case cases[] = {
                /* = */
                { "", "app=web", NULL, "app=web", ALL, 0, true, REASON_RULE, "app=web" },
                { "", "app=web", NULL, "app=db", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web", NULL, "", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web", NULL, "app=webx", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web", NULL, "app=we", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web", NULL, "application=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web", NULL, "App=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web|db", NULL, "app=db", ALL, 0, true, REASON_RULE, "app=web|db" },
                { "", "app=web", NULL, "app=db app=web", ALL, 0, true, REASON_RULE, "app=web" },
                { "", "app=web", NULL, "@sys:user=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "@usr:app=web", NULL, "app=web", ALL, 0, true, REASON_RULE, "@usr:app=web" },
                /* = with a prefix */
                { "", "app=web*", NULL, "app=web", ALL, 0, true, REASON_RULE, "app=web*" },
                { "", "app=web*", NULL, "app=web-front", ALL, 0, true, REASON_RULE, "app=web*" },
                { "", "app=web*", NULL, "app=we", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web*", NULL, "app=xweb", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=a*|bc*|d", NULL, "app=bcd", ALL, 0, true, REASON_RULE, "app=a*|bc*|d" },
                { "", "app=*", NULL, "app=x", ALL, 0, true, REASON_RULE, "app=*" },
                { "", "@sys:exe=/usr/bin/*", NULL, "@sys:exe=/usr/bin/psql", ALL, 0, true, REASON_RULE, "@sys:exe=/usr/bin/*" },
                { "", "@sys:exe=/usr/bin/*", NULL, "@sys:exe=/usr/binary", ALL, 0, false, REASON_NO_RULE, NULL },
                /* != : an absent key satisfies it, each of several values must not be one of them */
                { "", "env!=prod", NULL, "env=dev", ALL, 0, true, REASON_RULE, "env!=prod" },
                { "", "env!=prod", NULL, "env=prod", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "env!=prod", NULL, "", ALL, 0, true, REASON_RULE, "env!=prod" },
                { "", "env!=prod", NULL, "env=dev env=prod", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "env!=prod|test", NULL, "env=test", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "env!=prod|test", NULL, "env=dev", ALL, 0, true, REASON_RULE, "env!=prod|test" },
                { "", "env!=pr*", NULL, "env=prod", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "env!=pr*", NULL, "env=dev", ALL, 0, true, REASON_RULE, "env!=pr*" },
                /* presence and absence */
                { "", "team", NULL, "team=a", ALL, 0, true, REASON_RULE, "team" },
                { "", "team", NULL, "app=team", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "!team", NULL, "app=team", ALL, 0, true, REASON_RULE, "!team" },
                { "", "!team", NULL, "team=a", ALL, 0, false, REASON_NO_RULE, NULL },
                /* all clauses of a rule, any rule of a list; the first in order is named */
                { "", "app=web env=prod", NULL, "app=web env=prod", ALL, 0, true, REASON_RULE, "app=web env=prod" },
                { "", "app=web env=prod", NULL, "app=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web env=prod", NULL, "app=web app=web2 env=dev", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web app=db", NULL, "app=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web app=db", NULL, "app=web app=db", ALL, 0, true, REASON_RULE, "app=web app=db" },
                { "", "app=web !env", NULL, "app=web env=x", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "a=1;b=1", NULL, "b=1", ALL, 0, true, REASON_RULE, "b=1" },
                { "", "b=1;a=1", NULL, "a=1 b=1", ALL, 0, true, REASON_RULE, "b=1" },
                { "", "b=1*;a=1;b", NULL, "a=1 b=12", ALL, 0, true, REASON_RULE, "b=1*" },
                { "", "a=1 c=1;b;!z", NULL, "a=1 b=2", ALL, 0, true, REASON_RULE, "b" },
                { "", "!z;a=1", NULL, "a=1", ALL, 0, true, REASON_RULE, "!z" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
}

static void reject_beats_accept_and_the_default(void **state) {
        static const Case cases[] = {
                { "app=web", "app=web", NULL, "app=web", ALL, 0, false, REASON_RULE, "app=web" },
                { "env=prod", "app=web", NULL, "app=web env=prod", ALL, 0, false, REASON_RULE, "env=prod" },
                { "env=prod", "app=web", NULL, "app=web env=dev", ALL, 0, true, REASON_RULE, "app=web" },
                { "namespace=bad", "", "app=web namespace=bad", "app=web namespace=bad", ALL, 0, false, REASON_RULE, "namespace=bad" },
                { "x=1;env=prod", "", NULL, "env=prod x=1", ALL, 0, false, REASON_RULE, "x=1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
}

static void negative_clauses_over_families_not_sent_fail_closed(void **state) {
        static const Case cases[] = {
                { "", "@sys:user!=root", NULL, "app=web", LABELS, 0, false, REASON_NOT_ANNOUNCED, "@sys:user!=root" },
                { "", "@sys:user!=root", NULL, "app=web", ALL, 0, true, REASON_RULE, "@sys:user!=root" },
                { "", "!@sys:apparmor", NULL, "app=web", LABELS, 0, false, REASON_NOT_ANNOUNCED, "!@sys:apparmor" },
                { "", "!@sys:apparmor", NULL, "app=web", ALL, 0, true, REASON_RULE, "!@sys:apparmor" },
                { "", "app=db @sys:user!=root", NULL, "app=web", LABELS, 0, false, REASON_NO_RULE, NULL },
                { "", "app!=db", NULL, "", NONE, 0, false, REASON_NOT_ANNOUNCED, "app!=db" },
                { "", "app!=db", NULL, "", LABELS, 0, true, REASON_RULE, "app!=db" },
                { "", "!@cloud:region", NULL, "app=web", LABELS, 0, false, REASON_NOT_ANNOUNCED, "!@cloud:region" },
                /* a plug-in that told nothing at all may have failed, whatever others told */
                { "", "!@cloud:region", NULL, "app=web", ALL, 0, false, REASON_NOT_ANNOUNCED, "!@cloud:region" },
                { "", "@cloud:region!=eu", NULL, "@clouds:region=us @clou:d=1", ALL, 0, false, REASON_NOT_ANNOUNCED, "@cloud:region!=eu" },
                { "", "@cloud:region!=eu", NULL, "@cloud:id=1", ALL, 0, true, REASON_RULE, "@cloud:region!=eu" },
                { "", "!@cloud:region", NULL, "@cloud:id=1", ALL, 0, true, REASON_RULE, "!@cloud:region" },
                { "@cloud:region!=eu", "app=web", NULL, "app=web", ALL, 0, false, REASON_NOT_ANNOUNCED, "@cloud:region!=eu" },
                /* a positive clause over what was not sent is simply not satisfied */
                { "", "@sys:user=root", NULL, "app=web", LABELS, 0, false, REASON_NO_RULE, NULL },
                /* another rule, or the default, may accept all the same */
                { "", "@sys:user!=root;app=web", NULL, "app=web", LABELS, 0, true, REASON_RULE, "app=web" },
                { "", "@sys:user!=root", "app=web", "app=web", LABELS, 0, true, REASON_SAME_LABEL, NULL },
                /* who leaves out a tag does not get past a reject rule */
                { "@sys:user!=alice", "app=web", NULL, "app=web", LABELS, 0, false, REASON_NOT_ANNOUNCED, "@sys:user!=alice" },
                { "@sys:user!=alice app=db", "app=web", NULL, "app=web", LABELS, 0, true, REASON_RULE, "app=web" },
                { "@sys:user!=alice;app=web", "app=web", NULL, "app=web", LABELS, 0, false, REASON_RULE, "app=web" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
}

static void the_default_policy_wants_an_identical_label(void **state) {
        static const Case cases[] = {
                { "", "", "app=web", "app=web", ALL, 0, true, REASON_SAME_LABEL, NULL },
                { "", "", "app=web env=dev", "app=db env=dev", ALL, 0, true, REASON_SAME_LABEL, NULL },
                { "", "", "app=web", "app=db", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "", "app=web", "role=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "", "", "", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "", "a=1 c=3 e=5", "b=2 d=4 e=5 f=6", ALL, 0, true, REASON_SAME_LABEL, NULL },
                /* system tags and plug-ins' tags never count, wherever they sort */
                { "", "", "@sys:user=www @sys:host=a", "@sys:user=www @sys:host=a", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "", "@zone:x=1 app=web", "@zone:x=1 app=db", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "", "@cloud:ami=1 @sys:user=www app=web", "@cloud:ami=1 @sys:user=www app=web", ALL, 0, true, REASON_SAME_LABEL, NULL },
                /* without it, nothing matches */
                { "", "", NULL, "app=web", ALL, 0, false, REASON_NO_RULE, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
}

static void the_port_exists_at_the_decision_only(void **state) {
        static const Case cases[] = {
                { "", "app=web @port=tcp/80", NULL, "app=web", ALL, 80, true, REASON_RULE, "app=web @port=tcp/80" },
                { "", "app=web @port=tcp/80", NULL, "app=web", ALL, 81, false, REASON_NO_RULE, NULL },
                { "", "app=web @port=tcp/80", NULL, "app=web", ALL, 8080, false, REASON_NO_RULE, NULL },
                { "", "app=web @port=tcp/80|tcp/443", NULL, "app=web", ALL, 443, true, REASON_RULE, "app=web @port=tcp/80|tcp/443" },
                { "", "@port=tcp/*", NULL, "", NONE, 1, true, REASON_RULE, "@port=tcp/*" },
                { "", "@port=udp/*", NULL, "", ALL, 1, false, REASON_NO_RULE, NULL },
                { "", "app=web @port!=tcp/22", NULL, "app=web", ALL, 22, false, REASON_NO_RULE, NULL },
                { "", "app=web @port!=tcp/22", NULL, "app=web", ALL, 23, true, REASON_RULE, "app=web @port!=tcp/22" },
                { "@port=tcp/22", "app=web", NULL, "app=web", ALL, 22, false, REASON_RULE, "@port=tcp/22" },
                /* a port that is not known satisfies nothing */
                { "", "app=web @port=tcp/80", NULL, "app=web", ALL, 0, false, REASON_NO_RULE, NULL },
                { "", "app=web @port!=tcp/80", NULL, "app=web", ALL, 0, false, REASON_NOT_ANNOUNCED, "app=web @port!=tcp/80" },
        };
        _cleanup_(rule_set_unrefp) RuleSet *with = test_rules("app=web @port=tcp/80"), *without = test_rules("app=web");
        _cleanup_(tag_set_done) TagSet tags = test_tags("app=web");
        const PolicyRequest request = { .tags = &tags, .announced = ALL, .protocol = IPPROTO_TCP, .port = 80 };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
        assert_true(policy_evaluate(&(PolicySide) { .accepts = with }, &request).port_dependent);
        assert_true(policy_evaluate(&(PolicySide) { .rejects = with }, &request).port_dependent);
        assert_false(policy_evaluate(&(PolicySide) { .accepts = without }, &request).port_dependent);
}

static void observed_rules_are_reported_and_decide_nothing(void **state) {
        _cleanup_(rule_set_unrefp) RuleSet *accepts = test_rules("app=web"), *observed = test_rules("app");
        _cleanup_(tag_set_done) TagSet tags = test_tags("app=web");
        const PolicyRequest request = { .tags = &tags, .announced = ALL };
        Verdict v;

        v = policy_evaluate(&(PolicySide) { .accepts = accepts, .observed_rejects = observed }, &request);
        assert_true(v.accept);
        assert_string_equal(v.observed->name, "app");
        assert_false(v.observed_accept);
        v = policy_evaluate(&(PolicySide) { .observed_accepts = observed }, &request);
        assert_false(v.accept);
        assert_string_equal(v.observed->name, "app");
        assert_true(v.observed_accept);
}

static void explanations_name_the_clause_that_failed(void **state) {
        static const struct {
                const char *accepts, *own, *tags;
                unsigned announced;
                const char *text;
        } cases[] = {
                { "app=web env=prod", NULL, "app=web env=dev", ALL,
                  "No rule accepts the peer. Closest:\n"
                  "  app=web env=prod: app=web env=prod\n"
                  "    env=prod fails: the peer has env=dev; it would need one of these values" },
                { "app=web;x=1 y=1", NULL, "", ALL,
                  "No rule accepts the peer. Closest:\n"
                  "  app=web: app=web\n"
                  "    app=web fails: the peer has no app; it would need one of these values\n"
                  "  (and 1 more that fail)" },
                { "env!=prod", NULL, "env=a env=prod", ALL,
                  "No rule accepts the peer. Closest:\n"
                  "  env!=prod: env!=prod\n"
                  "    env!=prod fails: the peer has env=a and env=prod; it would need none of these values" },
                { "@sys:user!=root", NULL, "", LABELS,
                  "The peer does not announce what is needed to judge @sys:user!=root: @sys:user!=root\n"
                  "    @sys:user!=root fails: the peer does not announce user; its node must announce that family" },
                { "app=web @port=tcp/80", NULL, "app=web", ALL,
                  "No rule accepts the peer. Closest:\n"
                  "  app=web @port=tcp/80: app=web @port=tcp/80\n"
                  "    @port=tcp/80 fails: the port is not known; it would need one of these values" },
                { "", "app=web", "app=db", ALL,
                  "No rule is set, so the default policy decides.\n"
                  "The default policy same-label finds no label in common: own labels app=web; the peer's app=db." },
                { "", "@sys:user=www app=web env=prod", "@sys:exe=/bin/a @sys:user=www app=db", ALL,
                  "No rule is set, so the default policy decides.\n"
                  "The default policy same-label finds no label in common: own labels app=web env=prod; the peer's app=db." },
                { "", "@sys:user=www", "@sys:user=www", TAG_FAMILY_BIT(TAG_FAMILY_USER),
                  "No rule is set, so the default policy decides.\n"
                  "The default policy same-label finds no label in common: own labels (none); the peer's are not announced." },
                { "", NULL, "app=db", ALL, "No rule accepts anything." },
                { "", "app=web", "app=web", ALL, "Accepted: both carry app=web, which the default policy same-label accepts." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(rule_set_unrefp) RuleSet *accepts = test_rules(cases[i].accepts);
                _cleanup_(tag_set_done) TagSet tags = test_tags(cases[i].tags), own = test_tags(cases[i].own ? cases[i].own : "");
                const PolicySide side = { .accepts = accepts, .same_label = cases[i].own ? &own : NULL };
                const PolicyRequest request = { .tags = &tags, .announced = (uint16_t) cases[i].announced };
                _cleanup_free_ char *text = policy_explain(&side, &request);

                assert_string_equal(text, cases[i].text);
        }
}

/* ---- a second, naive evaluator over rules and tags made at random ---- */

#define KEYS 5
#define VALUES 5
#define CLAUSES 3
#define RULES 12

/* Values that are prefixes of one another, in both orders of length. */
static const char *const values[VALUES] = { "a", "ab", "abc", "b", "ba" };
static const char *const keys[KEYS] = { "k", "l", "@sys:user", "@cloud:zone", "@cloud:id" };
static const TagFamily families[KEYS] = { TAG_FAMILY_LABELS, TAG_FAMILY_LABELS, TAG_FAMILY_USER, TAG_FAMILY_PLUGIN, TAG_FAMILY_PLUGIN };

typedef struct NaiveClause {
        ClauseOperator op;
        unsigned key;
        unsigned exact, prefix; /* bit sets of values */
} NaiveClause;

typedef struct NaiveRule {
        NaiveClause clauses[CLAUSES];
        unsigned n_clauses;
} NaiveRule;

typedef struct NaivePeer {
        unsigned tags[KEYS]; /* bit sets of values */
        uint16_t announced;
} NaivePeer;

static uint32_t random_below(uint64_t *seed, uint32_t n) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t) (*seed >> 33) % n;
}

static Holds naive_clause(const NaiveClause *c, const NaivePeer *peer) {
        bool found = false, present = peer->tags[c->key] != 0;

        for (unsigned t = 0; t < VALUES; t++)
                for (unsigned v = 0; v < VALUES; v++)
                        if (peer->tags[c->key] >> t & 1)
                                found = found || ((c->exact >> v & 1) && t == v) || ((c->prefix >> v & 1) && startswith(values[t], values[v]));
        switch (c->op) {
        case CLAUSE_EQUAL: return found ? HOLDS_YES : HOLDS_NO;
        case CLAUSE_PRESENT: return present ? HOLDS_YES : HOLDS_NO;
        default: break;
        }
        if (!(peer->announced & TAG_FAMILY_BIT(families[c->key])) || (families[c->key] == TAG_FAMILY_PLUGIN && !peer->tags[3] && !peer->tags[4]))
                return HOLDS_UNKNOWN;
        return (c->op == CLAUSE_NOT_EQUAL ? found : present) ? HOLDS_NO : HOLDS_YES;
}

/* The first rule that holds in this sense, n if none does. */
static unsigned naive_match(const NaiveRule *rules, unsigned n, const NaivePeer *peer, Holds wanted) {
        for (unsigned i = 0; i < n; i++) {
                bool yes = true, unknown = true;

                for (unsigned k = 0; k < rules[i].n_clauses; k++) {
                        Holds h = naive_clause(rules[i].clauses + k, peer);

                        yes = yes && h == HOLDS_YES;
                        unknown = unknown && h != HOLDS_NO;
                }
                if (wanted == HOLDS_YES ? yes : unknown && !yes)
                        return i;
        }
        return n;
}

static void print_clause(FILE *f, const NaiveClause *c) {
        const char *separator = "";

        fprintf(f, "%s%s%s", c->op == CLAUSE_ABSENT ? "!" : "", keys[c->key], c->op == CLAUSE_EQUAL ? "=" : c->op == CLAUSE_NOT_EQUAL ? "!=" : "");
        for (unsigned v = 0; v < 2 * VALUES && (c->op == CLAUSE_EQUAL || c->op == CLAUSE_NOT_EQUAL); v++)
                if ((v < VALUES ? c->exact >> v : c->prefix >> (v - VALUES)) & 1) {
                        fprintf(f, "%s%s%s", separator, values[v % VALUES], v < VALUES ? "" : "*");
                        separator = "|";
                }
}

static char *random_rules(uint64_t *seed, NaiveRule *rules, unsigned n) {
        size_t size;
        char *text;
        FILE *f = open_memstream(&text, &size);

        for (unsigned i = 0; i < n; i++) {
                rules[i].n_clauses = 1 + random_below(seed, CLAUSES);
                for (unsigned k = 0; k < rules[i].n_clauses; k++) {
                        NaiveClause *c = rules[i].clauses + k;

                        *c = (NaiveClause) { .op = random_below(seed, _CLAUSE_OPERATOR_MAX), .key = random_below(seed, KEYS) };
                        c->exact = random_below(seed, 1 << VALUES) & random_below(seed, 1 << VALUES);
                        c->prefix = random_below(seed, 1 << VALUES) & random_below(seed, 1 << VALUES) & random_below(seed, 1 << VALUES);
                        if (c->exact == 0 && c->prefix == 0)
                                c->exact = 1u << random_below(seed, VALUES);
                        print_clause(f, c);
                        fputc(' ', f);
                }
                fputc(';', f);
        }
        fclose(f);
        return text;
}

static NaivePeer random_peer(uint64_t *seed, TagSet *tags) {
        NaivePeer peer = { .announced = (uint16_t) random_below(seed, 1 << 16) | (random_below(seed, 2) ? ALL : 0) };

        for (unsigned k = 0; k < KEYS; k++) {
                _cleanup_free_ char *key = NULL;

                assert_int_equal(tag_key_normalize(keys[k], &key), 0);
                if (random_below(seed, 2) == 0)
                        continue;
                peer.tags[k] = random_below(seed, 1 << VALUES) & random_below(seed, 1 << VALUES);
                for (unsigned v = 0; v < VALUES; v++)
                        if (peer.tags[k] >> v & 1)
                                assert_int_equal(tag_set_add(tags, key, values[v]), 0);
        }
        return peer;
}

static void the_index_agrees_with_a_naive_evaluator(void **state) {
        unsigned seen[2][_REASON_MAX] = {};
        uint64_t seed = 20260101;

        for (unsigned round = 0; round < 20000; round++) {
                NaiveRule rejected[RULES], accepted[RULES];
                unsigned n_rejects = random_below(&seed, 3), n_accepts = random_below(&seed, RULES);
                _cleanup_free_ char *reject_text = random_rules(&seed, rejected, n_rejects), *accept_text = random_rules(&seed, accepted, n_accepts);
                _cleanup_(rule_set_unrefp) RuleSet *rejects = test_rules(reject_text), *accepts = test_rules(accept_text);
                _cleanup_(tag_set_done) TagSet tags = {};
                NaivePeer peer = random_peer(&seed, &tags);
                Verdict v = policy_evaluate(&(PolicySide) { .rejects = rejects, .accepts = accepts },
                                            &(PolicyRequest) { .tags = &tags, .announced = peer.announced });
                unsigned reject = naive_match(rejected, n_rejects, &peer, HOLDS_YES), doubt = naive_match(rejected, n_rejects, &peer, HOLDS_UNKNOWN);
                unsigned accept = naive_match(accepted, n_accepts, &peer, HOLDS_YES), maybe = naive_match(accepted, n_accepts, &peer, HOLDS_UNKNOWN);
                Reason reason = REASON_NO_RULE;
                const Rule *rule = NULL;
                bool allowed = false;

                if (reject < n_rejects || doubt < n_rejects) {
                        reason = reject < n_rejects ? REASON_RULE : REASON_NOT_ANNOUNCED;
                        rule = rule_set_rule(rejects, reject < n_rejects ? reject : doubt);
                } else if (accept < n_accepts || maybe < n_accepts) {
                        allowed = accept < n_accepts;
                        reason = allowed ? REASON_RULE : REASON_NOT_ANNOUNCED;
                        rule = rule_set_rule(accepts, allowed ? accept : maybe);
                }
                if (v.accept != allowed || v.reason != reason || v.rule != rule) {
                        _cleanup_free_ char *text = tag_set_format(&tags);

                        fail_msg("round %u: reject {%s} accept {%s} over {%s}: %s %s, naively %s %s", round, reject_text, accept_text, text,
                                 reason_to_string(v.reason), v.rule ? v.rule->name : "-", reason_to_string(reason), rule ? rule->name : "-");
                }
                seen[allowed][reason]++;
        }
        /* The generator reaches every outcome often enough to mean something. */
        assert_true(seen[true][REASON_RULE] > 1000 && seen[false][REASON_RULE] > 1000);
        assert_true(seen[false][REASON_NO_RULE] > 100 && seen[false][REASON_NOT_ANNOUNCED] > 100);
}

/* Lookups, not time: rules about other values are never even asked. */
static void rules_that_do_not_concern_the_tags_are_not_asked(void **state) {
        _cleanup_(rule_set_unrefp) RuleSet *set = NULL;
        RuleList list = {};
        size_t n;

        for (unsigned i = 0; i < 2000; i++) {
                char text[64];
                Rule rule;

                snprintf(text, sizeof(text), "env=prod app=a%u team", i);
                rule = test_rule(text);
                assert_int_equal(rule_list_take(&list, &rule), 0);
        }
        assert_int_equal(rule_set_new(&list, &set), 0);
        assert_int_equal(rule_set_size(set), 2000);
        (void) rule_set_lookup(set, RULE_INDEX_EXACT, "@usr:env", "prod", 4, &n);
        assert_int_equal(n, 0);
        (void) rule_set_lookup(set, RULE_INDEX_LENGTHS, "@usr:team", "", 0, &n);
        assert_int_equal(n, 0);
        (void) rule_set_lookup(set, RULE_INDEX_ANY, "", "", 0, &n);
        assert_int_equal(n, 0);
        (void) rule_set_lookup(set, RULE_INDEX_EXACT, "@usr:app", "a77", 3, &n);
        assert_int_equal(n, 1);
}

static void a_set_lives_as_long_as_somebody_holds_it(void **state) {
        RuleSet *set = test_rules("app=web"), *held = rule_set_ref(set);

        assert_null(rule_set_unref(set));
        assert_string_equal(rule_set_rule(held, 0)->name, "app=web");
        assert_null(rule_set_rule(held, 1));
        assert_null(rule_set_unref(held));
        assert_null(rule_set_unref(NULL));
        assert_int_equal(rule_set_size(NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_operator_means_what_the_manual_says),
                cmocka_unit_test(reject_beats_accept_and_the_default),
                cmocka_unit_test(negative_clauses_over_families_not_sent_fail_closed),
                cmocka_unit_test(the_default_policy_wants_an_identical_label),
                cmocka_unit_test(the_port_exists_at_the_decision_only),
                cmocka_unit_test(observed_rules_are_reported_and_decide_nothing),
                cmocka_unit_test(explanations_name_the_clause_that_failed),
                cmocka_unit_test(the_index_agrees_with_a_naive_evaluator),
                cmocka_unit_test(a_set_lives_as_long_as_somebody_holds_it),
                cmocka_unit_test(rules_that_do_not_concern_the_tags_are_not_asked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
