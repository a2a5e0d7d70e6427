/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The load of the benchmark. A connection is: connect, one byte there, one byte back, close by the client. */

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "util/fd.h"
#include "util/macro.h"

#define THREADS_MAX 64u
#define SLOTS_MAX 4096u           /* connections in flight of one thread */
#define HELD_MAX 500000u

enum {
        BYTE_REQUEST = 'r',       /* the server answers it with one byte */
        BYTE_BULK = 'b',          /* from here on the server reads and throws away */
};

typedef struct LoadOptions {
        struct sockaddr_in address;
        unsigned spread;          /* consecutive addresses, beginning with address, that take turns: more tuples than one has ports */
        unsigned processes;       /* serve, hold: with as many threads, or a share of the connections, each */
        unsigned threads;
        unsigned in_flight;       /* of all threads together */
        unsigned pause_usec;      /* of a thread between two connections */
        unsigned warmup_msec;     /* before anything is counted */
        unsigned msec;            /* how long is counted */
        unsigned count;           /* hold: connections */
} LoadOptions;

typedef enum LoadPhase { PHASE_WARMUP, PHASE_MEASURE, PHASE_STOP } LoadPhase;

/* What the machine as a whole did between two moments. */
typedef struct LoadWindow {
        uint64_t nsec;
        uint64_t queued;          /* packets that went to user space */
        double busy_sec;          /* of all processors, softirq included; steps of 10 ms */
        double share;             /* busy, of what there was */
} LoadWindow;

/* Moves phase through warm-up and measurement and says what happened meanwhile. Returns 0 or a negative errno. */
_must_use_ int load_run_window(const LoadOptions *o, _Atomic LoadPhase *phase, LoadWindow *ret);

/* The address whose turn it is. */
struct sockaddr_in load_address(const LoadOptions *o, unsigned turn);

/* These run to their end and print one line of JSON (the server: nothing, for ever). They return 0 or a negative errno. */
_must_use_ int load_serve(const LoadOptions *o);
_must_use_ int load_connect(const LoadOptions *o);
_must_use_ int load_bulk(const LoadOptions *o);
_must_use_ int load_hold(const LoadOptions *o);

static inline uint64_t now_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}
