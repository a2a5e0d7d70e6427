/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a unit's settings, those of its slices and the configuration come to: its tags, its rules, its access lists. Immutable once made, so a decision
 * uses one version from start to end; only its tags change, as the unit's processes do. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/evaluate.h"
#include "policy/policy-json.h"
#include "policy/unit-settings.h"
#include "util/macro.h"

typedef struct UnitPolicy {
        unsigned n_ref;
        UnitMode mode;                /* never UNIT_MODE_DEFAULT */
        TagSet labels;                /* with the inherited ones */
        TagSet settings_tags;         /* labels, and what the unit's name and host say */
        TagSet tags;                  /* these and those of its identity: unit_policy_identify() */
        uint16_t families;            /* those of which all tags are known: what a unit of this host may judge by */
        uint16_t announce;            /* AnnounceTags=: what travels */
        PolicyRules accept, connect;  /* NULL: no rule */
        bool accept_same_label, connect_same_label; /* the default policy holds for that direction */
        AclList accept_from, connect_to;
        char *name;                   /* TriremePolicy=; NULL: the default policy */
        char **files;                 /* where settings were found; NULL-terminated */
} UnitPolicy;

typedef struct UnitFacts {
        const char *unit;             /* "": labels alone, for explanations */
        const char *triggers;         /* the service a socket unit triggers, or "" */
        const char *hostname;
        const char *machine;          /* @sys:machine; NULL: none */
        const NamedPolicy *policy;    /* TriremePolicy=, NULL: the default policy. Its rules are shared, so it need not outlive the call */
} UnitFacts;

/* Takes the rules and lists out of *own, which is left valid and emptier. slices: innermost first. 0; -E2BIG (too many tags), -EINVAL (a tag that cannot be), -ENOMEM. */
_must_use_ int unit_policy_new(UnitSettings *own, const UnitSettings *const *slices, size_t n_slices, const UnitFacts *facts, const Config *config, UnitPolicy **ret);
UnitPolicy *unit_policy_ref(UnitPolicy *p);
UnitPolicy *unit_policy_unref(UnitPolicy *p);
DEFINE_CLEANUP(UnitPolicy *, unit_policy_unref);

/* Replaces the tags of the unit's identity and their families. 1: other ones than before; 0; -E2BIG, -EINVAL, -ENOMEM: as before. */
_must_use_ int unit_policy_identify(UnitPolicy *p, const TagSet *identity, uint16_t families);

_must_use_ int unit_policy_add_file(UnitPolicy *p, const char *path);

PolicySide unit_policy_side(const UnitPolicy *p, bool connect); /* borrowed from p */

/* Would peers decide the same about both? */
bool unit_policy_same_tags(const UnitPolicy *a, const UnitPolicy *b);
/* Would both decide the same about peers with an identity? */
bool unit_policy_same_rules(const UnitPolicy *a, const UnitPolicy *b);
