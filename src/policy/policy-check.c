/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <string.h>

#include "policy/policy-check.h"

#define COMPARISONS_MAX 10000000u /* of one list of rules with another: some seconds */

/* Is whatever b matches matched by a? */
static bool value_covers(const ClauseValue *a, const ClauseValue *b) {
        return a->prefix ? strncmp(b->text, a->text, a->len) == 0 : !b->prefix && streq(a->text, b->text);
}

static bool values_cover(const Clause *a, const ClauseValue *b) {
        for (size_t i = 0; i < a->n_values; i++)
                if (value_covers(&a->values[i], b))
                        return true;
        return false;
}

static bool all_values_covered(const Clause *by, const Clause *c) {
        for (size_t i = 0; i < c->n_values; i++)
                if (!values_cover(by, &c->values[i]))
                        return false;
        return true;
}

static bool values_meet(const Clause *a, const Clause *b) {
        for (size_t i = 0; i < a->n_values; i++)
                for (size_t k = 0; k < b->n_values; k++)
                        if (value_covers(&a->values[i], &b->values[k]) || value_covers(&b->values[k], &a->values[i]))
                                return true;
        return false;
}

/* Can no peer satisfy both? A key may have several values, but there is one port. */
static bool clauses_exclude(const Clause *a, const Clause *b) {
        if (!streq(a->key, b->key))
                return false;
        if (a->op == CLAUSE_ABSENT)
                return b->op == CLAUSE_EQUAL || b->op == CLAUSE_PRESENT;
        if (a->op == CLAUSE_NOT_EQUAL)
                return b->op == CLAUSE_EQUAL && all_values_covered(a, b);
        return a->op == CLAUSE_EQUAL && b->op == CLAUSE_EQUAL && streq(a->key, TAG_PORT) && !values_meet(a, b);
}

/* Does b hold whenever a does? */
static bool clause_implies(const Clause *a, const Clause *b) {
        if (!streq(a->key, b->key))
                return false;
        switch (b->op) {
        case CLAUSE_PRESENT:
                return a->op == CLAUSE_PRESENT || a->op == CLAUSE_EQUAL;
        case CLAUSE_EQUAL:
                return a->op == CLAUSE_EQUAL && all_values_covered(b, a);
        case CLAUSE_ABSENT:
                return a->op == CLAUSE_ABSENT;
        default:
                return a->op == CLAUSE_ABSENT || (a->op == CLAUSE_NOT_EQUAL && all_values_covered(a, b));
        }
}

static bool rule_implies(const Rule *a, const Rule *b) {
        for (size_t k = 0; k < b->n_clauses; k++) {
                bool implied = false;

                for (size_t i = 0; !implied && i < a->n_clauses; i++)
                        implied = clause_implies(&a->clauses[i], &b->clauses[k]);
                if (!implied)
                        return false;
        }
        return true;
}

static int check_contradiction(const Rule *r, ConfigErrors *warnings) {
        for (size_t i = 0; i < r->n_clauses; i++)
                for (size_t k = 0; k < r->n_clauses; k++)
                        if (i != k && clauses_exclude(&r->clauses[i], &r->clauses[k])) {
                                _cleanup_free_ char *a = clause_format(&r->clauses[k]), *b = clause_format(&r->clauses[i]);

                                if (!a || !b)
                                        return -ENOMEM;
                                return config_errors_add(warnings, r->name, 0, 0, NULL, "can never match: %s and %s exclude each other", a, b);
                        }
        return 0;
}

static int check_set(const RuleSet *s, ConfigErrors *warnings) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < rule_set_size(s); i++)
                r = check_contradiction(rule_set_rule(s, i), warnings);
        return r;
}

/* Reject beats accept: an accept whose peers are all rejected does nothing. */
static int check_shadowed(const RuleSet *rejects, const RuleSet *accepts, ConfigErrors *warnings) {
        size_t n = rule_set_size(rejects);
        int r = 0;

        if (n > 0 && rule_set_size(accepts) > COMPARISONS_MAX / n)
                return 0;
        for (size_t i = 0; r >= 0 && i < rule_set_size(accepts); i++)
                for (size_t k = 0; k < n; k++)
                        if (rule_implies(rule_set_rule(accepts, i), rule_set_rule(rejects, k))) {
                                r = config_errors_add(warnings, rule_set_rule(accepts, i)->name, 0, 0, NULL, "never accepts anything: whom it names is rejected by %s",
                                                      rule_set_rule(rejects, k)->name);
                                break;
                        }
        return r;
}

int policy_check_side(const PolicySide *side, ConfigErrors *warnings) {
        const RuleSet *const sets[] = { side->rejects, side->accepts, side->observed_rejects, side->observed_accepts };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(sets); i++)
                r = check_set(sets[i], warnings);
        return r < 0 ? r : check_shadowed(side->rejects, side->accepts, warnings);
}

static bool entry_covers(const AclEntry *a, const AclEntry *b) {
        return a->network.prefix_len <= b->network.prefix_len && ip_network_contains(&a->network, b->network.family, &b->network.address) &&
               (a->protocol == 0 || a->protocol == b->protocol) && a->port_first <= b->port_first && a->port_last >= b->port_last;
}

/* In their order of decision the first that matches decides. */
int policy_check_acl(const AclList *l, ConfigErrors *warnings) {
        int r = 0;

        if (l->n_entries > 0 && l->n_entries > COMPARISONS_MAX / l->n_entries)
                return 0;
        for (size_t i = 0; r >= 0 && i < l->n_entries; i++)
                for (size_t k = 0; k < i; k++)
                        if (l->entries[k].reject != l->entries[i].reject && entry_covers(&l->entries[k], &l->entries[i])) {
                                r = config_errors_add(warnings, l->entries[i].name, 0, 0, NULL, "never accepts anybody: all of it is rejected by %s", l->entries[k].name);
                                break;
                        }
        return r;
}

static int check_rules(const PolicyRules *rules, ConfigErrors *warnings) {
        const PolicySide side = {
                .rejects = rules->rejects, .accepts = rules->accepts, .observed_rejects = rules->observed_rejects, .observed_accepts = rules->observed_accepts,
        };

        return policy_check_side(&side, warnings);
}

int policy_check_book(const PolicyBook *b, ConfigErrors *warnings) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < b->n_policies; i++) {
                const NamedPolicy *p = &b->policies[i];

                r = check_rules(&p->accept, warnings);
                if (r >= 0)
                        r = check_rules(&p->connect, warnings);
                if (r >= 0)
                        r = policy_check_acl(&p->accept_from, warnings);
                if (r >= 0)
                        r = policy_check_acl(&p->connect_to, warnings);
        }
        return r;
}
