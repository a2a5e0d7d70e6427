/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Both ends on this host, and denials that the table decided by itself: no exchange, only verdicts and records. */

#include "core/handshake-internal.h"
#include "ipc/marks.h"

/* One record for each end that has something to say: who refused, who only would have, or else that it was accepted. */
static void local_record(Action *a, const HandshakeInput *in, const DatapathDecision *server, const DatapathDecision *client) {
        const Endpoints endpoints = endpoints_of_client(&in->packet);
        RecordInput accept = { .endpoints = &endpoints, .unit = in->unit, .peer_unit = in->client, .direction = DATAPATH_ACCEPT, .decision = server };
        RecordInput connect = { .endpoints = &endpoints, .unit = in->client, .peer_unit = in->unit, .direction = DATAPATH_CONNECT, .decision = client };
        bool server_objects = in->unit != 0 && (!server->allow || server->observed);
        bool client_objects = in->client != 0 && (!client->allow || client->observed);

        if (server_objects || (!client_objects && in->unit != 0))
                action_record(a, in, &accept);
        if (client_objects || (!server_objects && in->unit == 0))
                action_record(a, in, &connect);
}

static Action local_decide(Handshake *h, const HandshakeInput *in, const DatapathDecision *server, const DatapathDecision *client) {
        Action a;

        if ((in->unit != 0 && !server->allow) || (in->client != 0 && !client->allow))
                a = action_deny(h, in);
        else if (in->unit == 0)
                a = action_strip(VERDICT_CLIENT_AUTHORIZED, &in->packet);
        else if (in->client == 0)
                a = action_strip(VERDICT_SERVER_AUTHORIZED, &in->packet);
        else
                a = action_strip(VERDICT_BOTH_AUTHORIZED, &in->packet);
        local_record(&a, in, server, client);
        return a;
}

Action handshake_local(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        JudgementKey key = { .unit = in->unit, .client = in->client, .port = p->dport, .direction = DATAPATH_LOCAL };
        const Judgement *j;

        if ((p->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != TCP_FLAG_SYN || (in->unit == 0 && in->client == 0))
                return action_drop(h, DATAPATH_COUNTER_MALFORMED);
        if (in->unit_flags & REQUEST_UNIT_CLOSED) {
                const DatapathDecision closed = { .reason = REASON_CLOSED };

                return local_decide(h, in, &closed, &(DatapathDecision) { .allow = 1 });
        }
        if (in->answer)
                return local_decide(h, in, &in->answer->decision, &in->answer->client);
        if (in->unit == 0)
                memcpy(key.subject, &p->daddr, sizeof(p->daddr));
        j = peer_cache_judgement(h->peers, &key, in->now);
        if (j)
                return local_decide(h, in, &j->decision, &j->client);
        h->question = (DatapathResolve) {
                .header.type = DATAPATH_RESOLVE,
                .direction = DATAPATH_LOCAL,
                .unit = in->unit,
                .client = in->client,
                .port = p->dport,
                .family = p->family,
                .protocol = p->protocol,
                .address = p->daddr,
        };
        return (Action) { .type = ACTION_ASK, .known = true };
}

static DatapathDecision record_decision(uint8_t kind) {
        switch (kind) {
        case REQUEST_RECORD_OBSERVED:
                return (DatapathDecision) { .allow = 1, .observed = 1, .reason = REASON_OBSERVE };
        case REQUEST_RECORD_LOGGED:
                return (DatapathDecision) { .allow = 1, .reason = REASON_ACL, .log = 1 };
        case REQUEST_RECORD_CLOSED:
                return (DatapathDecision) { .reason = REASON_CLOSED };
        case REQUEST_RECORD_UNMARKED:
                return (DatapathDecision) { .reason = REASON_NOT_AUTHORIZED };
        default:
                return (DatapathDecision) { .reason = REASON_NO_IDENTITY };
        }
}

Action handshake_record(Handshake *h, const HandshakeInput *in) {
        const Packet *p = &in->packet;
        const DatapathDecision decision = record_decision(in->kind);
        bool input = in->hook == QUEUE_HOOK_INPUT;
        bool syn_ack = p->protocol == IPPROTO_TCP && (p->flags & TCP_FLAG_SYN) && (p->flags & TCP_FLAG_ACK);
        const Endpoints endpoints = syn_ack ? endpoints_of_server(p) : endpoints_of_client(p);
        RecordInput record = {
                .endpoints = &endpoints,
                .unit = in->unit,
                .direction = input != syn_ack ? DATAPATH_ACCEPT : DATAPATH_CONNECT,
                .decision = &decision,
        };
        Action a;

        if (decision.allow)
                a = p->protocol == IPPROTO_TCP && (p->flags & TCP_FLAG_SYN) ? action_strip(VERDICT_PASS, p) : action_accept(VERDICT_PASS);
        else if (syn_ack && input) /* the stranger's answer to our client, who would wait if the stranger were told instead */
                a = action_reset(p->ack);
        else
                a = action_deny(h, in);
        action_record(&a, in, &record);
        return a;
}
