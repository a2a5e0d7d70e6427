/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* Answers the requests of ipc/verify-protocol.h that come over a connected socket until the other side closes it. 0, -EPROTO (not this protocol), or a negative errno. */
_must_use_ int verify_serve(int fd);

/* No privileges to be had, no core dumps, and no system call but those that read and answer: nothing can be opened, made, sent elsewhere or executed. */
_must_use_ int verify_sandbox_enter(void);
