/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* What this process never does again: run programs, trace or write others, mount, load code into the kernel, open packet sockets. -errno. */
_must_use_ int sandbox_enter(void);
