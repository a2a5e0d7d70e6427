/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A file that is a piece of memory, for tests and fuzzers. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "util/macro.h"

typedef struct Memory {
        const void *data;
        size_t size;
} Memory;

static inline ssize_t memory_read(void *userdata, uint64_t offset, void *buf, size_t n) {
        const Memory *m = userdata;

        if (offset >= m->size)
                return 0;
        n = MIN(n, m->size - (size_t) offset);
        memcpy(buf, (const uint8_t *) m->data + offset, n);
        return (ssize_t) n;
}
