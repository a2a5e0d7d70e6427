/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The enforcer's side of ipc/datapath-protocol.h. Without a connection nothing is sent: on the next one everything is told anew. */

#include "enforcer/manager.h"

_must_use_ int datapath_client_start(Manager *m, int fd); /* fd: connected socket or -1 */
void datapath_send_config(Manager *m);
void datapath_send_unit(Manager *m, const Unit *u);
void datapath_send_gone(Manager *m, const Unit *u);
void datapath_answer(Manager *m, const DatapathResolve *question);
void datapath_check_synced(Manager *m); /* says so once all units were evaluated */
void datapath_forget(Manager *m, uint32_t flags, uint32_t index);
