/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which packet goes to which end's machine, and what both ends share. */

#include "core/handshake-internal.h"
#include "ipc/marks.h"

Action action_drop(Handshake *h, DatapathCounter counter) {
        h->counters[counter]++;
        return (Action) { .type = ACTION_DROP };
}

Action action_accept(uint8_t verdict) {
        return (Action) { .type = ACTION_ACCEPT, .verdict = verdict };
}

Action action_wait_unit(Handshake *h, const HandshakeInput *in) {
        if (in->waited || in->unit == 0)
                return action_drop(h, DATAPATH_COUNTER_NO_STATE);
        return (Action) { .type = ACTION_WAIT, .wait.unit = in->unit };
}

Action action_message(uint8_t verdict, const uint8_t *message, size_t len) {
        return (Action) { .type = ACTION_ACCEPT, .edit = EDIT_PAYLOAD, .verdict = verdict, .payload = message, .payload_len = len };
}

bool mac_verifies(uint8_t computed[static MESSAGE_MAC_SIZE], const uint8_t received[static MESSAGE_MAC_SIZE]) {
        bool equal = crypto_equal(computed, received, MESSAGE_MAC_SIZE);

        crypto_wipe(computed, MESSAGE_MAC_SIZE);
        return equal;
}

bool packet_is_clean(const Packet *p) {
        return p->payload_len == 0 && !p->fast_open;
}

Action action_strip(uint8_t verdict, const Packet *p) {
        return packet_is_clean(p) ? action_accept(verdict) : action_message(verdict, NULL, 0);
}

Action action_reset(uint32_t ack) {
        return (Action) { .type = ACTION_ACCEPT, .verdict = VERDICT_PASS, .edit = EDIT_RESET, .reset_ack = ack };
}

Action action_deny(Handshake *h, const HandshakeInput *in) {
        if (h->deny_drop && in->hook == QUEUE_HOOK_INPUT && !in->loopback)
                return action_drop(h, DATAPATH_COUNTER_REJECTED);
        h->counters[DATAPATH_COUNTER_REJECTED]++;
        /* The table's reset acknowledges all that the SYN holds; with our message counted in, the client's TCP would not believe it. */
        if (in->packet.protocol == IPPROTO_TCP)
                return action_strip(VERDICT_DENY, &in->packet);
        return action_accept(VERDICT_DENY);
}

void action_record(Action *a, const HandshakeInput *in, const RecordInput *record) {
        const DatapathDecision *d = record->decision;

        if (a->n_records == ACTION_RECORDS_MAX)
                return;
        a->records[a->n_records++] = (DatapathFlow) {
                .peer = record->peer,
                .unit = record->unit,
                .peer_unit = record->peer_unit,
                .verdict = d->observed ? DATAPATH_FLOW_WOULD_REJECT : d->allow ? DATAPATH_FLOW_ACCEPT : DATAPATH_FLOW_REJECT,
                .direction = record->direction,
                .family = in->packet.family,
                .protocol = in->packet.protocol,
                .sport = record->endpoints->client_port,
                .dport = record->endpoints->server_port,
                .reason = d->reason,
                .rule = d->rule,
                .flags = record->flags | (d->allow && d->log ? DATAPATH_FLOW_LOG : 0),
                .saddr = record->endpoints->client,
                .daddr = record->endpoints->server,
        };
}

Endpoints endpoints_of_client(const Packet *p) {
        return (Endpoints) {
                .client = p->saddr, .server = p->daddr, .client_port = p->sport, .server_port = p->dport, .client_isn = p->seq,
        };
}

Endpoints endpoints_of_server(const Packet *p) {
        return (Endpoints) {
                .client = p->daddr, .server = p->saddr, .client_port = p->dport, .server_port = p->sport, .server_isn = p->seq,
        };
}

static bool range_contains(const DatapathRange *r, const struct in6_addr *address, uint16_t port) {
        unsigned bytes = r->prefix_len / 8, bits = r->prefix_len % 8;

        if (port < r->port_first || port > r->port_last || memcmp(&r->address, address, bytes) != 0)
                return false;
        return bits == 0 || ((r->address.s6_addr[bytes] ^ address->s6_addr[bytes]) >> (8 - bits)) == 0;
}

static bool translation_is_named(const Handshake *h, const Endpoints *dialled) {
        for (uint32_t i = 0; i < h->n_translated; i++)
                if (range_contains(&h->translated[i], &dialled->server, dialled->server_port))
                        return true;
        return false;
}

Reason handshake_check_path(const Handshake *h, const Endpoints *ours, const Endpoints *theirs, const Endpoints *dialled, bool *ret_translated) {
        bool server = !IN6_ARE_ADDR_EQUAL(&theirs->server, &ours->server) || theirs->server_port != ours->server_port;
        bool source = !IN6_ARE_ADDR_EQUAL(&theirs->client, &ours->client) || theirs->client_port != ours->client_port ||
                      theirs->client_isn != ours->client_isn || theirs->server_isn != ours->server_isn;

        *ret_translated = server || source;
        if (server && !translation_is_named(h, dialled))
                return REASON_NOT_FOR_ME;
        return source && h->require_direct_path ? REASON_TRANSLATED : REASON_NONE;
}

DatapathDecision decision_refused(const Unit *unit, Reason reason) {
        uint32_t observe = (unit->flags & REQUEST_UNIT_OBSERVE) != 0;

        return (DatapathDecision) { .allow = observe, .observed = observe, .reason = reason };
}

/* An answer is used as it came, for it need not be worth keeping: what does not verify is never cached. */
static bool judge_from_answer(Handshake *h, const HandshakeInput *in, const JudgeInput *judge, Judged *ret) {
        const DatapathResolved *a = in->answer;

        *ret = (Judged) { .decision = a->decision, .peer = a->peer, .peer_number = a->peer_number };
        if (!a->verified)
                return true;
        if (memcmp(a->token_hash, judge->token_hash, DATAPATH_HASH_SIZE) != 0)
                return false;
        memcpy(ret->peer_dh, a->peer_dh, sizeof(ret->peer_dh));
        ret->pair = peer_cache_pair(h->peers, judge->our_dh, ret->peer_dh, in->now);
        ret->verified = ret->pair != NULL;
        ret->outdated = !ret->verified;
        if (!ret->verified)
                ret->decision = (DatapathDecision) { .reason = REASON_EXPIRED };
        return true;
}

bool handshake_judge(Handshake *h, const HandshakeInput *in, const JudgeInput *judge, Judged *ret) {
        JudgementKey key = { .unit = judge->unit, .port = judge->port, .direction = (uint16_t) judge->direction };
        const Judgement *judgement;
        const Peer *peer;
        const Pair *pair;

        if (in->answer)
                return judge_from_answer(h, in, judge, ret);
        peer = peer_cache_peer(h->peers, judge->token_hash, in->now);
        pair = peer ? peer_cache_pair(h->peers, judge->our_dh, peer->dh, in->now) : NULL;
        memcpy(key.subject, judge->token_hash, sizeof(key.subject));
        judgement = pair ? peer_cache_judgement(h->peers, &key, in->now) : NULL;
        if (!judgement)
                return false;
        *ret = (Judged) {
                .verified = true, .decision = judgement->decision, .peer = peer->id, .peer_number = peer->number, .pair = pair,
        };
        memcpy(ret->peer_dh, peer->dh, sizeof(ret->peer_dh));
        return true;
}

Action handshake_ask(Handshake *h, const JudgeInput *judge, bool known) {
        DatapathResolve *q = &h->question;

        memset(q, 0, sizeof(*q));
        q->header.type = DATAPATH_RESOLVE;
        q->direction = judge->direction;
        q->unit = judge->unit;
        q->port = judge->port;
        memcpy(q->our_dh, judge->our_dh, sizeof(q->our_dh));
        q->token_len = judge->message->token_len;
        memcpy(q->token, judge->message->token, q->token_len);
        return (Action) { .type = ACTION_ASK, .known = known };
}

/* An ACK message in a flow that needs none any more: said twice, or copied on the way. Its bytes are not the program's. */
static bool is_stray_ack_message(const Packet *p) {
        Message m;

        return p->payload_len > 0 && message_parse(p->data + p->payload_offset, p->payload_len, &m) == 0 && m.type == MESSAGE_ACK;
}

static Action step_input(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        const Endpoints from_client = endpoints_of_client(p), from_server = endpoints_of_server(p);
        const FlowKey server = flow_key(&from_client, FLOW_SERVER), client = flow_key(&from_server, FLOW_CLIENT);
        Flow *flow;

        flow = flow_table_get(h->flows, &server, in->now);
        if (flow)
                return handshake_server_input(h, in, flow);
        flow = flow_table_get(h->flows, &client, in->now);
        if (flow)
                return handshake_client_input(h, in, flow);
        /* Released a moment ago: the packet was queued before its connection's mark was set. */
        if (flow_table_get_released(h->flows, &server, in->now))
                return is_stray_ack_message(p) ? action_strip(VERDICT_SERVER_AUTHORIZED, p) : action_accept(VERDICT_SERVER_AUTHORIZED);
        if (flow_table_get_released(h->flows, &client, in->now))
                return action_accept(VERDICT_PASS);
        return action_drop(h, DATAPATH_COUNTER_NO_STATE);
}

static Action step_output(Handshake *h, const HandshakeInput *in) {
        const Endpoints from_client = endpoints_of_client(&in->packet), from_server = endpoints_of_server(&in->packet);
        const FlowKey server = flow_key(&from_server, FLOW_SERVER), client = flow_key(&from_client, FLOW_CLIENT);
        Released *released;
        Flow *flow;

        flow = flow_table_get(h->flows, &client, in->now);
        if (flow)
                return handshake_client_output(h, in, flow);
        flow = flow_table_get(h->flows, &server, in->now);
        if (flow)
                return handshake_server_output(h, in, flow);
        released = flow_table_get_released(h->flows, &client, in->now);
        if (released && released->repeat) {
                released->repeat = false;
                return action_message(VERDICT_CLIENT_AUTHORIZED, released->ack, sizeof(released->ack));
        }
        if (released)
                return action_accept(VERDICT_CLIENT_AUTHORIZED);
        if (flow_table_get_released(h->flows, &server, in->now))
                return action_accept(VERDICT_SERVER_AUTHORIZED);
        return action_drop(h, DATAPATH_COUNTER_NO_STATE);
}

/* Accepted by the table as a stranger's, on the condition that nothing rides along. */
static Action step_strip(const HandshakeInput *in) {
        bool from_client = (in->packet.flags & TCP_FLAG_ACK) == 0;

        return action_strip((in->hook == QUEUE_HOOK_OUTPUT) == from_client ? VERDICT_CLIENT_AUTHORIZED : VERDICT_SERVER_AUTHORIZED, &in->packet);
}

/* A SYN on a live connection. TCP would answer with an ACK (RFC 5961 4.2), and does so for an ACK out of its window too (RFC 9293 3.10.7.4); but if the
 * connection ends before this packet is there, a listener would take a SYN, and its mark still says authorized. */
static Action live_syn(void) {
        return (Action) { .type = ACTION_ACCEPT, .verdict = VERDICT_PASS, .edit = EDIT_ACK };
}

static Action step_tcp(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        bool input = in->hook == QUEUE_HOOK_INPUT;

        if (p->protocol != IPPROTO_TCP)
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        if (in->kind == REQUEST_STRIP)
                return step_strip(in);
        if (in->kind == REQUEST_LOCAL)
                return handshake_local(h, in);
        if (in->kind == REQUEST_REPEAT && !(p->flags & TCP_FLAG_SYN))
                return is_stray_ack_message(p) ? action_strip(VERDICT_PASS, p) : action_accept(VERDICT_PASS);
        if (in->kind == REQUEST_REPEAT && !(p->flags & TCP_FLAG_ACK))
                return live_syn();
        switch (p->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST | TCP_FLAG_FIN)) {
        case TCP_FLAG_SYN:
                return input ? handshake_server_syn(h, in) : handshake_client_syn(h, in);
        case TCP_FLAG_SYN | TCP_FLAG_ACK:
                return input ? handshake_client_syn_ack(h, in) : handshake_server_syn_ack(h, in);
        default:
                if (p->flags & TCP_FLAG_SYN) /* with RST or FIN: no connection begins so */
                        return action_drop(h, DATAPATH_COUNTER_MALFORMED);
                return input ? step_input(h, in) : step_output(h, in);
        }
}

static Action step(Handshake *h, const HandshakeInput *in) {
        switch (in->kind) {
        case REQUEST_RECORD_ACL:
        case REQUEST_RECORD_UNMARKED:
        case REQUEST_RECORD_CLOSED:
        case REQUEST_RECORD_OBSERVED:
        case REQUEST_RECORD_LOGGED:
                return handshake_record(h, in);
        case REQUEST_HANDSHAKE:
        case REQUEST_STRIP:
        case REQUEST_LOCAL:
        case REQUEST_REPEAT:
                return step_tcp(h, in);
        default:
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        }
}

Action handshake_step(Handshake *h, const HandshakeInput *in) {
        Action a = step(h, in);

        if (a.unit == 0)
                a.unit = in->unit;
        return a;
}

int handshake_expire(Handshake *h, usec_t now, DatapathFlow *ret) {
        Flow *flow = flow_table_expired(h->flows, now);
        bool silent;

        if (!flow)
                return 0;
        silent = flow->state == FLOW_CLIENT_SYN_SENT;
        if (silent)
                *ret = (DatapathFlow) {
                        .unit = flow->unit,
                        .verdict = DATAPATH_FLOW_REJECT,
                        .direction = DATAPATH_CONNECT,
                        .family = IN6_IS_ADDR_V4MAPPED(&flow->endpoints.server) ? AF_INET : AF_INET6,
                        .protocol = IPPROTO_TCP,
                        .sport = flow->endpoints.client_port,
                        .dport = flow->endpoints.server_port,
                        .reason = REASON_PEER_SILENT,
                        .saddr = flow->endpoints.client,
                        .daddr = flow->endpoints.server,
                };
        flow_table_remove(h->flows, flow);
        return silent ? 2 : 1;
}
