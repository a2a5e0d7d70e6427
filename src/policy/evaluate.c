/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a clause means stands in clause_holds() and nowhere else: the index only picks the rules to ask, rule_holds() decides. */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "policy/evaluate.h"

#define PORT_VALUE_SIZE sizeof("tcp/65535")

static bool port_value(const PolicyRequest *request, char ret[static PORT_VALUE_SIZE]) {
        const char *protocol = request->protocol == IPPROTO_TCP ? "tcp" : request->protocol == IPPROTO_UDP ? "udp" : NULL;

        if (!protocol || request->port == 0)
                return false;
        snprintf(ret, PORT_VALUE_SIZE, "%s/%u", protocol, request->port);
        return true;
}

static bool value_matches(const ClauseValue *v, const char *value) {
        return v->prefix ? strncmp(value, v->text, v->len) == 0 : streq(value, v->text);
}

/* All plug-ins are one family, but each fails by itself: one that told nothing may have failed, or not have run yet. */
static bool is_known(const Clause *c, const PolicyRequest *request) {
        if (!(request->announced & TAG_FAMILY_BIT(c->family)))
                return false;
        return c->family != TAG_FAMILY_PLUGIN || tag_set_has_namespace(request->tags, c->key);
}

Holds clause_holds(const Clause *c, const PolicyRequest *request) {
        bool negative = c->op == CLAUSE_NOT_EQUAL || c->op == CLAUSE_ABSENT, found = false, known;
        char port[PORT_VALUE_SIZE];
        Tag port_tag = { .value = port };
        const Tag *tags;
        size_t n;

        if (c->family < 0) {
                known = port_value(request, port);
                tags = &port_tag;
                n = known ? 1 : 0;
        } else {
                known = is_known(c, request);
                tags = tag_set_find(request->tags, c->key, &n);
        }
        /* What was not sent may be there all the same, so its absence proves nothing. */
        if (negative && !known)
                return HOLDS_UNKNOWN;
        if (c->op == CLAUSE_PRESENT || c->op == CLAUSE_ABSENT)
                found = n > 0;
        for (size_t i = 0; !found && i < n; i++)
                for (size_t k = 0; !found && k < c->n_values; k++)
                        found = value_matches(c->values + k, tags[i].value);
        return found != negative ? HOLDS_YES : HOLDS_NO;
}

Holds rule_holds(const Rule *r, const PolicyRequest *request) {
        Holds holds = HOLDS_YES;

        for (size_t i = 0; holds != HOLDS_NO && i < r->n_clauses; i++)
                holds = MIN(holds, clause_holds(r->clauses + i, request));
        return holds;
}

/* The first rule in file order that holds, and the first that might. */
typedef struct Match {
        uint32_t yes, unknown; /* UINT32_MAX: none */
} Match;

static void match_rules(const RuleSet *s, const uint32_t *rules, size_t n, const PolicyRequest *request, Match *m) {
        for (size_t i = 0; i < n && rules[i] < m->yes; i++) {
                Holds holds = rule_holds(rule_set_rule(s, rules[i]), request);

                if (holds == HOLDS_YES)
                        m->yes = rules[i];
                else if (holds == HOLDS_UNKNOWN)
                        m->unknown = MIN(m->unknown, rules[i]);
        }
}

static void match_tag(const RuleSet *s, const char *key, const char *value, const PolicyRequest *request, Match *m) {
        const uint32_t *rules, *lengths;
        size_t n, n_lengths, len = strlen(value);

        rules = rule_set_lookup(s, RULE_INDEX_EXACT, key, value, len, &n);
        match_rules(s, rules, n, request, m);
        lengths = rule_set_lookup(s, RULE_INDEX_LENGTHS, key, "", 0, &n_lengths);
        for (size_t i = 0; i < n_lengths && lengths[i] <= len; i++) {
                rules = rule_set_lookup(s, RULE_INDEX_PREFIX, key, value, lengths[i], &n);
                match_rules(s, rules, n, request, m);
        }
}

static Match match_set(const RuleSet *s, const PolicyRequest *request) {
        Match m = { .yes = UINT32_MAX, .unknown = UINT32_MAX };
        char port[PORT_VALUE_SIZE];
        const uint32_t *rules;
        size_t n;

        if (!s)
                return m;
        rules = rule_set_lookup(s, RULE_INDEX_ANY, "", "", 0, &n);
        match_rules(s, rules, n, request, &m);
        for (size_t i = 0; i < request->tags->n_tags; i++)
                match_tag(s, request->tags->tags[i].key, request->tags->tags[i].value, request, &m);
        if (port_value(request, port))
                match_tag(s, TAG_PORT, port, request, &m);
        return m;
}

static void observe(const PolicySide *side, const PolicyRequest *request, Verdict *v) {
        Match rejects = match_set(side->observed_rejects, request), accepts;

        v->observed = rule_set_rule(side->observed_rejects, rejects.yes);
        if (v->observed)
                return;
        accepts = match_set(side->observed_accepts, request);
        v->observed = rule_set_rule(side->observed_accepts, accepts.yes);
        v->observed_accept = v->observed;
}

static bool uses_port(const PolicySide *side) {
        return rule_set_uses_port(side->rejects) || rule_set_uses_port(side->accepts) || rule_set_uses_port(side->observed_rejects) ||
               rule_set_uses_port(side->observed_accepts);
}

Verdict policy_evaluate(const PolicySide *side, const PolicyRequest *request) {
        Verdict v = { .reason = REASON_NO_RULE, .port_dependent = uses_port(side) };
        Match rejects = match_set(side->rejects, request), accepts;

        observe(side, request, &v);
        /* A reject rule that might hold rejects: who leaves out a tag must not get past it. */
        if (rejects.yes != UINT32_MAX || rejects.unknown != UINT32_MAX) {
                v.reason = rejects.yes != UINT32_MAX ? REASON_RULE : REASON_NOT_ANNOUNCED;
                v.rule = rule_set_rule(side->rejects, rejects.yes != UINT32_MAX ? rejects.yes : rejects.unknown);
                return v;
        }
        accepts = match_set(side->accepts, request);
        if (accepts.yes != UINT32_MAX) {
                v.accept = true;
                v.reason = REASON_RULE;
                v.rule = rule_set_rule(side->accepts, accepts.yes);
                return v;
        }
        v.shared = side->same_label ? tag_set_shared_label(side->same_label, request->tags) : NULL;
        if (v.shared) {
                v.accept = true;
                v.reason = REASON_SAME_LABEL;
        } else if (accepts.unknown != UINT32_MAX) {
                v.reason = REASON_NOT_ANNOUNCED;
                v.rule = rule_set_rule(side->accepts, accepts.unknown);
        }
        return v;
}
