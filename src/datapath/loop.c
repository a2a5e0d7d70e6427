/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Three descriptors and a clock. */

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "datapath/datapath.h"
#include "util/log.h"

#define TICK_USEC USEC_PER_SEC
#define PENDING_TICK_USEC (100 * USEC_PER_MSEC)
#define QUEUE_BATCHES 8u       /* then the enforcer and the timers get their turn */
#define EXPIRE_BATCH 256u      /* flows ended a turn: under a flood there are thousands */

typedef struct Turn { /* of the loop, as the packet handler sees it */
        Datapath *d;
        usec_t now;
} Turn;

static void on_message(const QueueMsg *msg, int result, void *userdata) {
        const Turn *turn = userdata;

        turn->d->handshake.counters[DATAPATH_COUNTER_PACKETS]++;
        if (result >= 0)
                packet_dispatch(turn->d, msg, turn->now);
        else {
                turn->d->handshake.counters[DATAPATH_COUNTER_MALFORMED]++;
                if (msg->id != 0)
                        queue_drop(&turn->d->queue, msg);
        }
}

static int serve_queue(Datapath *d) {
        for (size_t i = 0; i < QUEUE_BATCHES; i++) {
                Turn turn = { .d = d, .now = clock_boottime_usec() };
                int r = queue_receive(&d->queue, on_message, &turn);

                if (r == 0)
                        return 0;
                if (r == -ENOBUFS) /* the kernel dropped what had no room; TCP sends it again */
                        d->handshake.counters[DATAPATH_COUNTER_OVERRUN]++;
                else if (r < 0)
                        return log_error_errno(r, "The queue is lost");
        }
        return 0;
}

static void send_counters(Datapath *d) {
        const Handshake *h = &d->handshake;
        DatapathCounters m = {
                .header.type = DATAPATH_COUNTERS,
                .n_flows = flow_table_count(h->flows),
                .n_pending = pending_set_count(d->pending),
        };

        if (memcmp(h->counters, d->counters_sent, sizeof(h->counters)) == 0)
                return;
        memcpy(m.values, h->counters, sizeof(m.values));
        peer_cache_counts(h->peers, &m.n_peers, &m.n_decisions);
        if (control_send(&d->control, &m, sizeof(m)) >= 0)
                memcpy(d->counters_sent, h->counters, sizeof(d->counters_sent));
}

static void tick(Datapath *d, usec_t now) {
        DatapathFlow record;
        uint32_t serial;
        int r = 1;

        while ((serial = pending_set_expired(d->pending, now)) != 0)
                pending_dispatch(d, serial, NULL, now);
        waiting_dispatch(d, NULL, now);
        queue_flush(&d->queue);
        if (d->records.batch.n_flows > 0 && d->records.flush_usec <= now)
                records_flush(&d->records, &d->control);
        if (now < d->next_tick_usec)
                return;
        for (size_t i = 0; r > 0 && i < EXPIRE_BATCH; i++) {
                r = handshake_expire(&d->handshake, now, &record);
                if (r == 2)
                        records_add(&d->records, &d->control, &record, now);
        }
        send_counters(d);
        notify_send(&d->notify, "WATCHDOG=1");
        d->next_tick_usec = now + (r > 0 ? PENDING_TICK_USEC : TICK_USEC);
}

/* How long nothing can become due. An idle process wakes for the watchdog only. */
static usec_t sleep_usec(const Datapath *d, usec_t now) {
        usec_t until = USEC_INFINITY;

        if (flow_table_count(d->handshake.flows) > 0 || (d->control.fd >= 0 && memcmp(d->handshake.counters, d->counters_sent, sizeof(d->counters_sent)) != 0))
                until = d->next_tick_usec;
        if (d->notify.watchdog_usec > 0)
                until = MIN(until, now + d->notify.watchdog_usec);
        if (pending_set_count(d->pending) > 0)
                until = MIN(until, now + PENDING_TICK_USEC);
        until = MIN(until, wait_set_next_usec(d->waiting));
        if (d->records.batch.n_flows > 0)
                until = MIN(until, d->records.flush_usec);
        return until == USEC_INFINITY ? until : until > now ? until - now : 0;
}

static int serve(Datapath *d, const struct pollfd *fds) {
        int r = fds[0].revents ? serve_queue(d) : 0;

        if (r < 0)
                return r;
        if (fds[1].revents)
                control_accept(d);
        else if (fds[2].revents && d->control.fd >= 0)
                control_receive(d, clock_boottime_usec());
        tick(d, clock_boottime_usec());
        return 0;
}

int datapath_run(Datapath *d) {
        for (;;) {
                struct pollfd fds[] = {
                        { .fd = d->queue.fd, .events = POLLIN },
                        { .fd = d->control.listen_fd, .events = POLLIN },
                        { .fd = d->control.fd, .events = POLLIN },
                };
                usec_t usec = sleep_usec(d, clock_boottime_usec());
                const struct timespec timeout = { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC) * 1000 };
                int r;

                if (ppoll(fds, ELEMENTSOF(fds), usec == USEC_INFINITY ? NULL : &timeout, NULL) < 0 && errno != EINTR)
                        return log_error_errno(errno, "Cannot wait for packets");
                r = serve(d, fds);
                if (r < 0)
                        return r;
        }
}
