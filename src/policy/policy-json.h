/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Named policies from JSON files: trireme.policy(5). */

#include <stddef.h>

#include "policy/acl.h"
#include "policy/config-file.h"
#include "policy/evaluate.h"
#include "util/macro.h"

/* One direction of a policy. Of a parsed file none is NULL. */
typedef struct PolicyRules {
        RuleSet *rejects, *accepts, *observed_rejects, *observed_accepts;
} PolicyRules;

void policy_rules_done(PolicyRules *r);

typedef struct NamedPolicy {
        char *name;
        PolicyRules accept, connect;      /* ExposureRules, Dependencies */
        AclList accept_from, connect_to;  /* NetworkACLs, ApplicationACLs */
} NamedPolicy;

typedef struct PolicyBook {
        NamedPolicy *policies; /* in file order */
        size_t n_policies;
} PolicyBook;

void policy_book_done(PolicyBook *b);
/* Adds the policies of one file to *b. 0; -EINVAL: faults appended to *errors, *b untouched; -ENOMEM. */
_must_use_ int policy_book_add(PolicyBook *b, const ConfigFile *file, ConfigErrors *errors);
const NamedPolicy *policy_book_find(const PolicyBook *b, const char *name); /* NULL: no such. Borrowed. */
