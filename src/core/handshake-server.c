/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The end that listens: SYN in, SYN-ACK out, ACK in. */

#include <errno.h>

#include "core/handshake-internal.h"
#include "ipc/marks.h"
#include "wire/token.h"

/* What one SYN needs on its way through. */
typedef struct Syn {
        const HandshakeInput *in;
        const Unit *unit;
        Endpoints endpoints;
        FlowKey key;
        Message message;
        uint8_t token_hash[DATAPATH_HASH_SIZE];
        bool translated;
} Syn;

/* Refuses, or, where the unit only observes, lets in as a stranger what would have been refused. */
static Action syn_refuse(Handshake *h, const Syn *s, const DatapathDecision *decision, uint64_t peer) {
        Action a;

        if (decision->allow && decision->observed)
                a = action_strip(VERDICT_SERVER_AUTHORIZED, &s->in->packet);
        else
                a = action_deny(h, s->in);
        action_record(&a, s->in, &(RecordInput) {
                .endpoints = &s->endpoints,
                .unit = s->unit->index,
                .direction = DATAPATH_ACCEPT,
                .decision = decision,
                .peer = peer,
                .flags = (s->message.token_len > 0 ? DATAPATH_FLOW_CLAIMED : 0) | (s->translated ? DATAPATH_FLOW_TRANSLATED : 0),
        });
        return a;
}

static Action syn_refuse_for(Handshake *h, const Syn *s, Reason reason) {
        const DatapathDecision decision = decision_refused(s->unit, reason);

        return syn_refuse(h, s, &decision, 0);
}

/* The pair that a token is half of, as the enforcer names it in its answers. */
static bool token_names_pair(const Message *m, uint8_t ret[static 32]) {
        Token token;

        return token_parse(m->token, m->token_len, &token) >= 0 && crypto_sha256(m->token + TOKEN_PAIR_AT, TOKEN_PAIR_SIZE, ret) >= 0;
}

/* Does the SYN's own MAC prove that its sender holds the keys of a node we know? The token itself may be new to us. */
static bool syn_is_known(Handshake *h, const Syn *s) {
        const Peer *peer = peer_cache_peer(h->peers, s->token_hash, s->in->now);
        uint8_t view[MESSAGE_VIEW_SIZE], mac[MESSAGE_MAC_SIZE], name[32];
        const Pair *pair;

        if (!(s->message.flags & MESSAGE_KNOWN) || (!peer && !token_names_pair(&s->message, name)))
                return false;
        pair = peer_cache_pair(h->peers, s->unit->node_dh, peer ? peer->dh : name, s->in->now);
        message_view(&s->message, s->token_hash, view);
        return pair && message_mac_syn(pair->in_syn, view, mac) == 0 && mac_verifies(mac, s->message.mac);
}

static bool syn_is_repeated(const Syn *s, uint32_t client_isn, const uint8_t *nonce) {
        return s->endpoints.client_isn == client_isn && memcmp(s->message.nonce, nonce, MESSAGE_NONCE_SIZE) == 0;
}

/* The SYN-ACK but for what our kernel has yet to choose. It is made now, so that no change of token or key comes between the two. */
static bool prepare_syn_ack(const Syn *s, Flow *f) {
        Message m = { .type = MESSAGE_SYN_ACK, .endpoints = f->endpoints, .token = s->unit->token, .token_len = s->unit->token_len };
        int n;

        memcpy(m.nonce, f->nonce, sizeof(m.nonce));
        message_view(&m, s->unit->token_hash, f->syn_ack);
        n = message_write(&m, f->message, sizeof(f->message));
        f->message_len = n < 0 ? 0 : (uint16_t) n;
        return n >= 0;
}

static Action syn_open(Handshake *h, const Syn *s, const Judged *judged, bool known) {
        const Flow *before = flow_table_get(h->flows, &s->key, s->in->now);
        int64_t credit = before ? before->credit : 0;
        const struct in6_addr owner = flow_owner_address(&s->endpoints.client);
        Flow *f = flow_table_add(h->flows, &s->key, known ? FLOW_CLASS_KNOWN : FLOW_CLASS_UNKNOWN, &owner, s->in->now);

        if (!f)
                return action_drop(h, DATAPATH_COUNTER_FLOWS_FULL);
        f->state = FLOW_SERVER_SYN_RECEIVED;
        f->unit = s->unit->index;
        f->endpoints = s->endpoints;
        f->translated = s->translated;
        f->credit = credit + (int64_t) s->in->packet.len;
        f->syn_ack_key = mac_key_ref(judged->pair->in_syn_ack);
        f->ack_key = mac_key_ref(judged->pair->in_ack);
        memcpy(f->peer_dh, judged->peer_dh, sizeof(f->peer_dh));
        f->peer = judged->peer;
        f->peer_number = judged->peer_number;
        f->decision = judged->decision;
        packet_read_syn(&s->in->packet, &f->tcp_syn);
        memcpy(f->nonce, s->in->nonce, sizeof(f->nonce));
        memcpy(f->peer_nonce, s->message.nonce, sizeof(f->peer_nonce));
        message_view(&s->message, s->token_hash, f->syn);
        if (!prepare_syn_ack(s, f)) {
                flow_table_remove(h->flows, f);
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        }
        flow_table_forget_released(h->flows, &s->key);
        return action_strip(VERDICT_SERVER_PENDING, &s->in->packet);
}

/* The message is well-formed: whose is it, and may it? */
static Action syn_judge(Handshake *h, Syn *s) {
        const HandshakeInput *in = s->in;
        const Released *released = flow_table_get_released(h->flows, &s->key, in->now);
        JudgeInput judge;
        Judged judged;
        Reason fault;
        bool known;

        /* A copy of what was proven long since, on its way to a listener: the connection has ended, or the copy came around the table. */
        if (released && syn_is_repeated(s, released->client_isn, released->peer_nonce))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        fault = handshake_check_path(h, &s->endpoints, &s->message.endpoints, &s->message.endpoints, &s->translated);
        if (fault != REASON_NONE)
                return syn_refuse_for(h, s, fault);
        if (crypto_sha256(s->message.token, s->message.token_len, s->token_hash) < 0)
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        /* A copy from elsewhere bears the same MAC: it neither fills the room of the known nor makes us send to whoever is named as its source. */
        known = !s->translated && syn_is_known(h, s);
        judge = (JudgeInput) {
                .direction = DATAPATH_ACCEPT, .unit = s->unit->index, .our_dh = s->unit->node_dh, .message = &s->message,
                .token_hash = s->token_hash, .port = s->endpoints.server_port,
        };
        if (!handshake_judge(h, in, &judge, &judged))
                return handshake_ask(h, &judge, known);
        if (judged.outdated) /* TCP comes again, and then the question is another */
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (!judged.verified)
                return syn_refuse_for(h, s, (Reason) judged.decision.reason);
        if (!judged.decision.allow)
                return syn_refuse(h, s, &judged.decision, judged.peer);
        if (s->unit->token_len == 0)
                return syn_refuse_for(h, s, REASON_INTERNAL); /* nothing to answer with */
        if (s->unit->token_expires_usec <= in->now)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE); /* the enforcer is about to tell a new one; TCP comes again */
        return syn_open(h, s, &judged, known);
}

/* The same connection of our kernel's, told anew: its client has got another Diffie-Hellman or shared key meanwhile, and the answer to what it said before is lost on
 * it. Somebody else would have to know the client's ISN and to hold two tokens that verify. */
static bool syn_is_renewed(const Syn *s, const Flow *flow) {
        uint8_t name[32];

        return s->endpoints.client_isn == flow->endpoints.client_isn && token_names_pair(&s->message, name) &&
               memcmp(name, flow->peer_dh, sizeof(name)) != 0;
}

/* On a half-open tuple only the same SYN counts; whatever else is sent there, by whomever, ends nothing. */
static Action syn_on_half_open(Handshake *h, Syn *s, Flow *flow, bool is_message) {
        bool repeated = is_message && syn_is_repeated(s, flow->endpoints.client_isn, flow->peer_nonce);

        if (is_message && !repeated && (flow->reset || syn_is_renewed(s, flow)))
                return syn_judge(h, s);
        if (!repeated)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        flow->credit += (int64_t) s->in->packet.len;
        return action_strip(VERDICT_SERVER_PENDING, &s->in->packet);
}

Action handshake_server_syn(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        Syn s = { .in = in, .unit = unit_table_get(h->units, in->unit), .endpoints = endpoints_of_client(p) };
        const Endpoints reversed = endpoints_of_server(p);
        const FlowKey ours = flow_key(&reversed, FLOW_CLIENT);
        Flow *flow;
        int r;

        if (!s.unit)
                return action_wait_unit(h, in);
        s.key = flow_key(&s.endpoints, FLOW_SERVER);
        if ((in->unit_flags | s.unit->flags) & REQUEST_UNIT_CLOSED)
                return syn_refuse(h, &s, &(DatapathDecision) { .reason = REASON_CLOSED }, 0);
        /* Refused before anything is read: in such an exchange no end is the server, whose rules would decide. */
        if (flow_table_get(h->flows, &ours, in->now) || flow_table_get_released(h->flows, &ours, in->now))
                return syn_refuse(h, &s, &(DatapathDecision) { .reason = REASON_SIMULTANEOUS_OPEN }, 0);
        r = message_parse(p->data + p->payload_offset, p->payload_len, &s.message);
        flow = flow_table_get(h->flows, &s.key, in->now);
        if (flow && flow->unit == s.unit->index)
                return syn_on_half_open(h, &s, flow, r == 0 && s.message.type == MESSAGE_SYN);
        if (r == -ENOMSG || in->outside)
                return action_strip(VERDICT_STRANGER_SYN, p);
        if (r < 0 || s.message.type != MESSAGE_SYN)
                return syn_refuse_for(h, &s, REASON_BAD_TOKEN);
        return syn_judge(h, &s);
}

/* For this ISN of our kernel's. */
static bool complete_syn_ack(const HandshakeInput *in, Flow *f) {
        uint8_t mac[MESSAGE_MAC_SIZE];

        f->endpoints.server_isn = in->packet.seq;
        message_set_server_isn(f->message, in->packet.seq);
        message_set_server_isn(f->syn_ack, in->packet.seq);
        if (message_mac_syn_ack(f->syn_ack_key, f->syn, f->syn_ack, mac) < 0)
                return false;
        message_set_mac(f->message, f->message_len, mac);
        message_set_mac(f->syn_ack, sizeof(f->syn_ack), mac);
        return true;
}

/* Without a valid MAC in its SYN a peer is sent no more than came from it: no amplifier. What is left may do for a reminder, should it have seen the whole. */
static Action syn_ack_within_credit(Handshake *h, const HandshakeInput *in, Flow *f, bool seen) {
        int64_t whole = (int64_t) in->packet.payload_offset + f->message_len, reminder = (int64_t) in->packet.payload_offset + (int64_t) MESSAGE_SIZE_MIN;

        if (f->class != FLOW_CLASS_UNKNOWN || f->credit >= whole) {
                f->credit -= whole;
                return action_message(VERDICT_PASS, f->message, f->message_len);
        }
        if (!seen || f->credit < reminder)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE); /* TCP repeats it, and the peer its SYN */
        f->credit -= reminder;
        message_write_reminder(f->message, f->message_len, h->reminder);
        return action_message(VERDICT_PASS, h->reminder, sizeof(h->reminder));
}

Action handshake_server_syn_ack(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        const Endpoints endpoints = endpoints_of_server(p);
        const FlowKey key = flow_key(&endpoints, FLOW_SERVER);
        Flow *f = flow_table_get(h->flows, &key, in->now);
        bool seen;
        Action a;

        if (!f)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (p->ack != f->endpoints.client_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        /* A SYN cookie may differ from one SYN-ACK to the next; else the same bytes go again. */
        seen = f->state == FLOW_SERVER_SYN_ACK_SENT && f->endpoints.server_isn == p->seq;
        if (!seen && !complete_syn_ack(in, f))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        a = syn_ack_within_credit(h, in, f, seen);
        if (a.type == ACTION_ACCEPT)
                f->state = FLOW_SERVER_SYN_ACK_SENT;
        return a;
}

/* Our kernel before the proof: a reset ends its half of the connection; all else (an ACK from TIME_WAIT) would speak to somebody unproven. */
Action handshake_server_output(Handshake *h, const HandshakeInput *in, Flow *f) {
        if (!(in->packet.flags & TCP_FLAG_RST))
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        f->reset = true;
        if (f->class == FLOW_CLASS_UNKNOWN && f->credit < in->packet.payload_offset)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        f->credit -= in->packet.payload_offset;
        return action_strip(VERDICT_PASS, &in->packet);
}

/* A reset carries the number that an ACK would, in seq when it is not one (RFC 9293 3.5.2); our kernel ends the connection, the state stays for its time. */
static Action server_reset(Handshake *h, const HandshakeInput *in, Flow *f) {
        const Packet *p = &in->packet;
        bool match = p->flags & TCP_FLAG_ACK ? f->state == FLOW_SERVER_SYN_ACK_SENT && p->ack == f->endpoints.server_isn + 1
                                             : p->seq == f->endpoints.client_isn + 1;

        if (!match)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        f->reset = true;
        return action_strip(VERDICT_PASS, p);
}

static bool ack_verifies(const Flow *f, const Message *m) {
        uint8_t view[MESSAGE_VIEW_SIZE], empty[CRYPTO_HASH_SIZE], mac[MESSAGE_MAC_SIZE];

        if (crypto_sha256("", 0, empty) < 0)
                return false;
        message_view(m, empty, view);
        return message_mac_ack(f->ack_key, f->syn, f->syn_ack, view, mac) == 0 && mac_verifies(mac, m->mac);
}

static void server_record(Action *a, const HandshakeInput *in, const Flow *f, const DatapathDecision *decision) {
        action_record(a, in, &(RecordInput) {
                .endpoints = &f->endpoints,
                .unit = f->unit,
                .direction = DATAPATH_ACCEPT,
                .decision = decision,
                .peer = f->peer,
                .flags = f->translated ? DATAPATH_FLOW_TRANSLATED : 0,
        });
}

static Action server_release(Handshake *h, const HandshakeInput *in, Flow *f) {
        const FlowKey key = flow_key(&f->endpoints, FLOW_SERVER);
        Action a = action_strip(VERDICT_SERVER_AUTHORIZED, &in->packet);

        server_record(&a, in, f, &f->decision);
        a.peer_number = f->peer_number;
        if (!f->translated)
                peer_cache_meet(h->peers, &f->endpoints.client, 0, f->peer_dh, in->now);
        (void) flow_table_release(h->flows, &key, f, in->now);
        h->counters[DATAPATH_COUNTER_AUTHENTICATED]++;
        return a;
}

/* The ACK tells what the SYN could not: our ISN as the client sees it. */
static Action server_proven(Handshake *h, const HandshakeInput *in, Flow *f, const Endpoints *theirs) {
        const Unit *unit = unit_table_get(h->units, f->unit);
        bool translated;
        Reason fault = handshake_check_path(h, &f->endpoints, theirs, theirs, &translated);
        DatapathDecision decision;
        Action a;

        f->translated |= translated;
        if (!unit)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (fault == REASON_NONE)
                return server_release(h, in, f);
        decision = decision_refused(unit, fault);
        if (decision.allow) {
                f->decision = decision;
                return server_release(h, in, f);
        }
        a = action_deny(h, in);
        server_record(&a, in, f, &decision);
        return a;
}

/* Whoever sends data has sent the proof before. On several processors the data may overtake it; then it waits a moment. Else the proof got lost, and only a
 * SYN-ACK brings it again. Our kernel repeats one by a timer, or never, if it answered with a SYN cookie; so it is shown the SYN again instead of the data,
 * which TCP sends again. */
static Action server_ask_again(const HandshakeInput *in, const Flow *f) {
        if (!in->waited)
                return (Action) { .type = ACTION_WAIT, .wait.flow = flow_key(&f->endpoints, FLOW_SERVER) };
        return (Action) { .type = ACTION_ACCEPT, .verdict = VERDICT_PASS, .edit = EDIT_SYN, .syn = &f->tcp_syn };
}

/* The proof, or something that is as if it never came. */
Action handshake_server_input(Handshake *h, const HandshakeInput *in, Flow *f) {
        const Packet *p = &in->packet;
        Message m;

        if (p->flags & TCP_FLAG_RST)
                return server_reset(h, in, f);
        if (f->state != FLOW_SERVER_SYN_ACK_SENT)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        if (!(p->flags & TCP_FLAG_ACK) || p->ack != f->endpoints.server_isn + 1)
                return action_drop(h, DATAPATH_COUNTER_BAD_ACK_NUMBER);
        if (!in->waited) /* else it was counted when it came */
                f->credit += (int64_t) p->len;
        if (message_parse(p->data + p->payload_offset, p->payload_len, &m) < 0 || m.type != MESSAGE_ACK)
                return server_ask_again(in, f);
        if (!ack_verifies(f, &m))
                return action_drop(h, DATAPATH_COUNTER_BAD_MAC);
        return server_proven(h, in, f, &m.endpoints);
}
