/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One thread for each queue socket, on the processors whose packets come by it: where a packet came up its caches are warm and nobody else has to be woken. What
 * they decide with is the Datapath's and guarded by its lock; reading packets and sending verdicts, which carries them on through the kernel, is not. */

#include <pthread.h>

#include "datapath/queue.h"
#include "util/macro.h"

struct Datapath;

typedef struct Worker {
        struct Datapath *datapath;
        size_t number;
        pthread_t thread;
        Verdicts verdicts;
} Worker;

/* Starts them all with the lock held: they have begun when this returns, and need nothing but what the sandbox leaves them, but do not work before it is
 * released. They end with the process. */
_must_use_ int workers_start(struct Datapath *d);
