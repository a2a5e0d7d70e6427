/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "core/test-hosts.h"

#include <assert.h>
#include <arpa/inet.h>
#include <stdio.h>

#include "util/siphash.h"
#include "wire/bytes.h"
#include "wire/token.h"

usec_t test_now = 1000 * USEC_PER_SEC;

static size_t token_make(const Host *h, size_t n_tags, uint8_t *buf, size_t size) {
        static char values[TOKEN_TAGS_MAX][16];
        Token t = { .mode = TOKEN_PSK, .families = 1, .key_id = h->psk.key_id, .valid_from_sec = 1000, .valid_until_sec = 2000, .n_tags = (uint16_t) n_tags };
        int n;

        memcpy(t.node, h->node, sizeof(t.node));
        memcpy(t.node_dh, h->dh.public_key, sizeof(t.node_dh));
        for (size_t i = 0; i < n_tags; i++) {
                (void) snprintf(values[i], sizeof(values[i]), "value-%03zu", i);
                t.tags[i] = (TokenTag) { .key = "@usr:app", .key_len = 8, .value = values[i], .value_len = 9 };
        }
        n = token_write(&t, TOKEN_MAC_SIZE, buf, size);
        assert(n > 0);
        assert(token_mac(h->psk.token_key, buf, (size_t) n, buf + n) == 0);
        return (size_t) n + TOKEN_MAC_SIZE;
}

void host_own_name(const DhKey *dh, const PskKeys *psk, uint8_t ret[static 32]) {
        memcpy(ret, dh->public_key, sizeof(dh->public_key));
        store_be32(ret, load_be32(ret) ^ psk->key_id);
}

static void host_set_unit(Host *h, uint32_t flags) {
        DatapathUnit u = { .index = HOST_UNIT, .flags = flags, .cgroup_id = 4711, .token_expires_usec = USEC_INFINITY };

        host_own_name(&h->dh, &h->psk, u.node_dh);
        u.token_len = (uint32_t) token_make(h, h->n_tags, u.token, sizeof(u.token));
        assert(unit_table_set(h->h.units, &u) == 0);
        h->flags = flags;
}

void host_init(Host *h, const char *name, const char *psk, size_t n_tags) {
        static const uint8_t seed[SIPHASH_KEY_SIZE] = "not so random..";
        uint8_t key[32] = {};

        *h = (Host) { .n_tags = n_tags, .allow = true, .answer_usec = 60 * USEC_PER_SEC };
        memcpy(key, psk, strlen(psk));
        memcpy(h->node, name, strlen(name));
        assert(psk_keys_derive(key, &h->psk) == 0);
        assert(crypto_sha256(name, strlen(name), h->dh.private_key) == 0); /* the same in each run, as the nonces are */
        assert(dh_public_key(h->dh.private_key, h->dh.public_key) == 0);
        assert(flow_table_new(seed, &h->h.flows) == 0);
        assert(peer_cache_new(seed, &h->h.peers) == 0);
        assert(unit_table_new(&h->h.units) == 0);
        host_set_unit(h, 0);
}

void host_done(Host *h) {
        flow_table_free(h->h.flows);
        peer_cache_free(h->h.peers);
        unit_table_free(h->h.units);
}

void host_set_flags(Host *h, uint32_t flags) {
        host_set_unit(h, flags);
}

void host_new_key(Host *h, bool keep) {
        h->previous = h->dh;
        h->knows_previous = keep;
        assert(dh_key_generate(&h->dh) == 0);
        host_set_unit(h, h->flags);
        if (!keep)
                peer_cache_forget(h->h.peers, DATAPATH_FORGET_DECISIONS, 0); /* what a new enforcer says first */
}

void host_new_psk(Host *h, const char *psk) {
        uint8_t key[32] = {};

        memcpy(key, psk, strlen(psk));
        h->former_psk = h->psk;
        h->knows_former_psk = true;
        assert(psk_keys_derive(key, &h->psk) == 0);
        host_set_unit(h, h->flags);
}

/* What a name of our own stands for: false if it is one of before a restart. */
static bool find_own(const Host *h, const uint8_t *name, const DhKey **ret_dh, const PskKeys **ret_psk) {
        for (int i = 0; i < 4; i++) {
                uint8_t own[32];

                if ((i & 1 && !h->knows_previous) || (i & 2 && !h->knows_former_psk))
                        continue;
                *ret_dh = i & 1 ? &h->previous : &h->dh;
                *ret_psk = i & 2 ? &h->former_psk : &h->psk;
                host_own_name(*ret_dh, *ret_psk, own);
                if (memcmp(own, name, sizeof(own)) == 0)
                        return true;
        }
        return false;
}

static void answer_token(const Host *h, const DatapathResolve *q, DatapathResolved *ret) {
        const PskKeys *own_psk, *peer_psk;
        const DhKey *own;
        PairKeys keys;
        Token t;

        ret->decision = (DatapathDecision) { .reason = REASON_BAD_TOKEN };
        if (token_parse(q->token, q->token_len, &t) < 0)
                return;
        ret->decision.reason = REASON_UNVERIFIED;
        peer_psk = h->knows_former_psk && t.key_id == h->former_psk.key_id ? &h->former_psk : &h->psk;
        if (token_mac_verify(peer_psk->token_key, t.bytes, t.signed_len, t.proof) < 0)
                return;
        ret->decision.reason = REASON_EXPIRED;
        if (!find_own(h, q->our_dh, &own, &own_psk))
                return;
        assert(pair_keys_derive(&(PairInput) {
                .mode = TOKEN_PSK, .psk_pair_key = (own_psk->key_id < peer_psk->key_id ? own_psk : peer_psk)->pair_key,
                .own = own, .own_node = h->node, .peer_node = t.node, .peer_dh = t.node_dh,
        }, &keys) == 0);
        memcpy(&ret->keys, &keys, sizeof(ret->keys));
        assert(crypto_sha256(q->token + TOKEN_PAIR_AT, TOKEN_PAIR_SIZE, ret->peer_dh) == 0);
        assert(crypto_sha256(q->token, q->token_len, ret->token_hash) == 0);
        ret->verified = 1;
        ret->peer = 99;
        ret->decision = (DatapathDecision) { .allow = h->allow || h->observe, .observed = !h->allow && h->observe, .reason = REASON_RULE, .rule = 3 };
}

DatapathResolved host_answer(const Host *h, const DatapathResolve *q) {
        DatapathResolved a = { .verified = 1, .expires_usec = test_now + h->answer_usec };

        if (q->direction == DATAPATH_PLAIN_SYN)
                a.decision = (DatapathDecision) { .allow = h->plain_allowed, .reason = REASON_ACL };
        else if (q->direction == DATAPATH_LOCAL) {
                a.decision = (DatapathDecision) { .allow = h->allow, .reason = REASON_RULE };
                a.client = (DatapathDecision) { .allow = !h->client_denies, .reason = REASON_SAME_LABEL };
        } else {
                a.verified = 0;
                answer_token(h, q, &a);
        }
        return a;
}

Connection connection_make(int family, uint16_t client_port) {
        Connection c = { .family = family, .client_port = client_port, .server_port = 80, .client_isn = 0xfffffff0u + client_port, .server_isn = 77000u + client_port };
        const char *addresses[][2] = { { "::ffff:192.0.2.1", "::ffff:192.0.2.2" }, { "2001:db8::1", "2001:db8::2" } };

        assert(inet_pton(AF_INET6, addresses[family == AF_INET6][0], &c.client) == 1);
        assert(inet_pton(AF_INET6, addresses[family == AF_INET6][1], &c.server) == 1);
        return c;
}

static size_t ip_header(const Connection *c, bool from_client, size_t tcp_len, uint8_t *ip) {
        const struct in6_addr *s = from_client ? &c->client : &c->server, *d = from_client ? &c->server : &c->client;

        if (c->family == AF_INET) {
                ip[0] = 0x45;
                store_be16(ip + 2, (uint16_t) (20 + tcp_len));
                ip[8] = 64;
                ip[9] = IPPROTO_TCP;
                memcpy(ip + 12, s->s6_addr + 12, 4);
                memcpy(ip + 16, d->s6_addr + 12, 4);
                return 20;
        }
        ip[0] = 0x60;
        store_be16(ip + 4, (uint16_t) tcp_len);
        ip[6] = IPPROTO_TCP;
        ip[7] = 64;
        memcpy(ip + 8, s, 16);
        memcpy(ip + 24, d, 16);
        return 40;
}

Wire wire_make(const Connection *c, bool from_client, uint8_t flags, uint32_t seq, uint32_t ack, const void *payload, size_t payload_len) {
        Wire w = {};
        uint8_t *tcp;
        size_t at;

        at = ip_header(c, from_client, 20 + payload_len, w.data);
        tcp = w.data + at;
        store_be16(tcp, from_client ? c->client_port : c->server_port);
        store_be16(tcp + 2, from_client ? c->server_port : c->client_port);
        store_be32(tcp + 4, seq);
        store_be32(tcp + 8, ack);
        tcp[12] = 5 << 4;
        tcp[13] = flags;
        if (payload_len > 0)
                memcpy(tcp + 20, payload, payload_len);
        w.len = at + 20 + payload_len;
        return w;
}

Wire wire_syn(const Connection *c) {
        return wire_make(c, true, TCP_FLAG_SYN, c->client_isn, 0, NULL, 0);
}

Wire wire_syn_ack(const Connection *c) {
        return wire_make(c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, c->server_isn, c->client_isn + 1, NULL, 0);
}

Wire wire_ack(const Connection *c, const char *data) {
        return wire_make(c, true, TCP_FLAG_ACK, c->client_isn + 1, c->server_isn + 1, data, strlen(data));
}

Packet wire_parse(const Wire *w) {
        Packet p;

        assert(packet_parse(w->data, w->len, &p) == 0);
        return p;
}

size_t wire_payload_len(const Wire *w) {
        return wire_parse(w).payload_len;
}

const uint8_t *wire_payload(const Wire *w) {
        return w->data + wire_parse(w).payload_offset;
}

static Action host_go(Host *h, HandshakeInput *in, Wire *w) {
        static uint64_t n_nonces;
        DatapathResolved answer;
        uint8_t buf[WIRE_MAX];
        int n = (int) w->len;
        Action a;

        in->now = test_now;
        in->packet = wire_parse(w);
        store_be64(in->nonce, ++n_nonces);
        a = handshake_step(&h->h, in);
        if (a.type == ACTION_ASK) {
                h->n_questions++;
                if (h->mute)
                        return a;
                if (h->slow)
                        host_new_key(h, true);
                answer = host_answer(h, &h->h.question);
                assert(peer_cache_learn(h->h.peers, &h->h.question, &answer, test_now) == 0);
                in->answer = &answer;
                a = handshake_step(&h->h, in);
                in->answer = NULL;
        }
        if (a.type == ACTION_WAIT && !h->waits) {
                in->waited = true;
                a = handshake_step(&h->h, in);
        }
        if (a.edit == EDIT_PAYLOAD)
                n = packet_rewrite(&in->packet, a.payload, a.payload_len, true, buf, sizeof(buf));
        else if (a.edit == EDIT_RESET)
                n = packet_write_reset(&in->packet, a.reset_ack, buf, sizeof(buf));
        else if (a.edit == EDIT_SYN)
                n = packet_write_syn(&in->packet, a.syn, buf, sizeof(buf));
        else if (a.edit == EDIT_ACK)
                n = packet_write_ack(&in->packet, buf, sizeof(buf));
        assert(n >= 0);
        if (a.edit != EDIT_NONE)
                memcpy(w->data, buf, (size_t) n);
        w->len = (size_t) n;
        return a;
}

Action host_step(Host *h, QueueHook hook, uint8_t kind, uint32_t unit, Wire *w) {
        HandshakeInput in = { .hook = hook, .kind = kind, .unit = unit, .unit_flags = (uint8_t) h->flags, .outside = h->outside };

        return host_go(h, &in, w);
}

static uint32_t told_unit(const Wire *w) {
        return (wire_parse(w).flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN ? HOST_UNIT : 0;
}

Action host_input(Host *h, Wire *w) {
        return host_step(h, QUEUE_HOOK_INPUT, REQUEST_HANDSHAKE, told_unit(w), w);
}

Action host_output(Host *h, Wire *w) {
        return host_step(h, QUEUE_HOOK_OUTPUT, REQUEST_HANDSHAKE, told_unit(w), w);
}

Action host_input_loopback(Host *h, uint8_t kind, uint32_t unit, uint32_t client, Wire *w) {
        HandshakeInput in = { .hook = QUEUE_HOOK_INPUT, .kind = kind, .unit = unit, .client = client, .loopback = true };

        return host_go(h, &in, w);
}
