/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <sys/socket.h>

#include "datapath/datapath.h"
#include "util/fd.h"
#include "util/log.h"

int datapath_init(Datapath *d) {
        Handshake *h = &d->handshake;
        uint8_t seed[SIPHASH_KEY_SIZE];
        int r;

        r = crypto_random(seed, sizeof(seed));
        if (r >= 0)
                r = flow_table_new(seed, &h->flows);
        if (r >= 0)
                r = peer_cache_new(seed, &h->peers);
        if (r >= 0)
                r = unit_table_new(&h->units);
        if (r >= 0)
                r = pending_set_new(&d->pending);
        if (r >= 0)
                r = wait_set_new(&d->waiting);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the tables");
        r = listeners_open(&d->listeners, seed);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, d->wake_fds) < 0)
                return log_error_errno(errno, "Cannot connect the threads");
        return -pthread_barrier_init(&d->started, NULL, QUEUE_SOCKETS + 1);
}

void datapath_done(Datapath *d) {
        for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                queue_close(&d->queues[i]);
        queue_batch_done(&d->own_batch);
        verdicts_done(&d->own_verdicts);
        closep(&d->wake_fds[0]);
        closep(&d->wake_fds[1]);
        control_close(&d->control);
        listeners_close(&d->listeners);
        notify_close(&d->notify);
        pending_set_free(d->pending);
        wait_set_free(d->waiting);
        flow_table_free(d->handshake.flows);
        peer_cache_free(d->handshake.peers);
        unit_table_free(d->handshake.units);
}
