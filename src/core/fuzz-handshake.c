/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A client and a server, both with good keys, and between them a network that does what the input says: it keeps every packet, and delivers, repeats,
 * drops, mixes and changes them as it likes; the two kernels say anything at any time. Input: steps of four bytes (operation and host, a, b, c).
 * Whatever is done, an end is authorized only by the message that the other end made for it, no program sees a message or a byte before that, and
 * nobody unproven is sent more than came from there. */

#include <stdlib.h>

#include "core/test-hosts.h"
#include "util/fuzz.h"
#include "wire/bytes.h"
#include "wire/message.h"

#define STEPS_MAX 96u
#define CONNECTIONS 2u

typedef struct Account { /* of a connection, as an end sees it */
        struct in6_addr peer;
        uint16_t peer_port, own_port;
        bool answered, authorized;     /* answered: a SYN-ACK of the other end came */
        bool accepted;                 /* by this end as the server, which is who is sent an ACK message */
        uint64_t in, out;              /* bytes */
} Account;

typedef struct End {
        Host host;
        size_t n_sent, n_accounts;
        Wire sent[STEPS_MAX];          /* what it let out */
        bool spent[STEPS_MAX];         /* this authorized the other end */
        Account accounts[STEPS_MAX];
} End;

typedef struct World {
        End client, server;
        bool ready, known;             /* known: a SYN with a MAC of its own exists */
} World;

static World world;

enum {
        STEP_KERNEL,                   /* a: flags, b: connection and server's address, c: how far the numbers are off, 255: the ACK of nothing */
        STEP_DELIVER,                  /* a: which packet */
        STEP_FLIP,                     /* a: which packet, b and c: which byte of it */
        STEP_PAYLOAD,                  /* a: which packet, b: whose payload */
        STEP_TOKEN,                    /* a: which packet, b: whose token */
        STEP_FLAGS,                    /* a: which packet, b: flags */
        STEP_NUMBERS,                  /* a: which packet, b: how far seq is off, c: ack */
        STEP_ENDS,                     /* a: which packet, b: ports, c: addresses */
        STEP_REFLECT,                  /* a: which packet, b: flags */
        STEP_TIME,                     /* b and c: milliseconds */
        STEP_SETTINGS,                 /* a: of the host */
        STEP_FORGET,                   /* a: what the host forgets */
        STEP_KIND,                     /* a: which packet, b: what the table says it is */
        STEP_RAW,                      /* a: what the table says it is, b and c: length; the packet's bytes follow */
        STEP_HOST = 1 << 7,
        STEP_CROSS = 1 << 6,           /* a packet that the other end sent */
};

static const uint8_t flag_words[] = {
        TCP_FLAG_SYN, TCP_FLAG_SYN | TCP_FLAG_ACK, TCP_FLAG_ACK, TCP_FLAG_ACK | TCP_FLAG_PSH,
        TCP_FLAG_RST, TCP_FLAG_RST | TCP_FLAG_ACK, TCP_FLAG_FIN | TCP_FLAG_ACK, TCP_FLAG_SYN | TCP_FLAG_FIN,
};
static const uint8_t kinds[] = { REQUEST_HANDSHAKE, REQUEST_REPEAT, REQUEST_STRIP, REQUEST_LOCAL, REQUEST_RECORD_ACL, REQUEST_RECORD_OBSERVED };

/* ---- what must hold ---- */

static bool same_payload(const Packet *a, const Packet *b) {
        return a->payload_len == b->payload_len && memcmp(a->data + a->payload_offset, b->data + b->payload_offset, a->payload_len) == 0;
}

/* Which of the packets that it let out has this payload; STEPS_MAX: none. */
static size_t find_sent(const End *by, const Packet *p) {
        size_t i = 0;

        for (; i < by->n_sent; i++) {
                Packet sent = wire_parse(&by->sent[i]);

                if (same_payload(&sent, p))
                        return i;
        }
        return STEPS_MAX;
}

static int message_of(const Packet *p, Message *ret) {
        return message_parse(p->data + p->payload_offset, p->payload_len, ret);
}

static Account *account_at(End *e, const Packet *p, bool output) {
        const Account wanted = { .peer = output ? p->daddr : p->saddr, .peer_port = output ? p->dport : p->sport, .own_port = output ? p->sport : p->dport };

        for (size_t i = 0; i < e->n_accounts; i++) {
                Account *a = &e->accounts[i];

                if (a->peer_port == wanted.peer_port && a->own_port == wanted.own_port && IN6_ARE_ADDR_EQUAL(&a->peer, &wanted.peer))
                        return a;
        }
        CHECK(e->n_accounts < STEPS_MAX);
        e->accounts[e->n_accounts] = wanted;
        return &e->accounts[e->n_accounts++];
}

static bool is_authorizing(const Action *a) {
        return a->verdict == VERDICT_CLIENT_AUTHORIZED || a->verdict == VERDICT_SERVER_AUTHORIZED || a->verdict == VERDICT_BOTH_AUTHORIZED;
}

static bool is_observed(const Action *a) {
        return a->n_records > 0 && a->records[0].verdict == DATAPATH_FLOW_WOULD_REJECT;
}

/* An end was authorized by proof: by a message of the other end, byte for byte, that names the server it was meant for, and not a second time. */
static void check_proof(End *e, const Packet *before, bool output) {
        End *other = e == &world.client ? &world.server : &world.client;
        Account *account = account_at(e, before, output);
        size_t i = find_sent(other, before);
        Message m;

        account->authorized = true;
        if (output) {
                CHECK(account->answered);
                return;
        }
        account->accepted = true;
        CHECK(message_of(before, &m) == 0 && m.type == MESSAGE_ACK && i < STEPS_MAX && !other->spent[i]);
        CHECK(IN6_ARE_ADDR_EQUAL(&m.endpoints.server, &before->daddr) && m.endpoints.server_port == before->dport);
        other->spent[i] = true;
}

static void check_input(End *e, const Packet *before, const Packet *after) {
        const Account *account = account_at(e, before, false);
        Message m;

        CHECK(!(after->flags & TCP_FLAG_SYN) || after->payload_len == 0);
        CHECK(!account->accepted || message_of(after, &m) < 0 || m.type != MESSAGE_ACK);
        CHECK(after->payload_len == 0 || account->authorized);
}

/* The first SYN-ACK that a client's kernel gets to see as an identity's; what comes again is told by its nonce. */
static void check_answer(End *e, const Action *a, const Packet *before) {
        const End *other = e == &world.client ? &world.server : &world.client;
        Account *account;

        if (!(before->flags & TCP_FLAG_SYN) || !(before->flags & TCP_FLAG_ACK) || before->payload_len == 0 || a->verdict != VERDICT_PASS || a->edit != EDIT_PAYLOAD)
                return;
        account = account_at(e, before, false);
        CHECK(find_sent(other, before) < STEPS_MAX || account->authorized);
        account->answered = true;
}

static void check_amplification(End *e, const Packet *before, const Packet *after, bool output) {
        Account *account;
        Message m;

        if (world.known)
                return;
        account = account_at(e, before, output);
        if (!output)
                account->in += before->len;
        else if (message_of(after, &m) == 0 && m.type == MESSAGE_SYN_ACK)
                account->out += after->len;
        CHECK(account->out <= account->in);
}

static void check(End *e, const Action *a, uint8_t kind, bool output, const Packet *before, const Wire *w, uint64_t n_proofs) {
        bool proven = e->host.h.counters[DATAPATH_COUNTER_AUTHENTICATED] > n_proofs;
        Packet after;
        Message m;

        CHECK(!proven || (a->type == ACTION_ACCEPT && is_authorizing(a) && kind == REQUEST_HANDSHAKE));
        if (before->protocol == IPPROTO_TCP && !output)
                check_amplification(e, before, before, false);
        if (a->type != ACTION_ACCEPT)
                return;
        CHECK(packet_parse(w->data, w->len, &after) == 0);
        if (proven)
                check_proof(e, before, output);
        if (!output && (kind == REQUEST_HANDSHAKE || kind == REQUEST_REPEAT))
                check_answer(e, a, before);
        if (kind != REQUEST_HANDSHAKE || before->protocol != IPPROTO_TCP)
                return;
        CHECK(!is_authorizing(a) || proven || is_observed(a) || account_at(e, before, output)->authorized);
        if (!output)
                check_input(e, before, &after);
        else
                check_amplification(e, before, &after, true);
        if (output && message_of(&after, &m) == 0 && m.type == MESSAGE_SYN && (m.flags & MESSAGE_KNOWN))
                world.known = true;
}

/* ---- the network ---- */

/* One packet into a host; whether it came through. */
static bool go(End *e, bool output, uint8_t kind, uint32_t unit, Wire *w) {
        const Wire copy = *w;
        uint64_t n_proofs = e->host.h.counters[DATAPATH_COUNTER_AUTHENTICATED];
        Packet before;
        Action a;

        if (packet_parse(copy.data, copy.len, &before) < 0)
                return false;
        a = host_step(&e->host, output ? QUEUE_HOOK_OUTPUT : QUEUE_HOOK_INPUT, kind, unit, w);
        check(e, &a, kind, output, &before, w, n_proofs);
        return a.type == ACTION_ACCEPT && a.verdict != VERDICT_DENY;
}

static uint32_t unit_of(const Wire *w) {
        Packet p;

        return packet_parse(w->data, w->len, &p) == 0 && (p.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN ? HOST_UNIT : 0;
}

static void kernel(End *e, const uint8_t *s) {
        Connection c = connection_make(AF_INET, (uint16_t) (1000 + s[2] % CONNECTIONS));
        bool from_client = e == &world.client;
        uint8_t flags = flag_words[s[1] % ELEMENTSOF(flag_words)];
        uint32_t seq = from_client ? c.client_isn : c.server_isn, ack = from_client ? c.server_isn + 1 : c.client_isn + 1;
        const char *data = flags & TCP_FLAG_PSH ? "data" : "";
        Wire w;

        c.server.s6_addr[15] ^= s[2] >> 1 & 7;
        seq += !(flags & TCP_FLAG_SYN);
        seq += s[3] & 15;
        ack += s[3] >> 4;
        if (!(flags & TCP_FLAG_ACK))
                ack = 0;
        else if (s[3] == UINT8_MAX)
                ack = 1;
        w = wire_make(&c, from_client, flags, seq, ack, data, strlen(data));
        if (go(e, true, REQUEST_HANDSHAKE, unit_of(&w), &w))
                e->sent[e->n_sent++] = w;
}

static void set_payload(Wire *w, const uint8_t *payload, size_t len) {
        const Wire old = *w;
        const Packet p = wire_parse(&old);
        int n = packet_rewrite(&p, payload, len, false, w->data, sizeof(w->data));

        CHECK(n > 0);
        w->len = (size_t) n;
}

static void set_token(Wire *w, const Wire *from) {
        const Packet p = wire_parse(w), q = wire_parse(from);
        uint8_t buf[MESSAGE_SIZE_MAX];
        Message m, other;
        int n;

        if (message_of(&p, &m) < 0 || message_of(&q, &other) < 0 || m.type == MESSAGE_ACK || other.type == MESSAGE_ACK)
                return;
        m.token = other.token;
        m.token_len = other.token_len;
        n = message_write(&m, buf, sizeof(buf));
        if (n > 0)
                set_payload(w, buf, (size_t) n);
}

/* Where what is changed lies in an IPv4 packet of wire_make(). */
enum { AT_SOURCE = 12, AT_DESTINATION = 16, AT_SPORT = 20, AT_DPORT = 22, AT_SEQ = 24, AT_ACK = 28, AT_FLAGS = 33, IPV4_TCP_SIZE = 40 };

static void reflect(Wire *w, uint8_t flags) {
        uint8_t old[IPV4_TCP_SIZE];

        memcpy(old, w->data, sizeof(old));
        memcpy(w->data + AT_SOURCE, old + AT_DESTINATION, 4);
        memcpy(w->data + AT_DESTINATION, old + AT_SOURCE, 4);
        memcpy(w->data + AT_SPORT, old + AT_DPORT, 2);
        memcpy(w->data + AT_DPORT, old + AT_SPORT, 2);
        store_be32(w->data + AT_SEQ, load_be32(old + AT_ACK));
        store_be32(w->data + AT_ACK, load_be32(old + AT_SEQ) + 1);
        w->data[AT_FLAGS] = flags;
}

static void change(Wire *w, const uint8_t *s, const End *from) {
        const Wire *other = &from->sent[s[2] % from->n_sent];
        const Packet p = wire_parse(other);

        switch (s[0] & 15) {
        case STEP_FLIP:
                w->data[load_be16(s + 2) % w->len] ^= (uint8_t) (1 << s[1] / STEPS_MAX);
                break;
        case STEP_PAYLOAD:
                set_payload(w, p.data + p.payload_offset, p.payload_len);
                break;
        case STEP_TOKEN:
                set_token(w, other);
                break;
        case STEP_FLAGS:
                w->data[AT_FLAGS] = flag_words[s[2] % ELEMENTSOF(flag_words)];
                break;
        case STEP_NUMBERS:
                store_be32(w->data + AT_SEQ, load_be32(w->data + AT_SEQ) + s[2] - 128u);
                store_be32(w->data + AT_ACK, load_be32(w->data + AT_ACK) + s[3] - 128u);
                break;
        case STEP_ENDS:
                w->data[AT_SPORT + 1] ^= s[2] & 7;
                w->data[AT_DPORT + 1] ^= s[2] >> 3 & 7;
                w->data[AT_SOURCE + 3] ^= s[3] & 7;
                w->data[AT_DESTINATION + 3] ^= s[3] >> 3 & 7;
                break;
        case STEP_REFLECT:
                reflect(w, flag_words[s[2] % ELEMENTSOF(flag_words)]);
                break;
        default:
                break;
        }
}

static void deliver(End *to, const uint8_t *s) {
        const End *from = (to == &world.client) != !!(s[0] & STEP_CROSS) ? &world.server : &world.client;
        Wire w;

        if (from->n_sent == 0)
                return;
        w = from->sent[s[1] % from->n_sent];
        change(&w, s, from);
        go(to, false, (s[0] & 15) == STEP_KIND ? kinds[s[2] % ELEMENTSOF(kinds)] : REQUEST_HANDSHAKE, unit_of(&w), &w);
}

static void settings(Host *h, const uint8_t *s) {
        h->allow = !(s[1] & 1);
        h->observe = s[1] & 2;
        h->plain_allowed = s[1] & 4;
        h->mute = s[1] & 8;
        h->waits = s[1] & 16;
        h->h.deny_drop = s[1] & 32;
        h->h.require_direct_path = s[1] & 64;
        host_set_flags(h, (s[2] & 1 ? REQUEST_UNIT_CLOSED : 0) | (s[2] & 2 ? REQUEST_UNIT_OBSERVE : 0));
        peer_cache_forget(h->h.peers, DATAPATH_FORGET_DECISIONS, 0);
}

static void raw(End *e, const uint8_t *s, Reader *r) {
        size_t len = load_be16(s + 2);
        const uint8_t *p = reader_take(r, len);
        Wire w = {};

        if (!p || len > WIRE_MAX - MESSAGE_SIZE_MAX)
                return;
        memcpy(w.data, p, len);
        w.len = len;
        go(e, s[1] & 1, kinds[(s[1] >> 1) % ELEMENTSOF(kinds)], unit_of(&w), &w);
}

static void take_step(const uint8_t *s, Reader *r) {
        End *e = s[0] & STEP_HOST ? &world.server : &world.client;

        switch (s[0] & 15) {
        case STEP_KERNEL:
                kernel(e, s);
                break;
        case STEP_TIME:
                test_now += load_be16(s + 2) * USEC_PER_MSEC;
                break;
        case STEP_SETTINGS:
                settings(&e->host, s);
                break;
        case STEP_FORGET:
                peer_cache_forget(e->host.h.peers, s[1] & 1 ? DATAPATH_FORGET_KEYS : DATAPATH_FORGET_DECISIONS, 0);
                break;
        case STEP_RAW:
                raw(e, s, r);
                break;
        default:
                deliver(e, s);
        }
}

/* A host is made once, for its tables are large; what it has learned ends with its time. */
static void host_renew(End *e, const char *name) {
        DatapathFlow flow;

        if (!world.ready)
                host_init(&e->host, name, "the same secret", 2);
        while (handshake_expire(&e->host.h, USEC_INFINITY, &flow) > 0)
                ;
        peer_cache_forget(e->host.h.peers, DATAPATH_FORGET_KEYS, 0);
        settings(&e->host, (const uint8_t[4]) {});
        e->n_sent = e->n_accounts = 0;
        memset(e->spent, 0, sizeof(e->spent));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Reader r = { .at = data, .left = size };
        const uint8_t *s;

        host_renew(&world.client, "client");
        host_renew(&world.server, "server");
        world.ready = true;
        world.known = false;
        test_now += FLOW_HALF_OPEN_USEC + FLOW_RELEASED_USEC;
        for (size_t i = 0; i < STEPS_MAX && (s = reader_take(&r, 4)); i++)
                take_step(s, &r);
        return 0;
}
