/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A file of records in the runtime directory, read once and then only added to. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

/* Made if need be; what is in it is *ret_data (yours). -EINVAL: no regular file, or longer than max; -ENOMEM, or what the file says. */
_must_use_ int append_file_open(const char *path, size_t max, int *ret_fd, uint8_t **ret_data, size_t *ret_size);
_must_use_ int append_file_write(int fd, const void *data, size_t size); /* all of it, or nothing */
