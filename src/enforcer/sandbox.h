/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* From here on: files to read, sockets of AF_UNIX, and new files in two ways only, which the runtime directory needs. No program, no other identity, no other process. -errno. */
_must_use_ int sandbox_enter(void);
