/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>

#include "policy/rule.h"
#include "util/array.h"

void rule_done(Rule *r) {
        for (size_t i = 0; i < r->n_clauses; i++)
                clause_done(r->clauses + i);
        free(r->clauses);
        free(r->name);
        *r = (Rule) {};
}

int rule_take_clause(Rule *r, Clause *c) {
        if (!ARRAY_GROW(r->clauses, r->n_clauses))
                return -ENOMEM;
        r->clauses[r->n_clauses++] = *c;
        *c = (Clause) {};
        return 0;
}

char *rule_format(const Rule *r) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && i < r->n_clauses; i++) {
                _cleanup_free_ char *clause = clause_format(r->clauses + i), *old = TAKE_PTR(text);

                if (!clause || asprintf(&text, "%s%s%s", old, i > 0 ? " " : "", clause) < 0)
                        return text = NULL;
        }
        return TAKE_PTR(text);
}

void rule_list_done(RuleList *l) {
        for (size_t i = 0; i < l->n_rules; i++)
                rule_done(l->rules + i);
        free(l->rules);
        *l = (RuleList) {};
}

int rule_list_take(RuleList *l, Rule *r) {
        if (r->n_clauses == 0)
                return -EINVAL;
        if (!ARRAY_GROW(l->rules, l->n_rules))
                return -ENOMEM;
        l->rules[l->n_rules++] = *r;
        *r = (Rule) {};
        return 0;
}
