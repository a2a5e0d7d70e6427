/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What each unit last said of itself, as a hash by its control group's id, in a file: so an enforcer sees that labels were changed while there was none, and that peers on other
 * hosts, which went by the old ones, must judge again. */

#include <stdint.h>

#include "enforcer/unit-policy.h"
#include "util/macro.h"

typedef struct Told Told;
/* path: the file, made if need be; NULL: none. -ENOMEM, or what the file says. */
_must_use_ int told_new(const char *path, Told **ret);
Told *told_free(Told *t);
DEFINE_CLEANUP(Told *, told_free);

/* 1: it is other than what was noted before; 0: it is not, or nothing was; -ENOMEM, -EIO. Only what the settings say counts: other tags come to be known anew. */
_must_use_ int told_note(Told *t, uint64_t cgroup_id, const UnitPolicy *policy);
void told_forget(Told *t, uint64_t cgroup_id);
