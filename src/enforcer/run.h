/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* org.trireme.Manager.StartRun: labels for a process of the caller's own, in a scope of its own, attached when the call returns. */

#include "enforcer/manager.h"

_must_use_ int run_start(Manager *m, sd_bus_message *call, sd_bus_error *error); /* a method's return value */
