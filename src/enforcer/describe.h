/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The state as JSON and as numbers, for people and scripts. */

#include "enforcer/manager.h"

typedef struct Counter {
        const char *name;  /* static */
        uint64_t value;
} Counter;

#define COUNTERS_MAX 32u

_must_use_ int describe_manager(const Manager *m, char **ret);
_must_use_ int describe_unit(const Unit *u, char **ret);
size_t describe_counters(const Manager *m, Counter ret[static COUNTERS_MAX]); /* how many were filled */

/* Each rule of one direction in order of decision, as it stands in a unit file; "reject", "observe" before it if so. Passes on the first negative result. */
typedef int (*describe_text_t)(const char *text, void *userdata);
_must_use_ int describe_rules(const UnitPolicy *p, bool connect, describe_text_t done, void *userdata);

char *acl_entry_text(const AclEntry *e); /* "192.0.2.0/24 tcp/22", as it stands in a unit file; "reject" before it if so. NULL: no memory */
const char *unit_tag_origin(const Unit *u, const Tag *t); /* "own or inherited label", "system". Static */
