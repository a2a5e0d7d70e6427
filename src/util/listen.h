/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The descriptors that the service manager passes, by the protocol that sd_listen_fds(3) documents for those who go without libsystemd: it brings five libraries
 * (compression, cryptography) that a process that reads foreign bytes is better without, and each costs memory and time at the start. */

#include <stdbool.h>

#include "util/macro.h"

#define LISTEN_FDS_START 3

/* How many there are, the first is LISTEN_FDS_START; all closed on exec. 0: none were passed to this process. -EINVAL: the variables are not what they should be. */
_must_use_ int listen_fds(void);
/* Of the one socket that was passed: its first connection. The socket is closed: whoever comes next gets another process. -ENOTSOCK: not one was passed. */
_must_use_ int listen_accept(void);
/* Is this the name of the i-th of them ($LISTEN_FDNAMES)? */
bool listen_fd_has_name(int i, const char *name);
