/* SPDX-License-Identifier: GPL-2.0-or-later */

/* packet_dispatch() is the way of a packet, on one screen. */

#include <errno.h>

#include "datapath/datapath.h"
#include "ipc/marks.h"
#include "util/log.h"

#define LOOPBACK_IFINDEX 1u /* the kernel gives it to lo in each network namespace, first of all */

static void packet_drop(Datapath *d, const QueueMsg *msg, DatapathCounter counter) {
        d->handshake.counters[counter]++;
        verdicts_drop(d->verdicts, msg);
}

/* The client's index from the conntrack mark that the table copied to the packet's. */
static uint32_t client_index(const Datapath *d, const QueueMsg *msg) {
        if (d->mark_mask == 0)
                return 0;
        return ((msg->mark & d->mark_mask) >> __builtin_ctz(d->mark_mask) >> CTMARK_INDEX_SHIFT) & UNIT_INDEX_MAX;
}

/* Of the connection that p, sent by its client, belongs to. */
static FlowKey key_from_client(const Packet *p, FlowRole role) {
        const Endpoints endpoints = { .client = p->saddr, .server = p->daddr, .client_port = p->sport, .server_port = p->dport };

        return flow_key(&endpoints, role);
}

static bool is_syn(const Packet *p) {
        return (p->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
}

/* REQUEST_UNKNOWN_LISTENER, turned into what the table would have asked had it known; or answered here: then false. */
static bool dispatch_listener(Datapath *d, const QueueMsg *msg, HandshakeInput *in) {
        const Packet *p = &in->packet;
        const FlowKey key = key_from_client(p, FLOW_SERVER);
        const Flow *flow = flow_table_get(d->handshake.flows, &key, in->now);
        bool syn = is_syn(p);

        in->kind = REQUEST_HANDSHAKE;
        in->outside = in->unit != REQUEST_UNKNOWN_PEER;
        in->unit = 0;
        if (flow) {
                in->unit = flow->unit;
                return true;
        }
        switch (listeners_find(&d->listeners, d->handshake.units, p, msg->iif, &in->unit)) {
        case LISTENER_UNIT:
                if (syn && in->loopback && client_index(d, msg) != 0)
                        in->kind = REQUEST_LOCAL;
                return true;
        case LISTENER_LIVE: /* TCP answers a SYN with an ACK and the connection goes on (RFC 5961 4.2) */
                if (syn) {
                        in->kind = REQUEST_REPEAT;
                        return true;
                }
                break;
        case LISTENER_NONE:
                verdicts_accept(d->verdicts, msg, PRIO_MAKE(PRIO_VERDICT, VERDICT_CLEAR, 0), NULL, 0);
                return false;
        case LISTENER_UNCLEAR:
                break;
        }
        packet_drop(d, msg, DATAPATH_COUNTER_NO_STATE);
        return false;
}

static void packet_ask(Datapath *d, const QueueMsg *msg, const struct in6_addr *stranger, usec_t now) {
        uint32_t serial;
        int r;

        if (!d->control.greeted) {
                packet_drop(d, msg, DATAPATH_COUNTER_NO_ANSWER);
                return;
        }
        r = pending_set_add(d->pending, &d->handshake.question, stranger, msg, now, &serial);
        if (r < 0)
                packet_drop(d, msg, DATAPATH_COUNTER_PENDING_FULL);
        else if (r > 0 && control_send(&d->control, pending_set_question(d->pending, serial), sizeof(DatapathResolve)) < 0)
                pending_dispatch(d, serial, NULL, now);
}

static void dispatch(Datapath *d, const QueueMsg *msg, const DatapathResolved *answer, bool waited, usec_t now);

static void packet_wait(Datapath *d, const QueueMsg *msg, const WaitKey *key, usec_t now) {
        if (!wait_set_add(d->waiting, key, msg, now))
                dispatch(d, msg, NULL, true, now);
}

/* An enforcer that comes tells of its units first, with the keys that they have from then on: who asks about one before would be refused for a key that it does
 * not know. What cannot wait is dropped; TCP sends it again. */
static void dispatch_question(Datapath *d, const QueueMsg *msg, const struct in6_addr *stranger, bool waited, usec_t now) {
        const DatapathResolve *q = &d->handshake.question;
        const WaitKey key = { .unit = q->unit ?: q->client };

        if (d->control.greeted && !unit_table_is_former(d->handshake.units, key.unit))
                packet_ask(d, msg, stranger, now);
        else if (waited || !wait_set_add(d->waiting, &key, msg, now))
                packet_drop(d, msg, DATAPATH_COUNTER_NO_ANSWER);
}

static void packet_accept(Datapath *d, const QueueMsg *msg, const Packet *p, const Action *action) {
        bool authorized = action->verdict == VERDICT_CLIENT_AUTHORIZED || action->verdict == VERDICT_SERVER_AUTHORIZED;
        uint32_t index = authorized ? action->peer_number : action->unit;
        uint8_t buf[PACKET_MAX];
        int n = 0;

        if (action->edit == EDIT_PAYLOAD)
                n = packet_rewrite(p, action->payload, action->payload_len, true, buf, sizeof(buf));
        else if (action->edit == EDIT_RESET)
                n = packet_write_reset(p, action->reset_ack, buf, sizeof(buf));
        else if (action->edit == EDIT_SYN)
                n = packet_write_syn(p, action->syn, buf, sizeof(buf));
        else if (action->edit == EDIT_ACK)
                n = packet_write_ack(p, buf, sizeof(buf));
        if (n < 0)
                packet_drop(d, msg, DATAPATH_COUNTER_MALFORMED);
        else
                verdicts_accept(d->verdicts, msg, PRIO_MAKE(PRIO_VERDICT, action->verdict, index), n > 0 ? buf : NULL, (size_t) n);
}

/* A packet from the queue, or one that comes again: with the answer of the enforcer, or after having waited. */
static void dispatch(Datapath *d, const QueueMsg *msg, const DatapathResolved *answer, bool waited, usec_t now) {
        HandshakeInput in = {
                .hook = msg->hook,
                .kind = PRIO_FLAGS(msg->priority) & REQUEST_KIND_MASK,
                .unit_flags = PRIO_FLAGS(msg->priority) & (uint8_t) ~REQUEST_KIND_MASK,
                .unit = PRIO_INDEX(msg->priority),
                .loopback = (msg->hook == QUEUE_HOOK_INPUT ? msg->iif : msg->oif) == LOOPBACK_IFINDEX,
                .now = now,
                .answer = answer,
                .waited = waited,
        };
        Action action;

        if ((msg->priority & PRIO_MAGIC_MASK) != PRIO_REQUEST || packet_parse(msg->payload, msg->payload_len, &in.packet) < 0 ||
            (is_syn(&in.packet) && crypto_random(in.nonce, sizeof(in.nonce)) < 0)) {
                packet_drop(d, msg, DATAPATH_COUNTER_MALFORMED);
                return;
        }
        if (in.kind == REQUEST_UNKNOWN_LISTENER && !dispatch_listener(d, msg, &in))
                return;
        if (in.kind == REQUEST_LOCAL)
                in.client = client_index(d, msg);
        if (in.hook == QUEUE_HOOK_INPUT && in.unit != 0 && is_syn(&in.packet))
                listeners_note(&d->listeners, &in.packet, in.unit);

        action = handshake_step(&d->handshake, &in);
        switch (action.type) {
        case ACTION_DROP:
                verdicts_drop(d->verdicts, msg);
                break;
        case ACTION_ACCEPT:
                packet_accept(d, msg, &in.packet, &action);
                break;
        case ACTION_ASK:
                if (answer) /* it did not answer what this packet needs */
                        packet_drop(d, msg, DATAPATH_COUNTER_NO_ANSWER);
                else
                        dispatch_question(d, msg, action.known ? NULL : &in.packet.saddr, waited, now);
                break;
        case ACTION_WAIT:
                packet_wait(d, msg, &action.wait, now);
                break;
        }
        for (size_t i = 0; i < action.n_records; i++)
                records_add(&d->records, &d->control, &action.records[i], now);
        if (action.type == ACTION_ACCEPT && !waited && (action.verdict == VERDICT_SERVER_AUTHORIZED || action.verdict == VERDICT_CLIENT_AUTHORIZED))
                waiting_dispatch(d, &(WaitKey) { .flow = key_from_client(&in.packet, in.hook == QUEUE_HOOK_INPUT ? FLOW_SERVER : FLOW_CLIENT) }, now);
}

void packet_dispatch(Datapath *d, const QueueMsg *msg, usec_t now) {
        dispatch(d, msg, NULL, false, now);
}

void pending_dispatch(Datapath *d, uint32_t serial, const DatapathResolved *answer, usec_t now) {
        PendingPacket p;

        while (pending_set_take(d->pending, serial, &p))
                if (answer)
                        dispatch(d, &p.msg, answer, false, now);
                else
                        packet_drop(d, &p.msg, DATAPATH_COUNTER_NO_ANSWER);
}

void waiting_dispatch(Datapath *d, const WaitKey *key, usec_t now) {
        PendingPacket p;

        while (key ? wait_set_take(d->waiting, key, &p) : wait_set_take_expired(d->waiting, now, &p))
                dispatch(d, &p.msg, NULL, true, now);
}
