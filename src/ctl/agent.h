/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* polkit's terminal agent, so that a question for a password can be answered where triremectl runs. */

#include <sys/types.h>

#include "ctl/ctl.h"

/* Returns its process, or 0: without a terminal, as root, or with --no-ask-password there is nobody or nothing to ask. */
pid_t agent_open(const Options *o);
void agent_close(pid_t agent);

static inline void agent_closep(pid_t *agent) {
        agent_close(*agent);
}
