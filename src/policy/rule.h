/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A rule holds when all of its clauses hold. A RuleSet is many rules of one action, immutable and indexed, shared by whom it concerns. */

#include <stddef.h>
#include <stdint.h>

#include "policy/clause.h"
#include "util/macro.h"

typedef enum RuleFlags {
        RULE_LOG = 1 << 0,     /* JSON action 8 */
        RULE_OBSERVE = 1 << 1, /* JSON action 16: reported, decides nothing */
} RuleFlags;

typedef struct Rule {
        Clause *clauses;
        size_t n_clauses; /* at least 1 */
        unsigned flags;   /* RuleFlags */
        char *name;       /* where a person finds it: "FILE:LINE", or "FILE: POLICY.ExposureRules[0] (PolicyID 8)" */
} Rule;

void rule_done(Rule *r);
/* Takes over *c, which is empty afterwards; untouched on failure. -ENOMEM. */
_must_use_ int rule_take_clause(Rule *r, Clause *c);
char *rule_format(const Rule *r); /* clauses joined by spaces; NULL: no memory */

typedef struct RuleList {
        Rule *rules; /* in file order */
        size_t n_rules;
} RuleList;

void rule_list_done(RuleList *l);
/* Takes over *r, which is empty afterwards; untouched on failure. -ENOMEM, -EINVAL (no clause). */
_must_use_ int rule_list_take(RuleList *l, Rule *r);

typedef struct RuleSet RuleSet;
/* Takes over the rules of *l, which is empty afterwards; untouched on failure. -ENOMEM. */
_must_use_ int rule_set_new(RuleList *l, RuleSet **ret);
RuleSet *rule_set_ref(RuleSet *s);
RuleSet *rule_set_unref(RuleSet *s); /* NULL */
DEFINE_CLEANUP(RuleSet *, rule_set_unref);
size_t rule_set_size(const RuleSet *s);                  /* NULL: 0 */
const Rule *rule_set_rule(const RuleSet *s, size_t i);   /* in file order */
int rule_set_uses_port(const RuleSet *s);                /* some clause looks at @port; NULL: 0 */

/* The index, for policy_evaluate(). Each rule stands under one of its positive clauses, the one that fewest rules share; so only rules that concern a tag at hand are
 * ever looked at, and being listed promises nothing: all clauses are still to be tested. */
typedef enum RuleIndexKind {
        RULE_INDEX_ANY,     /* rules with negative clauses only; key and value "" */
        RULE_INDEX_EXACT,   /* key=value */
        RULE_INDEX_PREFIX,  /* key=value*; presence is the empty prefix */
        RULE_INDEX_LENGTHS, /* value "": not rules, but the lengths of the prefixes that are listed for this key */
} RuleIndexKind;
/* Positions in file order, ascending. Borrowed. */
const uint32_t *rule_set_lookup(const RuleSet *s, RuleIndexKind kind, const char *key, const char *value, size_t value_len, size_t *ret_n);
