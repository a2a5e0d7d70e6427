/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One clause of a rule: a condition on the tags of one key. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/tags.h"
#include "util/macro.h"

typedef enum ClauseOperator {
        CLAUSE_EQUAL,     /* key=v1|v2*: some tag of that key has one of the values; '*' at the end: begins with it */
        CLAUSE_NOT_EQUAL, /* key!=v1|v2*: no tag of that key has one of them, so an absent key satisfies it */
        CLAUSE_PRESENT,   /* key */
        CLAUSE_ABSENT,    /* !key */
        _CLAUSE_OPERATOR_MAX,
} ClauseOperator;

typedef struct ClauseValue {
        char *text;   /* without the '*' */
        size_t len;
        bool prefix;
} ClauseValue;

typedef struct Clause {
        ClauseOperator op;
        char *key;            /* full key */
        int family;           /* TagFamily, or -ENOENT for @port */
        ClauseValue *values;
        size_t n_values;      /* 0 for PRESENT and ABSENT */
} Clause;

void clause_done(Clause *c);
/* -EINVAL with *ret_fault (static text), -ENOMEM. */
_must_use_ int clause_parse(const char *word, Clause *ret, const char **ret_fault);
/* From parts, as the JSON policy has them: key bare or full, values with '*'. */
_must_use_ int clause_make(ClauseOperator op, const char *key, const char *const *values, size_t n_values, Clause *ret, const char **ret_fault);
char *clause_format(const Clause *c); /* parses back to the same; NULL: no memory */
