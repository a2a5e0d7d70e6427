/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The end that connects: SYN out, SYN-ACK in, ACK out. */

#include <errno.h>

#include "core/handshake-internal.h"
#include "ipc/marks.h"

/* A middlebox may drop SYNs with data; so many with a token go first, then a stranger's destination gets one without. */
#define TOKENED_SYNS 2u

static bool make_syn(Handshake *h, const HandshakeInput *in, const Unit *unit, Flow *f) {
        const uint8_t *peer_dh = peer_cache_address(h->peers, &f->endpoints.server, 0, in->now);
        const Pair *pair = peer_dh ? peer_cache_pair(h->peers, unit->node_dh, peer_dh, in->now) : NULL;
        Message m = {
                .type = MESSAGE_SYN,
                .flags = pair ? MESSAGE_KNOWN : 0,
                .endpoints = f->endpoints,
                .token = unit->token,
                .token_len = unit->token_len,
        };
        int n;

        memcpy(m.nonce, f->nonce, sizeof(m.nonce));
        message_view(&m, unit->token_hash, f->syn);
        if (pair && message_mac_syn(pair->out_syn, f->syn, m.mac) < 0)
                return false;
        message_view(&m, unit->token_hash, f->syn);
        n = message_write(&m, f->message, sizeof(f->message));
        f->message_len = n < 0 ? 0 : (uint16_t) n;
        return n >= 0;
}

static Flow *client_open(Handshake *h, const HandshakeInput *in, const Unit *unit, const Endpoints *endpoints) {
        const struct in6_addr owner = flow_owner_unit(unit->index);
        const FlowKey key = flow_key(endpoints, FLOW_CLIENT);
        Flow *f = flow_table_get(h->flows, &key, in->now);

        if (f)
                flow_table_remove(h->flows, f); /* our own kernel has begun anew on this tuple */
        flow_table_forget_released(h->flows, &key);
        f = flow_table_add(h->flows, &key, FLOW_CLASS_LOCAL, &owner, in->now);
        if (!f)
                return NULL;
        f->state = FLOW_CLIENT_SYN_SENT;
        f->unit = unit->index;
        f->endpoints = *endpoints;
        return f;
}

/* The state with the SYN for this packet, made anew if it is another connection, or if our Diffie-Hellman key has changed: an answer to the SYN with the former
 * one may be of no use any more. NULL: there is none, *ret_why. */
static Flow *client_get(Handshake *h, const HandshakeInput *in, const Unit *unit, DatapathCounter *ret_why) {
        const Endpoints endpoints = endpoints_of_client(&in->packet);
        const FlowKey key = flow_key(&endpoints, FLOW_CLIENT);
        Flow *f = flow_table_get(h->flows, &key, in->now);
        bool ours = f && f->unit == unit->index && f->endpoints.client_isn == in->packet.seq;

        if (!ours)
                f = client_open(h, in, unit, &endpoints);
        *ret_why = DATAPATH_COUNTER_FLOWS_FULL;
        if (f && (!ours || (f->state == FLOW_CLIENT_SYN_SENT && memcmp(f->our_dh, unit->node_dh, sizeof(f->our_dh)) != 0))) {
                memcpy(f->our_dh, unit->node_dh, sizeof(f->our_dh));
                memcpy(f->nonce, in->nonce, sizeof(f->nonce));
                if (!make_syn(h, in, unit, f)) {
                        flow_table_remove(h->flows, f);
                        *ret_why = DATAPATH_COUNTER_NO_STATE;
                        return NULL;
                }
        }
        return f;
}

/* May this SYN go without a token? Asked once two were lost, and never where a token was seen: there, silence is an attack or a fault. */
static ActionType client_may_be_plain(Handshake *h, const HandshakeInput *in, const Flow *f) {
        JudgementKey key = { .unit = f->unit, .port = f->endpoints.server_port, .direction = DATAPATH_PLAIN_SYN };
        const Judgement *j;

        if (f->n_syns <= TOKENED_SYNS || peer_cache_address(h->peers, &f->endpoints.server, 0, in->now))
                return ACTION_DROP;
        if (in->answer)
                return in->answer->decision.allow ? ACTION_ACCEPT : ACTION_DROP;
        memcpy(key.subject, &f->endpoints.server, sizeof(f->endpoints.server));
        j = peer_cache_judgement(h->peers, &key, in->now);
        if (!j)
                return ACTION_ASK;
        return j->decision.allow ? ACTION_ACCEPT : ACTION_DROP;
}

static Action client_ask_plain(Handshake *h, const HandshakeInput *in, const Flow *f) {
        h->question = (DatapathResolve) {
                .header.type = DATAPATH_RESOLVE,
                .direction = DATAPATH_PLAIN_SYN,
                .unit = f->unit,
                .port = f->endpoints.server_port,
                .family = in->packet.family,
                .protocol = IPPROTO_TCP,
                .address = f->endpoints.server,
        };
        return (Action) { .type = ACTION_ASK, .known = true };
}

Action handshake_client_syn(Handshake *h, const HandshakeInput *in) {
        const Unit *unit = unit_table_get(h->units, in->unit);
        const Endpoints endpoints = endpoints_of_client(&in->packet);
        DatapathCounter why;
        Flow *f;

        if (!unit)
                return action_wait_unit(h, in);
        if (unit->token_len == 0 || unit->token_expires_usec <= in->now)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE); /* the enforcer has not told us yet; TCP comes again */
        if ((in->unit_flags | unit->flags) & REQUEST_UNIT_CLOSED) {
                Action a = action_deny(h, in);

                action_record(&a, in, &(RecordInput) {
                        .endpoints = &endpoints, .unit = unit->index, .direction = DATAPATH_CONNECT,
                        .decision = &(DatapathDecision) { .reason = REASON_CLOSED },
                });
                return a;
        }
        f = client_get(h, in, unit, &why);
        if (!f)
                return action_drop(h, why);
        if (!in->answer) { /* else this very packet was counted before it waited */
                f->n_syns++;
                flow_table_renew(h->flows, f, in->now);
        }
        if (f->state != FLOW_CLIENT_SYN_SENT) /* TCP repeats a SYN only until the SYN-ACK has reached it */
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (!f->plain) {
                ActionType may = client_may_be_plain(h, in, f);

                if (may == ACTION_ASK)
                        return client_ask_plain(h, in, f);
                f->plain = may == ACTION_ACCEPT;
        }
        return f->plain ? action_strip(VERDICT_CLIENT_PENDING, &in->packet) : action_message(VERDICT_CLIENT_PENDING, f->message, f->message_len);
}

static RecordInput client_record(const Flow *f, const DatapathDecision *decision, uint64_t peer, uint32_t flags) {
        return (RecordInput) {
                .endpoints = &f->endpoints, .unit = f->unit, .direction = DATAPATH_CONNECT, .decision = decision, .peer = peer,
                .flags = flags | (f->translated ? DATAPATH_FLOW_TRANSLATED : 0),
        };
}

/* Without a message: somebody without Trireme, about whom the ACLs decide, unless a token was seen at this very address and port. */
static Action client_bare(Handshake *h, const HandshakeInput *in, Flow *f) {
        Action a;

        if (peer_cache_address(h->peers, &f->endpoints.server, f->endpoints.server_port, in->now)) {
                RecordInput record = client_record(f, &(DatapathDecision) { .reason = REASON_STRIPPED }, 0, 0);

                a = action_drop(h, DATAPATH_COUNTER_REJECTED);
                action_record(&a, in, &record);
                return a;
        }
        f->state = FLOW_CLIENT_STRANGER;
        a = action_strip(VERDICT_STRANGER, &in->packet);
        a.unit = f->unit; /* the table knows the flow by its mark only */
        return a;
}

/* A repetition of what our kernel has already: TCP answers with an ACK, which must carry our message again. Without a message it comes from a peer that has the
 * proof, but whose TCP could not take the connection yet: its backlog is full. */
static Action client_repeated(Handshake *h, const HandshakeInput *in, uint32_t client_isn, uint32_t server_isn, const uint8_t *nonce, bool *ret_same) {
        const Packet *p = &in->packet;
        Message m;

        *ret_same = false;
        if (p->ack != client_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        if (p->seq == server_isn && p->payload_len == 0)
                return action_strip(VERDICT_PASS, p);
        if (p->seq != server_isn || message_parse(p->data + p->payload_offset, p->payload_len, &m) < 0 || m.type != MESSAGE_SYN_ACK ||
            memcmp(m.nonce, nonce, sizeof(m.nonce)) != 0)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        *ret_same = true;
        return action_strip(VERDICT_CLIENT_PENDING, p);
}

static Action client_repeated_after_release(Handshake *h, const HandshakeInput *in, const FlowKey *key) {
        Released *released = flow_table_get_released(h->flows, key, in->now);
        Action a;

        if (released) {
                a = client_repeated(h, in, released->client_isn, released->server_isn, released->peer_nonce, &released->repeat);
                return a;
        }
        /* A stranger's: our kernel has the connection already and says its ACK again. */
        if (in->kind == REQUEST_REPEAT && in->packet.payload_len == 0)
                return action_strip(VERDICT_PASS, &in->packet);
        return action_drop(h, DATAPATH_COUNTER_NO_STATE);
}

/* Makes the ACK message; f->syn_ack is the view of the SYN-ACK it answers. */
static bool make_ack(const Pair *pair, Flow *f) {
        Message m = { .type = MESSAGE_ACK, .endpoints = f->endpoints };
        uint8_t empty[CRYPTO_HASH_SIZE], view[MESSAGE_VIEW_SIZE];
        int n;

        if (crypto_sha256("", 0, empty) < 0)
                return false;
        message_view(&m, empty, view);
        if (message_mac_ack(pair->out_ack, f->syn, f->syn_ack, view, m.mac) < 0)
                return false;
        n = message_write(&m, f->message, sizeof(f->message));
        f->message_len = n < 0 ? 0 : (uint16_t) n;
        return n >= 0;
}

/* Our rules refuse a peer that proved who it is. Our kernel sees a reset; a peer that repeats its SYN-ACK is told then. */
static Action client_deny(Handshake *h, const HandshakeInput *in, Flow *f, const DatapathDecision *decision) {
        Action a = action_reset(in->packet.ack);
        RecordInput record = client_record(f, decision, f->peer, 0);

        f->state = FLOW_CLIENT_DENIED;
        h->counters[DATAPATH_COUNTER_REJECTED]++;
        action_record(&a, in, &record);
        return a;
}

static Action client_prove(Handshake *h, const HandshakeInput *in, Flow *f, const Message *m, const Judged *judged) {
        const Unit *unit = unit_table_get(h->units, f->unit);
        Reason fault;

        if (!unit)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        f->endpoints.server_isn = in->packet.seq;
        f->peer = judged->peer;
        f->peer_number = judged->peer_number;
        f->decision = judged->decision;
        memcpy(f->peer_dh, judged->peer_dh, sizeof(f->peer_dh));
        memcpy(f->peer_nonce, m->nonce, sizeof(f->peer_nonce));
        fault = handshake_check_path(h, &f->endpoints, &m->endpoints, &f->endpoints, &f->translated);
        if (fault != REASON_NONE)
                f->decision = decision_refused(unit, fault);
        if (!f->decision.allow)
                return client_deny(h, in, f, &f->decision);
        if (!make_ack(judged->pair, f))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        /* Where our address is translated on the way, a MAC in our SYN proves nothing: the server cannot tell it from a copy. */
        peer_cache_meet(h->peers, &f->endpoints.server, 0, f->translated ? NULL : f->peer_dh, in->now);
        peer_cache_meet(h->peers, &f->endpoints.server, f->endpoints.server_port, f->peer_dh, in->now);
        f->state = FLOW_CLIENT_PROVEN;
        return action_strip(VERDICT_PASS, &in->packet);
}

/* A SYN-ACK with a token that answers our SYN: as if it never came, unless it proves itself. */
static Action client_verify(Handshake *h, const HandshakeInput *in, Flow *f, const Message *m) {
        uint8_t token_hash[CRYPTO_HASH_SIZE], syn_ack[MESSAGE_VIEW_SIZE], mac[MESSAGE_MAC_SIZE];
        const JudgeInput judge = {
                .direction = DATAPATH_CONNECT, .unit = f->unit, .our_dh = f->our_dh, .message = m, .token_hash = token_hash,
                .port = f->endpoints.server_port,
        };
        Judged judged;

        if (crypto_sha256(m->token, m->token_len, token_hash) < 0)
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        if (!handshake_judge(h, in, &judge, &judged))
                return handshake_ask(h, &judge, true);
        if (!judged.verified) {
                DatapathDecision decision = { .reason = judged.decision.reason, .rule = judged.decision.rule };
                RecordInput record = client_record(f, &decision, judged.peer, DATAPATH_FLOW_CLAIMED);
                const Unit *unit = unit_table_get(h->units, f->unit);
                Action a;

                if (!unit || memcmp(unit->node_dh, f->our_dh, sizeof(f->our_dh)) != 0) /* it answers a key that is gone; our next SYN shows another */
                        return action_drop(h, DATAPATH_COUNTER_NO_STATE);
                a = action_drop(h, DATAPATH_COUNTER_REJECTED);
                action_record(&a, in, &record);
                return a;
        }
        message_view(m, token_hash, syn_ack);
        if (message_mac_syn_ack(judged.pair->out_syn_ack, f->syn, syn_ack, mac) < 0 || !mac_verifies(mac, m->mac))
                return action_drop(h, DATAPATH_COUNTER_BAD_MAC);
        memcpy(f->syn_ack, syn_ack, sizeof(f->syn_ack));
        return client_prove(h, in, f, m, &judged);
}

Action handshake_client_syn_ack(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        const Endpoints endpoints = endpoints_of_server(p);
        const FlowKey key = flow_key(&endpoints, FLOW_CLIENT);
        Flow *f = flow_table_get(h->flows, &key, in->now);
        bool same;
        Message m;
        int r;

        if (!f)
                return client_repeated_after_release(h, in, &key);
        if (p->ack != f->endpoints.client_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        if (f->state == FLOW_CLIENT_PROVEN)
                return client_repeated(h, in, f->endpoints.client_isn, f->endpoints.server_isn, f->peer_nonce, &same);
        if (f->state == FLOW_CLIENT_DENIED)
                return action_deny(h, in);
        r = message_parse(p->data + p->payload_offset, p->payload_len, &m);
        if (r == -ENOMSG)
                return client_bare(h, in, f);
        if (r < 0 || m.type != MESSAGE_SYN_ACK)
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        if (m.token_len == 0) /* reminds of what never came */
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        return client_verify(h, in, f, &m);
}

/* Our kernel's first ACK: its payload, if any, is cut for the message and sent again by TCP. */
Action handshake_client_output(Handshake *h, const HandshakeInput *in, Flow *f) {
        const Packet *p = &in->packet;
        const FlowKey key = flow_key(&f->endpoints, FLOW_CLIENT);
        RecordInput record;
        Released *released;
        Action a;

        if (p->flags & TCP_FLAG_RST)
                return action_strip(VERDICT_PASS, p);
        if (f->state != FLOW_CLIENT_PROVEN || !(p->flags & TCP_FLAG_ACK))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (p->ack != f->endpoints.server_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        /* On several processors data may overtake the bare ACK, whose place is better: nothing would have to be sent again. */
        if ((p->payload_len > 0 || p->flags & TCP_FLAG_FIN) && !in->waited)
                return (Action) { .type = ACTION_WAIT, .wait.flow = key };
        record = client_record(f, &f->decision, f->peer, 0);
        a = action_accept(VERDICT_CLIENT_AUTHORIZED);
        a.peer_number = f->peer_number;
        action_record(&a, in, &record);
        released = flow_table_release(h->flows, &key, f, in->now);
        a.edit = EDIT_PAYLOAD;
        a.payload = released->ack;
        a.payload_len = sizeof(released->ack);
        h->counters[DATAPATH_COUNTER_AUTHENTICATED]++;
        return a;
}

/* Before the proof only a reset that answers our SYN counts (a closed port): our kernel learns of it, the state stays for its time. */
Action handshake_client_input(Handshake *h, const HandshakeInput *in, const Flow *f) {
        const Packet *p = &in->packet;

        if (!(p->flags & TCP_FLAG_RST))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        /* A closed port of a host without us acknowledges all that our SYN held (RFC 9293 3.10.7.1); our own TCP knows nothing of the message in it. */
        if ((p->flags & TCP_FLAG_ACK) && f->state == FLOW_CLIENT_SYN_SENT && !f->plain && p->ack == f->endpoints.client_isn + 1 + f->message_len)
                return action_reset(f->endpoints.client_isn + 1);
        if (!(p->flags & TCP_FLAG_ACK) || p->ack != f->endpoints.client_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        return action_strip(VERDICT_PASS, p);
}
