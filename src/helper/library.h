/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Libraries for the enforcer to look into: files that everybody may read anyhow, but perhaps below a root directory or in a mount namespace where it cannot go. */

#include <stdbool.h>
#include <stdint.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

bool library_path_is_valid(const char *path); /* absolute, and named like a library or the loader's cache */

/* The first that there is, below root_fd. A path that others than root can turn elsewhere ends the search with -EPERM: what the loader finds there can change. -EACCES: not everybody may
 * read it, or it is no library by name; -ENOENT; or what the kernel says. */
_must_use_ int library_open_below(int root_fd, const HelperLibrary *request, uint32_t *ret_index);
/* As the process sees it; -ESRCH: there is none of that number in the unit. */
_must_use_ int library_open(const HelperLibrary *request, uint32_t *ret_index);
