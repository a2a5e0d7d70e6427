/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Contents of unit files by (device, inode, size, time of change). Most files say nothing about us: of those only that is remembered, so that a reload of a
 * thousand units opens but does not read them again. */

#include <stddef.h>

#include "util/macro.h"

#define FILE_CACHE_MAX 8192u            /* entries; when full all are forgotten and read again */
#define UNIT_FILE_SIZE_MAX (1u << 20)   /* as long as PID 1 takes a single line; no real unit file comes near */

typedef struct FileCache FileCache;
_must_use_ int file_cache_new(FileCache **ret);
FileCache *file_cache_free(FileCache *c);
DEFINE_CLEANUP(FileCache *, file_cache_free);

/* fd: an open regular file, or /dev/null of a masked one. *ret_data is yours, with a NUL behind it; NULL: the file does not mention Trireme, however it is spelt. -EFBIG, -EINVAL (not a regular file), -ENOMEM, or what fstat/read say. */
_must_use_ int file_cache_read(FileCache *c, int fd, char **ret_data, size_t *ret_size);
