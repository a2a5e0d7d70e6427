/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Asks trireme-verify about peers' certificates. Questions of the datapath that need one wait here, bounded in number; nothing else does. */

#include <stdbool.h>

#include "enforcer/manager.h"

#define VERIFY_WAITING_MAX 64u

_must_use_ int verify_client_start(Manager *m, int fd); /* fd: connected socket or -1 */

/* true: the question waits for a certificate and will be answered (datapath_answer()); false: it can be answered now. */
bool verify_client_wait(Manager *m, const DatapathResolve *question);

/* The keys, CAs, CRLs or the clock changed: judges all known certificates again, cuts connections of those that are refused now. */
void verify_client_renew(Manager *m);
void verify_client_stop(Manager *m);
