/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A unit in force: one cgroup id in the kernel's maps under one index. A unit name has at most one current Unit; Units of the same name whose cgroup is gone but whose
 * sockets live on elsewhere are its remnants. */

#include <stdbool.h>
#include <stdint.h>

#include "enforcer/index.h"
#include "enforcer/unit-policy.h"
#include "ipc/helper-protocol.h"
#include "policy/reason.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/token.h"

typedef struct Identity Identity;
typedef struct Profile Profile;

/* Which of a unit's live connections to judge again, the later including the earlier. */
typedef enum CutWhat {
        CUT_NONE,
        CUT_CHANGED,         /* its rules, access lists or mode changed: all, by both ends where both are here */
        CUT_CHANGED_TAGS,    /* what it says of itself changed, too: peers on other hosts must judge again, so connections with them are cut */
        CUT_STRANGERS,       /* it was not enforced before: all as with strangers, by ACLs and FailsafeAcceptFrom= */
} CutWhat;

typedef enum UnitState { UNIT_DENIED, UNIT_ENFORCING, UNIT_OBSERVING, _UNIT_STATE_MAX } UnitState;
const char *unit_state_to_string(UnitState state);

/* What was last seen of a unit: of a HelperUnit, which has room for the longest names, what is needed. */
typedef struct UnitInfo {
        const char *unit, *triggers, *cgroup; /* borrowed */
        uint64_t cgroup_id;
        uint8_t invocation_id[16];
        HelperActive active;
        uint32_t flags;
} UnitInfo;

typedef struct Unit {
        const char *name;              /* owned. First: the search tree looks here */
        struct Unit *next, *previous;  /* list of all */
        UnitInfo info;                 /* as last seen; its strings are name and these two, in one: */
        char *strings;
        char *path;                    /* object path */
        uint32_t index;
        bool remnant;
        bool fresh;                    /* attached, not seen active since: "inactive" is still about its last life */
        bool asked_about;              /* what PID 1 says of it is on the way, */
        bool releasing;                /* or the helper's answer to whether it can be released */
        uint8_t n_checks;              /* how often it was asked about since it was attached */
        usec_t check_usec;             /* when to ask about it next */
        bool unrecorded;               /* denied everything while it was fresh: to be recorded when it has started */
        bool attach_waits;             /* an attach client waits for the answer */
        bool closing;                  /* being put into the maps; only then it can be enforced */
        bool announced;                /* UnitAttached was sent */
        bool found_running;            /* was not in the maps when we met it: connections it had before are judged as with strangers */
        CutWhat cut;                   /* to be started once the kernel has what is in force now */
        usec_t unsettled_until_usec;   /* an enforcer before this one put it in force, and who it is is still being found out: what lives is not cut for that; 0: settled */
        char gone_result[HELPER_RESULT_MAX]; /* how it ended, should PID 1 not know it any more; empty: that was not heard */
        unsigned listing;              /* Units.listing when it was last listed */

        UnitState state;
        Reason reason;                 /* DENIED: why */
        char *reason_text;
        UnitMode mode_override;        /* SetMode(); UNIT_MODE_DEFAULT: none */
        UnitPolicy *policy;            /* NULL: settings could not be had */
        Identity *identity;            /* who it is beyond its settings; NULL: not asked for yet */
        Profile *profile;              /* ACLs, NULL: none */
        Profile *retired;              /* the one before, which the kernel uses until the helper has answered */
        uint16_t token_len;            /* 0: no token */
        uint8_t token_own[32];         /* own_key_name() of what is in it */
        usec_t token_expires_usec;
        uint8_t *token;
        uint64_t n_suppressed;         /* journal entries left out */
        usec_t journal_from_usec;
        unsigned journal_burst;
} Unit;

#define FORMER_UNITS_MAX 512u

/* What records about a unit still need when it is gone: they come a moment late. */
typedef struct FormerUnit {
        uint32_t index;                /* 0: empty */
        char *name;
        char *labels;                  /* formatted */
} FormerUnit;

typedef struct Units {
        Unit *first;
        Unit *by_index[UNIT_INDEX_MAX + 1];
        void *by_name;                 /* tsearch(3), current Units only */
        IndexPool pool;
        FormerUnit former[FORMER_UNITS_MAX]; /* a ring */
        unsigned n_former;
        unsigned n_units, listing;
} Units;

void units_done(Units *units);

/* index: one to take over (HelperUnit.index), 0 for any. -ENOSPC, -EBUSY, -ENOMEM, -EEXIST (the name has a current Unit). */
_must_use_ int unit_new(Units *units, const HelperUnit *info, Unit **ret);
Unit *unit_free(Units *units, Unit *u);
UnitInfo unit_info_of(const HelperUnit *info);                   /* borrows from it */
_must_use_ int unit_take_info(Unit *u, const HelperUnit *info);  /* of the same name. -ENOMEM: as before */
void unit_make_remnant(Units *units, Unit *u);
_must_use_ int unit_revive(Units *units, Unit *u);              /* a remnant is the current one again. -EEXIST, -ENOMEM */

Unit *units_find(const Units *units, const char *name);        /* the current one */
Unit *units_find_index(const Units *units, uint32_t index);
const FormerUnit *units_find_former(const Units *units, uint32_t index); /* NULL: none remembered */

_must_use_ int unit_set_denied(Unit *u, Reason reason, const char *text); /* text NULL: the reason's own */
const char *unit_mode_in_force(const Unit *u); /* "enforce", "observe"; "" when its settings cannot be read */
