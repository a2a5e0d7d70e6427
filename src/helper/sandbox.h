/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* From here on: the sockets that the process was given, AF_UNIX and two kinds of netlink, files to read, directories of control groups, and the files that say "attached".
 * No program, no other identity, no other process's memory. -errno. */
_must_use_ int sandbox_enter(void);
