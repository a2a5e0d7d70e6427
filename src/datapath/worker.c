/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "util/log.h"

#define WORKER_STACK (512u * 1024)     /* a packet of 64 KiB is written on it, and one that waited is copied to it */

/* So many in one batch: the main thread does not keep up. A thread that serves one queue of four sees less of the same. */
#define SPREAD_BATCH 4u
#define SPREAD_KEEP_BATCH 2u
#define SPREAD_USEC (100 * USEC_PER_MSEC)

static void message_dispatch(Datapath *d, size_t socket, const QueueBatch *batch, size_t i, usec_t now) {
        QueueMsg msg;
        int r = queue_message(&d->queues[socket], batch, i, d->verdicts, &msg);

        if (r == -ENOMSG) /* the kernel's word on a verdict for a packet that is gone */
                return;
        d->handshake.counters[DATAPATH_COUNTER_PACKETS]++;
        if (r >= 0) {
                packet_dispatch(d, &msg, now);
                return;
        }
        d->handshake.counters[DATAPATH_COUNTER_MALFORMED]++;
        if (msg.id != 0)
                verdicts_drop(d->verdicts, &msg);
}

static void spread(Datapath *d, unsigned n, usec_t now) {
        if (!d->may_spread || n < (d->spread ? SPREAD_KEEP_BATCH : SPREAD_BATCH))
                return;
        d->spread_until_usec = now + SPREAD_USEC;
        if (!d->spread)
                pthread_cond_broadcast(&d->spreads);
        d->spread = true;
}

void batch_dispatch(Datapath *d, size_t socket, const QueueBatch *batch, int n, usec_t now) {
        if (n == -ENOBUFS) /* the kernel dropped what had no room; TCP sends it again */
                d->handshake.counters[DATAPATH_COUNTER_OVERRUN]++;
        else if (n < 0)
                d->lost = n;
        for (int i = 0; i < n; i++)
                message_dispatch(d, socket, batch, (size_t) i, now);
        spread(d, n < 0 ? 0 : (unsigned) n, now);
}

/* False: its help is not wanted any more. */
static bool worker_turn(Datapath *d, Worker *w) {
        int n = queue_receive(&d->queues[w->number], &w->batch, true);
        usec_t now;
        bool wanted;

        pthread_mutex_lock(&d->lock);
        now = clock_boottime_usec();
        d->verdicts = &w->verdicts;
        batch_dispatch(d, w->number, &w->batch, n, now);
        datapath_wake(d, now);
        wanted = d->spread && d->lost == 0;
        pthread_mutex_unlock(&d->lock);
        verdicts_flush(&w->verdicts);
        return wanted;
}

static void *worker_run(void *userdata) {
        Worker *w = userdata;
        Datapath *d = w->datapath;

        pthread_barrier_wait(&d->started);
        for (;;) {
                pthread_mutex_lock(&d->lock);
                while (!d->spread)
                        pthread_cond_wait(&d->spreads, &d->lock);
                pthread_mutex_unlock(&d->lock);
                while (worker_turn(d, w))
                        ;
        }
        return NULL;
}

int workers_start(Datapath *d) {
        pthread_attr_t attributes;
        int r = 0;

        d->may_spread = sysconf(_SC_NPROCESSORS_ONLN) > 1;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, WORKER_STACK);
        for (size_t i = 0; r >= 0 && i < QUEUE_SOCKETS; i++) {
                d->workers[i] = (Worker) { .datapath = d, .number = i };
                r = queue_batch_init(&d->workers[i].batch);
                if (r >= 0)
                        r = verdicts_init(&d->workers[i].verdicts, d->queues);
                if (r >= 0)
                        r = -pthread_create(&d->workers[i].thread, &attributes, worker_run, &d->workers[i]);
        }
        pthread_attr_destroy(&attributes);
        if (r < 0)
                return log_error_errno(r, "Cannot start the threads");
        pthread_barrier_wait(&d->started);
        return 0;
}
