/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Verdicts in words. Slow and complete: it asks every rule, and shows those that came closest. */

#include <errno.h>
#include <stdio.h>

#include "policy/evaluate.h"

#define SHOWN_MAX 5 /* rules; more than a person reads */

/* The peer's tags of one key, or that it has none. */
static int print_present(FILE *f, const Clause *c, const PolicyRequest *request) {
        const Tag *tags;
        size_t n;

        if (c->family < 0) {
                if (request->port > 0)
                        fprintf(f, "the port is %u", request->port);
                else
                        fputs("the port is not known", f);
                return 0;
        }
        tags = tag_set_find(request->tags, c->key, &n);
        if (n == 0) {
                bool sent = request->announced & TAG_FAMILY_BIT(c->family);

                fprintf(f, "the peer %s %s", sent ? "has no" : "does not announce", sent ? tag_key_short(c->key) : tag_family_to_string(c->family));
        }
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = tag_format(tags + i);

                if (!text)
                        return -ENOMEM;
                fprintf(f, "%s%s", i == 0 ? "the peer has " : " and ", text);
        }
        return 0;
}

static const char *remedy(const Clause *c, Holds holds) {
        if (holds == HOLDS_UNKNOWN)
                return c->family < 0 ? "say which port" : "its node must announce that family";
        switch (c->op) {
        case CLAUSE_EQUAL: return "it would need one of these values";
        case CLAUSE_NOT_EQUAL: return "it would need none of these values";
        case CLAUSE_PRESENT: return "it would need any value";
        default: return "it would need to have none";
        }
}

static int print_clauses(FILE *f, const Rule *rule, const PolicyRequest *request) {
        for (size_t i = 0; i < rule->n_clauses; i++) {
                _cleanup_free_ char *clause = NULL;
                Holds holds = clause_holds(rule->clauses + i, request);
                int r;

                if (holds == HOLDS_YES)
                        continue;
                clause = clause_format(rule->clauses + i);
                if (!clause)
                        return -ENOMEM;
                fprintf(f, "    %s fails: ", clause);
                r = print_present(f, rule->clauses + i, request);
                if (r < 0)
                        return r;
                fprintf(f, "; %s\n", remedy(rule->clauses + i, holds));
        }
        return 0;
}

static int print_rule(FILE *f, const char *before, const Rule *rule) {
        _cleanup_free_ char *text = rule_format(rule);

        if (!text)
                return -ENOMEM;
        fprintf(f, "%s%s: %s\n", before, rule->name ? rule->name : "rule", text);
        return 0;
}

static size_t n_failing(const Rule *rule, const PolicyRequest *request) {
        size_t n = 0;

        for (size_t i = 0; i < rule->n_clauses; i++)
                n += clause_holds(rule->clauses + i, request) != HOLDS_YES;
        return n;
}

/* The accept rules with the fewest clauses that fail. */
static int print_nearest(FILE *f, const RuleSet *accepts, const PolicyRequest *request) {
        size_t best = SIZE_MAX, n_shown = 0, n_best = 0;

        for (size_t i = 0; i < rule_set_size(accepts); i++)
                best = MIN(best, n_failing(rule_set_rule(accepts, i), request));
        for (size_t i = 0; i < rule_set_size(accepts); i++) {
                const Rule *rule = rule_set_rule(accepts, i);
                int r;

                if (n_failing(rule, request) != best || ++n_best > SHOWN_MAX)
                        continue;
                r = print_rule(f, "  ", rule);
                if (r >= 0)
                        r = print_clauses(f, rule, request);
                if (r < 0)
                        return r;
                n_shown++;
        }
        if (n_shown < rule_set_size(accepts))
                fprintf(f, "  (and %zu more that fail)\n", rule_set_size(accepts) - n_shown);
        return 0;
}

static int print_denied(FILE *f, const PolicySide *side, const PolicyRequest *request) {
        if (rule_set_size(side->accepts) == 0)
                fputs(side->same_label ? "No rule is set, so the default policy decides.\n" : "No rule accepts anything.\n", f);
        else {
                int r;

                fputs("No rule accepts the peer. Closest:\n", f);
                r = print_nearest(f, side->accepts, request);
                if (r < 0)
                        return r;
        }
        if (side->same_label) {
                _cleanup_free_ char *own = tag_set_format(side->same_label), *peer = tag_set_format(request->tags);

                if (!own || !peer)
                        return -ENOMEM;
                fprintf(f, "The default policy same-label finds no label in common: own tags %s; the peer's %s.\n", *own ? own : "(none)", *peer ? peer : "(none)");
        }
        return 0;
}

static int print_verdict(FILE *f, const PolicySide *side, const PolicyRequest *request) {
        Verdict v = policy_evaluate(side, request);
        int r;

        if (v.reason == REASON_SAME_LABEL) {
                _cleanup_free_ char *label = tag_format(v.shared);

                if (!label)
                        return -ENOMEM;
                fprintf(f, "Accepted: both carry %s, which the default policy same-label accepts.\n", label);
                return 0;
        }
        if (v.reason == REASON_RULE)
                return print_rule(f, v.accept ? "Accepted by " : "Rejected by ", v.rule);
        if (v.reason == REASON_NOT_ANNOUNCED) {
                r = print_rule(f, "The peer does not announce what is needed to judge ", v.rule);
                return r < 0 ? r : print_clauses(f, v.rule, request);
        }
        return print_denied(f, side, request);
}

char *policy_explain(const PolicySide *side, const PolicyRequest *request) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        int r;

        if (!f)
                return NULL;
        r = print_verdict(f, side, request);
        /* A stream in memory fails only for want of memory, and says so here. */
        if ((fclose(f) != 0) | (r < 0))
                return NULL;
        if (size > 0 && text[size - 1] == '\n')
                text[size - 1] = '\0';
        return TAKE_PTR(text);
}
