/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* May this caller? Root always; others if polkit says so, asked without waiting; where there is no polkit nobody else. */

#include "enforcer/manager.h"

#define POLKIT_INSPECT "org.trireme.inspect"
#define POLKIT_MANAGE "org.trireme.manage"
#define POLKIT_RUN "org.trireme.run"

#define POLKIT_QUERIES_MAX 256u     /* of all callers; a caller who never answers his prompt holds one */
#define POLKIT_QUERIES_PER_SENDER 8u

/* The first statement of a method: 1: go on; 0: polkit was asked, return 1 and be called again with the same message when it answered; negative: refused, *error is set.
 * details: pairs of key and value, NULL-terminated, or NULL. */
_must_use_ int polkit_check(Manager *m, sd_bus_message *call, const char *action, const char *const *details, sd_bus_error *error);
void polkit_done(Manager *m);
