/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Waiting until the settings of all units are in force as they are now: whoever changed one is told then, not a moment before. */

#include "enforcer/manager.h"

/* done is called once: 0, -ENOMEM, or -ECANCELED when the enforcer ends. Without a helper it waits for one. */
typedef void (*settle_done_t)(int result, void *userdata);
void settle_start(Manager *m, settle_done_t done, void *userdata);
void settle_restart(Manager *m); /* the helper has gone: the next one is told of all units anew */
void settle_stop(Manager *m);
