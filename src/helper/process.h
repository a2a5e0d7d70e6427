/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What /proc says of a process. A number may be somebody else's by the time it is read: ask process_alive() of a pidfd afterwards. */

#include <stdbool.h>
#include <stdint.h>

#include "util/macro.h"

/* The number of the process that a pidfd names; -ESRCH: it has ended, or this is no pidfd. */
_must_use_ int pid_of_pidfd(int pidfd, uint32_t *ret);
bool process_alive(int pidfd);
/* 0 if real, effective, saved and file system uid are all this one: a process on its way to other rights is not the caller's own. -EPERM, -ESRCH. */
_must_use_ int process_check_uid(uint32_t pid, uint32_t uid);
