/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* org.trireme.Manager.Explain: what both ends would say to a connection, by the same functions that decide real ones. */

#include "enforcer/manager.h"

/* from, to: a unit name or labels ("k=v k=v"). port: "80/tcp", "80" or "". Answers call later, or fails with *error set. */
_must_use_ int explain_start(Manager *m, sd_bus_message *call, const char *from, const char *to, const char *port, sd_bus_error *error);
