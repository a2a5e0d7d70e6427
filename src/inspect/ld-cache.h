/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* /etc/ld.so.cache, as ldconfig(8) writes it: where the loader finds a library that no run path leads to. That of a container is the container's, so nothing in it is believed. Pure. */

#include "inspect/program.h"

/* The plain library of that name and of this machine's own kind, not the variants for CPUs with more features. -ENOENT: not there; -EBADMSG: no such file, or a broken one; -EFBIG,
 * -ENOMEM, or what read said. */
_must_use_ int ld_cache_find(const ByteSource *source, const char *name, char ret_path[static PROGRAM_PATH_MAX]);
