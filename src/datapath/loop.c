/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The main thread: the enforcer, a clock, and the queues unless the other threads serve them. */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "datapath/datapath.h"
#include "util/log.h"

#define TICK_USEC USEC_PER_SEC
#define PENDING_TICK_USEC (100 * USEC_PER_MSEC)
#define EXPIRE_BATCH 256u      /* flows ended a turn: under a flood there are thousands */

static void send_counters(Datapath *d) {
        const Handshake *h = &d->handshake;
        DatapathCounters m = {
                .header.type = DATAPATH_COUNTERS,
                .n_flows = flow_table_count(h->flows),
                .n_pending = pending_set_count(d->pending),
        };

        if (memcmp(h->counters, d->counters_sent, sizeof(h->counters)) == 0 && m.n_flows == d->n_flows_sent)
                return;
        memcpy(m.values, h->counters, sizeof(m.values));
        peer_cache_counts(h->peers, &m.n_peers, &m.n_decisions);
        if (control_send(&d->control, &m, sizeof(m)) < 0)
                return;
        memcpy(d->counters_sent, h->counters, sizeof(d->counters_sent));
        d->n_flows_sent = m.n_flows;
}

static void tick(Datapath *d, usec_t now) {
        DatapathFlow record;
        uint32_t serial;
        int r = 1;

        while ((serial = pending_set_expired(d->pending, now)) != 0)
                pending_dispatch(d, serial, NULL, now);
        waiting_dispatch(d, NULL, now);
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
        notify_alive(&d->notify);
        d->next_tick_usec = now + (r > 0 ? PENDING_TICK_USEC : TICK_USEC);
}

/* When the next thing becomes due. An idle process wakes for the watchdog only. */
static usec_t next_usec(const Datapath *d, usec_t now) {
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
        if (d->spread)
                until = MIN(until, d->spread_until_usec);
        return until;
}

void datapath_wake(Datapath *d, usec_t now) {
        if (next_usec(d, now) >= d->sleeps_until_usec && d->lost == 0)
                return;
        d->sleeps_until_usec = 0;
        if (send(d->wake_fds[1], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
                log_warning_errno(errno, "Cannot wake the main thread");
}

typedef enum Poll { POLL_WAKE, POLL_LISTEN, POLL_CONTROL, POLL_QUEUES, _POLL_MAX = POLL_QUEUES + QUEUE_SOCKETS } Poll;

static void serve_queues(Datapath *d, const struct pollfd *fds) {
        for (size_t i = 0; i < QUEUE_SOCKETS && !d->spread; i++)
                if (fds[i].revents) {
                        int n = queue_receive(&d->queues[i], &d->own_batch, false);

                        batch_dispatch(d, i, &d->own_batch, n, clock_boottime_usec());
                }
}

static void serve(Datapath *d, const struct pollfd *fds) {
        char bytes[16];
        usec_t now;

        serve_queues(d, fds + POLL_QUEUES);
        if (fds[POLL_WAKE].revents && recv(d->wake_fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) < 0 && errno != EAGAIN)
                log_warning_errno(errno, "Cannot hear the other threads");
        if (fds[POLL_LISTEN].revents)
                control_accept(d);
        else if (fds[POLL_CONTROL].revents && d->control.fd >= 0)
                control_receive(d, clock_boottime_usec());
        now = clock_boottime_usec();
        tick(d, now);
        d->spread = d->spread && now < d->spread_until_usec;
}

static void prepare(const Datapath *d, struct pollfd *fds) {
        fds[POLL_WAKE] = (struct pollfd) { .fd = d->wake_fds[0], .events = POLLIN };
        fds[POLL_LISTEN] = (struct pollfd) { .fd = d->control.listen_fd, .events = POLLIN };
        fds[POLL_CONTROL] = (struct pollfd) { .fd = d->control.fd, .events = POLLIN };
        for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                fds[POLL_QUEUES + i] = (struct pollfd) { .fd = d->queues[i].fd, .events = POLLIN };
}

/* Waits with the lock released. */
static int sleep_unlocked(Datapath *d, struct pollfd *fds) {
        usec_t now = clock_boottime_usec(), until = next_usec(d, now), usec = until > now ? until - now : 0;
        const struct timespec timeout = { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC) * 1000 };
        nfds_t n_fds = d->spread ? POLL_QUEUES : _POLL_MAX;
        int r = 0;

        d->sleeps_until_usec = until;
        pthread_mutex_unlock(&d->lock);
        verdicts_flush(&d->own_verdicts);
        if (ppoll(fds, n_fds, until == USEC_INFINITY ? NULL : &timeout, NULL) < 0 && errno != EINTR)
                r = log_error_errno(errno, "Cannot wait for packets");
        pthread_mutex_lock(&d->lock);
        d->sleeps_until_usec = 0;
        d->verdicts = &d->own_verdicts;
        return r;
}

void datapath_run(Datapath *d) {
        while (d->lost == 0) {
                struct pollfd fds[_POLL_MAX];

                prepare(d, fds);
                if (sleep_unlocked(d, fds) < 0)
                        return;
                serve(d, fds);
        }
        log_error_errno(d->lost, "A queue is lost");
}
