/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* All lifetimes run on CLOCK_BOOTTIME, in microseconds (usec_t). Wall clock seconds (int64_t, _sec) bound tokens only. Decisions take
 * either as an argument and never read a clock themselves. */

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t) 1000)
#define USEC_PER_SEC ((usec_t) 1000000)
#define USEC_INFINITY UINT64_MAX

static inline usec_t clock_boottime_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_BOOTTIME, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

static inline usec_t clock_realtime_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}
