/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is remembered and told of decisions: the ring of flows, the bus signal, the journal. */

#include "enforcer/manager.h"

void record_flow(Manager *m, const DatapathFlow *record);
void record_settings(Manager *m, const Unit *u); /* the unit is denied everything, and why */
