/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reads a unit's settings: its own files, those of the service it triggers, those of the slices above, all of them as PID 1 applied them. */

#include "enforcer/identity.h"
#include "enforcer/manager.h"

typedef struct LoadResult {
        int error;               /* negative errno: could not be read (helper gone, no memory) */
        bool labelled;
        UnitPolicy *policy;      /* labelled and readable. Take a reference to keep it */
        const IdentityFacts *identity; /* who it is; its tags are in policy. NULL: a slice, or not known */
        Reason reason;           /* labelled but not: BAD_SETTINGS, TOO_BIG */
        char *text;              /* ... and why, with file and line */
        bool attach;             /* as given to load_start(), or by one that this one replaced */
} LoadResult;

typedef void (*load_done_t)(Manager *m, const HelperUnit *info, LoadResult *result, void *userdata);

/* done is called exactly once, later, unless this fails. replace: a load of the same unit that is under way and would also replace is dropped, its "attach" passes on. */
typedef struct LoadRequest {
        const HelperUnit *info;
        bool attach, replace;
        load_done_t done;
        void *userdata;
} LoadRequest;
_must_use_ int load_start(Manager *m, const LoadRequest *request);
/* Is one still under way that was begun when there had been so many, or one in its place? */
bool loads_any_until(const Manager *m, uint64_t n_loads);
void loads_free(Manager *m);
