/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The process: packets come from the kernel's queues, go through the handshake machine and back; what it cannot know it asks the enforcer. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/handshake.h"
#include "core/pending.h"
#include "core/waiting.h"
#include "datapath/control.h"
#include "datapath/listener.h"
#include "datapath/notify.h"
#include "datapath/queue.h"
#include "datapath/record.h"
#include "datapath/worker.h"

typedef struct Datapath {
        pthread_mutex_t lock;          /* of all that follows but queues, which are their workers', and what is set before they start */
        Handshake handshake;           /* its tables belong to this struct */
        PendingSet *pending;
        WaitSet *waiting;
        Verdicts *verdicts;            /* of the thread that holds the lock */
        Control control;
        Records records;
        Listeners listeners;
        Notify notify;
        uint32_t mark_mask;            /* ConntrackMarkMask= */
        usec_t next_tick_usec;
        uint64_t counters_sent[_DATAPATH_COUNTER_MAX];
        uint32_t n_flows_sent;
        bool may_spread, spread;       /* the other threads serve the queues, until spread_until_usec at least */
        usec_t spread_until_usec;
        pthread_cond_t spreads;
        usec_t sleeps_until_usec;      /* the main thread; 0: it does not sleep */
        int lost;                      /* why a queue's socket cannot be used any more */
        pthread_barrier_t started;
        int wake_fds[2];               /* the main thread reads the first */
        QueueBatch own_batch;          /* of the main thread, as the next */
        Verdicts own_verdicts;
        Queue queues[QUEUE_SOCKETS];
        Worker workers[QUEUE_SOCKETS];
} Datapath;

#define DATAPATH_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .spreads = PTHREAD_COND_INITIALIZER, .control = CONTROL_INIT, .listeners = LISTENERS_INIT, \
                        .notify = NOTIFY_INIT, .wake_fds = { -1, -1 }, .queues = { QUEUE_INIT, QUEUE_INIT, QUEUE_INIT, QUEUE_INIT } }

_Static_assert(QUEUE_SOCKETS == 4, "DATAPATH_INIT names each");

_must_use_ int datapath_init(Datapath *d);
void datapath_done(Datapath *d);

/* dispatch.c, all with the lock held: one packet from the queue. Its verdict is in d->verdicts afterwards, unless it waits. */
void packet_dispatch(Datapath *d, const QueueMsg *msg, usec_t now);
/* The enforcer answered, or never will (answer NULL): all packets that waited for this serial go on, or are dropped. */
void pending_dispatch(Datapath *d, uint32_t serial, const DatapathResolved *answer, usec_t now);
/* What the packets that came too early waited for has happened (key NULL: will not, their time is over); they go on. */
void waiting_dispatch(Datapath *d, const WaitKey *key, usec_t now);

/* loop.c: until a signal ends the process, or a queue is lost; that has been logged then. Called with the lock held. */
void datapath_run(Datapath *d);
/* Wakes the main thread if something becomes due before it means to wake. With the lock held. */
void datapath_wake(Datapath *d, usec_t now);
