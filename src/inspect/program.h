/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a program file says of itself: ELF, or a script's first line. The file may be anybody's, so nothing in it is believed: each offset and each length is
 * checked, all loops are bounded. Pure: the bytes come through a callback. */

#include <stddef.h>
#include <stdint.h>

#include "ipc/inspect-protocol.h"
#include "util/macro.h"

/* Up to n bytes from offset: their number, fewer only at the end of the file; negative errno. */
typedef struct ByteSource {
        ssize_t (*read)(void *userdata, uint64_t offset, void *buf, size_t n);
        void *userdata;
} ByteSource;

/* 0: also for a file that is neither (PROGRAM_OTHER), an ELF file of another byte order among them. -EBADMSG: an ELF file or a first line that is broken, or has more than
 * ProgramInfo holds; or what read said. */
_must_use_ int program_read(const ByteSource *source, ProgramInfo *ret);
