/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Small numbers for units (ipc/marks.h). A freed number is the last to be used again, because packets and records that bear it may still be under way. */

#include <stdint.h>

#include "ipc/marks.h"
#include "util/macro.h"

typedef struct IndexPool {
        uint64_t used[(UNIT_INDEX_MAX + 1) / 64];
        uint32_t last;  /* handed out last; set it to a random number at the start, so that a restart does not begin with the numbers of the last life */
        uint32_t n_used;
} IndexPool;

_must_use_ int index_take(IndexPool *p, uint32_t *ret);           /* -ENOSPC: all are in use */
_must_use_ int index_reserve(IndexPool *p, uint32_t index);       /* exactly this one. -EBUSY, -ERANGE */
void index_release(IndexPool *p, uint32_t index);
