/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The process: packets come from the kernel's queue, go through the handshake machine and back; what it cannot know it asks the enforcer. */

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

typedef struct Datapath {
        Handshake handshake;           /* its tables belong to this struct */
        PendingSet *pending;
        WaitSet *waiting;
        Queue queue;
        Control control;
        Records records;
        Listeners listeners;
        Notify notify;
        uint32_t mark_mask;            /* ConntrackMarkMask= */
        usec_t next_tick_usec;
        uint64_t counters_sent[_DATAPATH_COUNTER_MAX];
} Datapath;

#define DATAPATH_INIT { .queue = QUEUE_INIT, .control = CONTROL_INIT, .listeners = LISTENERS_INIT, .notify = NOTIFY_INIT }

_must_use_ int datapath_init(Datapath *d);
void datapath_done(Datapath *d);

/* dispatch.c: one packet from the queue. Its verdict is in the queue's buffer afterwards, unless it waits. */
void packet_dispatch(Datapath *d, const QueueMsg *msg, usec_t now);
/* The enforcer answered, or never will (answer NULL): all packets that waited for this serial go on, or are dropped. */
void pending_dispatch(Datapath *d, uint32_t serial, const DatapathResolved *answer, usec_t now);
/* What the packets that came too early waited for has happened (key NULL: will not, their time is over); they go on. */
void waiting_dispatch(Datapath *d, const WaitKey *key, usec_t now);

/* loop.c: until a signal ends the process, or the queue is lost. */
_must_use_ int datapath_run(Datapath *d);
