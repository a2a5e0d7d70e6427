/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Access lists in the kernel: units with equal lists share one profile, because a profile's sets are dear to change and a unit's entry is not. */

#include <stdbool.h>
#include <stdint.h>

#include "policy/acl.h"
#include "util/macro.h"

typedef struct Manager Manager;

#define PROFILE_ID_MAX 0xffffu   /* no more than units */

typedef struct Profile {
        struct Profile *next;
        Manager *manager;
        uint32_t id;                /* 1 to PROFILE_ID_MAX */
        unsigned n_ref;
        bool ready;                 /* the helper has freed this number for us; until then no unit can be enforced with it */
        bool failed;                /* an entry was refused: units with this profile are denied, for a reject that is not there would open */
        AclList accept_from, connect_to;
} Profile;

/* The profile for these lists, *ret = NULL when both are empty. -ENOSPC, -ENOMEM. */
_must_use_ int profile_acquire(Manager *m, const AclList *accept_from, const AclList *connect_to, Profile **ret);
Profile *profile_release(Profile *p);   /* after the helper was told to use another one for the unit */
void profiles_send(Manager *m);         /* all of them, to a helper that may know none */
