/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The local units as the enforcer told them. */

#include <stdbool.h>
#include <stdint.h>

#include "ipc/datapath-protocol.h"
#include "util/clock.h"
#include "util/macro.h"

typedef struct Unit {
        uint32_t index, flags;         /* flags: REQUEST_UNIT_* of ipc/marks.h */
        uint64_t cgroup_id;
        uint64_t generation;           /* unit_table_begin() counts them */
        usec_t token_expires_usec;
        uint8_t node_dh[32];
        uint8_t token_hash[DATAPATH_HASH_SIZE];
        uint16_t token_len;            /* 0: the unit has no identity to show */
        uint8_t token[];               /* token_len bytes */
} Unit;

typedef struct UnitTable UnitTable;

_must_use_ int unit_table_new(UnitTable **ret);
UnitTable *unit_table_free(UnitTable *t);
DEFINE_CLEANUP(UnitTable *, unit_table_free);

const Unit *unit_table_get(const UnitTable *t, uint32_t index);              /* NULL: not known */
const Unit *unit_table_find_cgroup(const UnitTable *t, uint64_t cgroup_id);
_must_use_ int unit_table_set(UnitTable *t, const DatapathUnit *u);          /* add or replace; -EINVAL, -ENOMEM */
void unit_table_remove(UnitTable *t, uint32_t index);

/* A new enforcer names all its units between begin and end; those it did not name are dropped at the end, not before. */
void unit_table_begin(UnitTable *t);
void unit_table_end(UnitTable *t);
bool unit_table_is_former(const UnitTable *t, uint32_t index); /* known from an enforcer that is no more; the new one has yet to name it */
bool unit_table_is_complete(const UnitTable *t); /* all units were named once: what is not in it is none */
