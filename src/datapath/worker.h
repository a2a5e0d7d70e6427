/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One connection at a time is answered soonest by the main thread alone, which is awake and whose caches are warm; where packets begin to wait, because sending a
 * verdict carries its packet on through the whole kernel, there is one thread more for each queue socket, as long as it helps. What they decide with is the
 * Datapath's and guarded by its lock; reading packets and sending verdicts is not. */

#include <pthread.h>

#include "datapath/queue.h"
#include "util/clock.h"
#include "util/macro.h"

struct Datapath;

typedef struct Worker {
        struct Datapath *datapath;
        size_t number;                 /* of its queue socket */
        pthread_t thread;
        QueueBatch batch;
        Verdicts verdicts;
} Worker;

/* Starts them all with the lock held: they have begun when this returns, and need nothing but what the sandbox leaves them, but do not work before it is
 * released. They end with the process. */
_must_use_ int workers_start(struct Datapath *d);

/* With the lock held: what queue_receive() returned, into d->verdicts. */
void batch_dispatch(struct Datapath *d, size_t socket, const QueueBatch *batch, int n, usec_t now);
