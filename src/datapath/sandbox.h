/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* From here on: no new socket, file or program. For good. */
_must_use_ int sandbox_enter(void);
