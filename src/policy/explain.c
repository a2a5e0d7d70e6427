/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Verdicts in words. Slow and complete: it asks every rule, and shows those that came closest. */

#include <stdarg.h>
#include <stdio.h>

#include "policy/evaluate.h"

#define SHOWN_MAX 5 /* rules; more than a person reads */

/* Grows as it is printed to. Want of memory is noticed once, at the end: open_memstream() would drop it silently. */
typedef struct Text {
        char *s;
        size_t n;
        bool failed;
} Text;

static void print(Text *t, const char *format, ...) _printf_(2, 3);
static void print(Text *t, const char *format, ...) {
        _cleanup_free_ char *more = NULL;
        va_list ap;
        char *p;
        int n;

        va_start(ap, format);
        n = vasprintf(&more, format, ap);
        va_end(ap);
        if (n < 0)
                more = NULL;
        p = more ? realloc(t->s, t->n + (size_t) n + 1) : NULL;
        if (!p) {
                t->failed = true;
                return;
        }
        memcpy(p + t->n, more, (size_t) n + 1);
        t->s = p;
        t->n += (size_t) n;
}

/* Takes over s; NULL stands for want of memory. */
static void print_take(Text *t, const char *format, char *s) __attribute__((format(printf, 2, 0)));
static void print_take(Text *t, const char *format, char *s) {
        if (s)
                print(t, format, s);
        else
                t->failed = true;
        free(s);
}

/* The peer's tags of one key, or that it has none. */
static void print_present(Text *t, const Clause *c, const PolicyRequest *request) {
        const Tag *tags;
        size_t n;

        if (c->family < 0) {
                if (request->port > 0)
                        print(t, "the port is %u", request->port);
                else
                        print(t, "the port is not known");
                return;
        }
        tags = tag_set_find(request->tags, c->key, &n);
        if (n == 0 && request->announced & TAG_FAMILY_BIT(c->family))
                print(t, "the peer has no %s", tag_key_short(c->key));
        else if (n == 0)
                print(t, "the peer does not announce %s", tag_family_to_string((TagFamily) c->family));
        for (size_t i = 0; i < n; i++)
                print_take(t, i == 0 ? "the peer has %s" : " and %s", tag_format(tags + i));
}

static const char *remedy(const Clause *c, Holds holds) {
        if (holds == HOLDS_UNKNOWN)
                return c->family < 0 ? "say which port" : c->family == TAG_FAMILY_PLUGIN ? "its node must announce plug-ins, and this one must tell something of it" :
                                                                                           "its node must announce that family";
        switch (c->op) {
        case CLAUSE_EQUAL: return "it would need one of these values";
        case CLAUSE_NOT_EQUAL: return "it would need none of these values";
        case CLAUSE_PRESENT: return "it would need any value";
        default: return "it would need to have none";
        }
}

static void print_clauses(Text *t, const Rule *rule, const PolicyRequest *request) {
        for (size_t i = 0; i < rule->n_clauses; i++) {
                const Clause *c = rule->clauses + i;
                Holds holds = clause_holds(c, request);

                if (holds == HOLDS_YES)
                        continue;
                print_take(t, "    %s fails: ", clause_format(c));
                print_present(t, c, request);
                print(t, "; %s\n", remedy(c, holds));
        }
}

static void print_rule(Text *t, const char *before, const Rule *rule) {
        print(t, "%s%s: ", before, rule->name);
        print_take(t, "%s\n", rule_format(rule));
}

static size_t n_failing(const Rule *rule, const PolicyRequest *request) {
        size_t n = 0;

        for (size_t i = 0; i < rule->n_clauses; i++)
                n += clause_holds(rule->clauses + i, request) != HOLDS_YES;
        return n;
}

/* The accept rules with the fewest clauses that fail. */
static void print_nearest(Text *t, const RuleSet *accepts, const PolicyRequest *request) {
        size_t best = SIZE_MAX, n_shown = 0;

        for (size_t i = 0; i < rule_set_size(accepts); i++)
                best = MIN(best, n_failing(rule_set_rule(accepts, i), request));
        for (size_t i = 0; n_shown < SHOWN_MAX && i < rule_set_size(accepts); i++) {
                const Rule *rule = rule_set_rule(accepts, i);

                if (n_failing(rule, request) != best)
                        continue;
                print_rule(t, "  ", rule);
                print_clauses(t, rule, request);
                n_shown++;
        }
        if (n_shown < rule_set_size(accepts))
                print(t, "  (and %zu more that fail)\n", rule_set_size(accepts) - n_shown);
}

/* Other tags never count for same-label, and would hide those that do. */
static void print_labels(Text *t, const TagSet *tags) {
        bool first = true;

        for (size_t i = 0; i < tags->n_tags; i++) {
                if (tag_family(tags->tags[i].key) != TAG_FAMILY_LABELS)
                        continue;
                print_take(t, first ? "%s" : " %s", tag_format(tags->tags + i));
                first = false;
        }
        if (first)
                print(t, "(none)");
}

static void print_denied(Text *t, const PolicySide *side, const PolicyRequest *request) {
        if (rule_set_size(side->accepts) > 0) {
                print(t, "No rule accepts the peer. Closest:\n");
                print_nearest(t, side->accepts, request);
        } else
                print(t, side->same_label ? "No rule is set, so the default policy decides.\n" : "No rule accepts anything.\n");
        if (!side->same_label)
                return;
        print(t, "The default policy same-label finds no label in common: own labels ");
        print_labels(t, side->same_label);
        print(t, "; the peer's ");
        if (request->announced & TAG_FAMILY_BIT(TAG_FAMILY_LABELS))
                print_labels(t, request->tags);
        else
                print(t, "are not announced");
        print(t, ".\n");
}

char *policy_explain(const PolicySide *side, const PolicyRequest *request) {
        Verdict v = policy_evaluate(side, request);
        Text t = {};

        if (v.reason == REASON_SAME_LABEL)
                print_take(&t, "Accepted: both carry %s, which the default policy same-label accepts.\n", tag_format(v.shared));
        else if (v.reason == REASON_RULE)
                print_rule(&t, v.accept ? "Accepted by " : "Rejected by ", v.rule);
        else if (v.reason == REASON_NOT_ANNOUNCED) {
                print_rule(&t, "The peer does not announce what is needed to judge ", v.rule);
                print_clauses(&t, v.rule, request);
        } else
                print_denied(&t, side, request);
        if (t.failed) {
                free(t.s);
                return NULL;
        }
        t.s[t.n - 1] = '\0'; /* the last newline */
        return t.s;
}
