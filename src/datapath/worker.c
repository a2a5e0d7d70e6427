/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "datapath/datapath.h"
#include "util/log.h"

#define WORKER_STACK (512u * 1024)     /* a packet of 64 KiB is written on it, and one that waited is copied to it */

/* The table spreads by the processor's number; where none of ours is allowed any is as good. */
static void worker_pin(size_t number) {
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                return;
        for (size_t i = 0; i < CPU_SETSIZE; i++)
                if (i % QUEUE_SOCKETS != number)
                        CPU_CLR(i, &cpus);
        if (CPU_COUNT(&cpus) > 0 && sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
                log_warning_errno(errno, "Cannot bind a thread to its processors");
}

static void worker_message(Datapath *d, Worker *w, size_t i, usec_t now) {
        QueueMsg msg;
        int r = queue_message(&d->queues[w->number], i, &w->verdicts, &msg);

        if (r == -ENOMSG) /* the kernel's word on a verdict for a packet that is gone */
                return;
        d->handshake.counters[DATAPATH_COUNTER_PACKETS]++;
        if (r >= 0) {
                packet_dispatch(d, &msg, now);
                return;
        }
        d->handshake.counters[DATAPATH_COUNTER_MALFORMED]++;
        if (msg.id != 0)
                verdicts_drop(&w->verdicts, &msg);
}

/* One batch; n: of queue_receive(). */
static void worker_turn(Datapath *d, Worker *w, int n) {
        usec_t now;

        pthread_mutex_lock(&d->lock);
        now = clock_boottime_usec();
        d->verdicts = &w->verdicts;
        if (n == -ENOBUFS) /* the kernel dropped what had no room; TCP sends it again */
                d->handshake.counters[DATAPATH_COUNTER_OVERRUN]++;
        else if (n < 0)
                d->lost = n;
        for (int i = 0; i < n; i++)
                worker_message(d, w, (size_t) i, now);
        datapath_wake(d, now);
        pthread_mutex_unlock(&d->lock);
        verdicts_flush(&w->verdicts);
}

static void *worker_run(void *userdata) {
        Worker *w = userdata;
        Datapath *d = w->datapath;
        int n;

        worker_pin(w->number);
        pthread_barrier_wait(&d->started);
        pthread_mutex_lock(&d->lock);
        pthread_mutex_unlock(&d->lock);
        do {
                n = queue_receive(&d->queues[w->number]);
                worker_turn(d, w, n);
        } while (n >= 0 || n == -ENOBUFS);
        return NULL;
}

int workers_start(Datapath *d) {
        pthread_attr_t attributes;
        int r = 0;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, WORKER_STACK);
        for (size_t i = 0; r >= 0 && i < QUEUE_SOCKETS; i++) {
                d->workers[i] = (Worker) { .datapath = d, .number = i };
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
