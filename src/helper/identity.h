/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who a unit is: the file that its main process executes or is about to, and as whom. Looks and opens; reads nothing but /proc. */

#include "helper/unit-exec.h"
#include "ipc/helper-protocol.h"

typedef struct Identity {
        HelperCredentials credentials;       /* headers are the caller's */
        HelperExecutable executables[2];     /* of the process, of the settings; either may be missing */
        int fds[2];
        size_t n_executables;
} Identity;

/* What cannot be found out is left out. */
void identity_read(int cgroup_root_fd, const HelperUnit *unit, const UnitExec *exec, Identity *ret);
/* Of the process whose directory of proc(5) it is; a label that is not there, or too long to be told whole, stays empty. */
void identity_read_labels(int proc_fd, bool selinux, HelperCredentials *c);
void identity_done(Identity *identity);
