/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tokens and certificates have wall clock dates: a clock that is wrong is the first thing to look at when they are refused, so what shows that it is, is kept and told. Nothing is
 * decided by it. The latest time that was seen stands in a file, so that a clock that was set back is noticed also after a restart. */

#include <stdbool.h>
#include <stdint.h>

#include "util/clock.h"
#include "util/macro.h"

#define WALL_CLOCK_HOST_MAX 256u
#define WALL_CLOCK_SKEW_USEC (600 * USEC_PER_SEC) /* so long a difference to another host is told after it was last seen */

typedef struct WallClock {
        int fd;                         /* of the file; -1: none */
        unsigned n_records;
        int64_t seen_sec;               /* the latest */
        int64_t behind_sec;             /* so far is it behind that now; 0: no further than clocks may differ */
        int64_t skew_sec;               /* of another host: so far is its clock ahead of ours; negative: it seems to be behind. 0: none seen */
        usec_t skew_usec;               /* CLOCK_BOOTTIME: when that was seen */
        char skew_host[WALL_CLOCK_HOST_MAX];
} WallClock;

/* 1: known when it was last seen; 0: nothing known. -EINVAL: the file is none of ours, and stays as it is; or what it says. */
_must_use_ int wall_clock_open(WallClock *c, const char *path);
void wall_clock_done(WallClock *c);

/* 1: it is behind, and was not before; 0; or why the file cannot be written, after everything else was done. */
_must_use_ int wall_clock_note(WallClock *c, int64_t now_sec);
/* An authentic token of a host is out of date by so much: ahead of us > 0, ended < 0. */
void wall_clock_note_skew(WallClock *c, int64_t skew_sec, const char *host, usec_t now_usec);

/* For people; empty: nothing is wrong with it as far as can be seen. */
void wall_clock_text(const WallClock *c, usec_t now_usec, char ret[static 512]);
