/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Cuts live TCP connections of a unit that its rules do not (or no longer) allow, both ends at once; its listeners stay. What a connection was authorized for stands in
 * the mark of its conntrack entry, so nothing is kept here for each of them. */

#include "enforcer/manager.h"

/* All connections of all units, now or, after a start, when all units are known. */
void cut_all(Manager *m);
void cut_start(Manager *m, Unit *u, CutWhat what);
/* A connection was authorized: if that was decided before the last change and would now come out otherwise, it is cut. */
void cut_late(Manager *m, const DatapathFlow *flow);
