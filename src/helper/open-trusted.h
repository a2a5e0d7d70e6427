/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Opens what only a trusted user can have put there. */

#include <sys/types.h>

#include "util/macro.h"

/* Walks an absolute path below root_fd, links included, and never out of it. Each directory, link and the file itself must belong to owner and be writable for nobody else
 * (-EPERM). Returns an O_PATH descriptor; -EINVAL: not absolute; -ELOOP, -ENAMETOOLONG, or what the kernel says. */
_must_use_ int open_trusted(int root_fd, const char *path, uid_t owner);
_must_use_ int reopen_regular(int path_fd); /* an O_PATH descriptor for reading. -EBADF: no regular file */
