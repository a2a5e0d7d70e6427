/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The end of a unit: closed at once, released when no socket bears its cgroup id any more. */

#include "enforcer/manager.h"

#define RELEASE_RETRY_USEC (500 * USEC_PER_MSEC)

/* cause: systemd's Result= ("success", "oom-kill") or what else ended it. The Unit is a remnant from then on, and gone when the helper could release it. */
void end_unit(Manager *m, Unit *u, const char *cause);
/* Its settings are gone: let go at once, with its sockets. */
void end_unlabelled(Manager *m, Unit *u);
/* A cgroup id in the maps that is no Unit: the generator hooked a unit that turns out not to be labelled. */
void end_watch(Manager *m);                                  /* a unit was attached: see that it starts */
void end_release_stranger(Manager *m, const char *unit, uint64_t cgroup_id);

_must_use_ int end_start_timer(Manager *m);
