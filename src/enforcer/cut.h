/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Cuts live TCP connections of a unit that its rules do not (or no longer) allow, both ends at once; its listeners stay. */

#include "enforcer/manager.h"

/* Connections from before the unit was enforced: judged as with strangers, by ACLs and FailsafeAcceptFrom=. */
void cut_strangers(Manager *m, const Unit *u);
/* After a change: whom a connection is with is taken from its record; without a record it is a stranger's. */
void cut_recheck(Manager *m, const Unit *u);
