/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/number-sweep.h"

#include <errno.h>

#include "enforcer/helper-client.h"
#include "ipc/marks.h"
#include "util/log.h"

typedef struct Sweep {
        usec_t now_usec;
        unsigned n_asked;               /* units whose connections are yet to be told */
        bool failed;                    /* what is not known to be unused is used */
        uint8_t used[PEER_NUMBERS_MAX / 8];
} Sweep;

static void sweep_note(Sweep *s, const HelperSocket *socket) {
        uint32_t number = socket->mark >> CTMARK_INDEX_SHIFT;

        if (number > 0 && number <= PEER_NUMBERS_MAX)
                s->used[(number - 1) / 8] |= (uint8_t) (1u << (number - 1) % 8);
}

static void sweep_answered(Manager *m, Sweep *s, bool failed) {
        int r;

        s->failed = s->failed || failed;
        if (--s->n_asked > 0)
                return;
        r = s->failed ? 0 : peer_numbers_collect(m->numbers, s->used, s->now_usec);
        if (r < 0)
                log_warning_errno(r, "Cannot keep what peers are");
        m->sweeping = false;
        free(s);
}

static void on_sockets(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg)
                sweep_answered(helper_manager(l), userdata, result < 0);
        else if (msg->header->type == HELPER_SOCKET && msg->len == sizeof(HelperSocket))
                sweep_note(userdata, (const HelperSocket *) msg->header);
}

static int ask(Manager *m, const Unit *u, Sweep *s) {
        int r;

        s->n_asked++;
        r = helper_list_sockets(m, u, on_sockets, s);
        if (r < 0)
                s->n_asked--;
        return r;
}

void number_sweep(Manager *m, usec_t now_usec) {
        Sweep *s;

        if (m->sweeping || !m->helper_ready || !m->listed || m->loads || !peer_numbers_is_crowded(m->numbers))
                return;
        s = calloc(1, sizeof(*s));
        if (!s) {
                log_error("Out of memory for the numbers of peers");
                return;
        }
        m->sweeping = true;
        s->now_usec = now_usec;
        s->n_asked = 1; /* this function */
        for (const Unit *u = m->units.first; u; u = u->next)
                s->failed = ask(m, u, s) < 0 || s->failed;
        sweep_answered(m, s, false);
}
