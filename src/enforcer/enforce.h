/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The life of a unit: met, evaluated, enforced, changed, ended. Order towards the kernel is always: closed first, opened last. */

#include "enforcer/load.h"
#include "enforcer/manager.h"

#define ENFORCE_FLAGS_THAT_DENY (HELPER_UNIT_OWN_NETWORK | HELPER_UNIT_TOO_DEEP | HELPER_UNIT_FOREIGN_LISTENER)

/* Read its settings and put them in force. attach: a client waits for the answer. */
void enforce_evaluate(Manager *m, const HelperUnit *info, bool attach);
void enforce_loaded(Manager *m, const HelperUnit *info, LoadResult *result, void *userdata); /* a load_done_t: the second half of that */
/* What the helper tells. */
void enforce_event(Manager *m, const HelperUnit *info);                 /* its state changed */
void enforce_check(Manager *m, const char *unit);                       /* it may have ended */
void enforce_gone(Manager *m, const HelperUnit *info);                    /* PID 1 has unloaded it; of a scope, with its result */
void enforce_listed(Manager *m);                                        /* all loaded units were told: who was not among them is gone */

_must_use_ int enforce_set_mode(Manager *m, Unit *u, UnitMode mode);    /* DEFAULT ends the override. -EINVAL: denied for its settings */
void enforce_refresh_all(Manager *m);                                   /* keys changed: states and tokens anew */
void enforce_refresh_tokens(Manager *m);                                /* time passed: the same tokens with new dates */
void enforce_identity_changed(Manager *m, Unit *u);                     /* perhaps: its tags anew */
void enforce_profile_ready(Manager *m, const Profile *p);                /* or failed: its units can be enforced, or must be denied */
