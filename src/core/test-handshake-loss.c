/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Connections through a network that loses, doubles and reorders: two small TCPs, two tables as the helper makes them, two machines, one simulated clock.
 * Whatever happens on the way, the connection comes up, and what the program reads is what the other one wrote. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/test-hosts.h"
#include "wire/bytes.h"

#define FLIGHT_MAX 256u
#define TEXT "hello"

typedef enum TcpState { TCP_CLOSED, TCP_SYN_SENT, TCP_SYN_RECEIVED, TCP_ESTABLISHED } TcpState;

typedef struct End {
        Host host;
        bool is_client, speaks;        /* speaks: this one's program writes TEXT */
        TcpState state;
        unsigned mark;                 /* our end's bits: 0 none, 1 pending, 2 authorized */
        usec_t retry_usec, interval_usec;
        bool acked;                    /* the peer has our TEXT */
        char read[64];
        size_t n_read;
} End;

typedef struct Flight {
        Wire wire;
        bool to_client;
        usec_t arrives_usec;           /* 0: this place is free */
} Flight;

typedef struct Network {
        End client, server;
        Connection c;
        Flight flights[FLIGHT_MAX];
        bool cookies;                  /* the server keeps no state and no timer before the ACK */
        uint32_t random, loss_percent, double_percent;
        usec_t jitter_usec;
} Network;

static uint32_t pick(Network *n, uint32_t below) {
        n->random = n->random * 1664525u + 1013904223u;
        return (n->random >> 8) % below;
}

static void fly(Network *n, const Wire *w, bool to_client) {
        unsigned copies = pick(n, 100) < n->loss_percent ? 0 : pick(n, 100) < n->double_percent ? 2 : 1;

        for (size_t i = 0; i < FLIGHT_MAX && copies > 0; i++)
                if (n->flights[i].arrives_usec == 0) {
                        n->flights[i] = (Flight) { *w, to_client, test_now + 1000 + pick(n, (uint32_t) n->jitter_usec + 1) };
                        copies--;
                }
}

/* What the table does with a verdict. */
static void obey(End *e, const Action *a) {
        static const unsigned marks[] = { [VERDICT_CLIENT_PENDING] = 1, [VERDICT_CLIENT_AUTHORIZED] = 2, [VERDICT_SERVER_PENDING] = 1, [VERDICT_SERVER_AUTHORIZED] = 2 };

        assert_true(a->verdict == VERDICT_PASS || (a->verdict < ELEMENTSOF(marks) && marks[a->verdict] != 0));
        if (a->verdict != VERDICT_PASS)
                e->mark = marks[a->verdict];
}

static bool begins_with_magic(const Wire *w) {
        return wire_payload_len(w) >= 4 && load_be32(wire_payload(w)) == HANDSHAKE_MAGIC;
}

/* The table on the way in: false when the packet ends here. */
static bool table_input(End *e, Wire *w) {
        uint8_t flags = wire_parse(w).flags & (TCP_FLAG_SYN | TCP_FLAG_ACK);
        bool repeat = e->mark == 2 && ((flags & TCP_FLAG_SYN) || begins_with_magic(w));
        Action a;

        if (e->mark == 2 && !repeat)
                return true;
        if (e->mark == 0 && flags != TCP_FLAG_SYN)
                return false;
        a = host_step(&e->host, QUEUE_HOOK_INPUT, repeat ? REQUEST_REPEAT : REQUEST_HANDSHAKE, flags == TCP_FLAG_SYN ? HOST_UNIT : 0, w);
        if (a.type != ACTION_ACCEPT)
                return false;
        obey(e, &a);
        return true;
}

static void emit(Network *n, End *e, uint8_t flags, uint32_t offset, const char *payload) {
        uint32_t own = e->is_client ? n->c.client_isn : n->c.server_isn, other = e->is_client ? n->c.server_isn : n->c.client_isn;
        uint32_t seq = flags & TCP_FLAG_SYN ? own : own + 1 + offset;
        uint32_t ack = flags & TCP_FLAG_ACK ? other + 1 + (uint32_t) e->n_read : 0;
        Wire w = wire_make(&n->c, e->is_client, flags, seq, ack, payload, strlen(payload));
        Action a;

        if (e->mark != 2 || flags == TCP_FLAG_SYN) {
                a = host_step(&e->host, QUEUE_HOOK_OUTPUT, REQUEST_HANDSHAKE, flags == TCP_FLAG_SYN ? HOST_UNIT : 0, &w);
                if (a.type != ACTION_ACCEPT)
                        return;
                obey(e, &a);
        }
        fly(n, &w, !e->is_client);
}

static void wait_from_now(End *e, usec_t interval) {
        e->interval_usec = interval;
        e->retry_usec = test_now + interval;
}

static void established(Network *n, End *e) {
        e->state = TCP_ESTABLISHED;
        e->retry_usec = USEC_INFINITY;
        if (e->speaks) {
                emit(n, e, TCP_FLAG_ACK, 0, TEXT);
                wait_from_now(e, USEC_PER_SEC / 5);
        }
}

static void read_payload(Network *n, End *e, const Wire *w) {
        const Packet p = wire_parse(w);
        uint32_t expected = (e->is_client ? n->c.server_isn : n->c.client_isn) + 1 + (uint32_t) e->n_read;

        if (p.payload_len == 0)
                return;
        if (p.seq == expected) {
                assert_true(e->n_read + p.payload_len < sizeof(e->read));
                memcpy(e->read + e->n_read, wire_payload(w), p.payload_len);
                e->n_read += p.payload_len;
        }
        emit(n, e, TCP_FLAG_ACK, e->speaks ? sizeof(TEXT) - 1 : 0, "");
}

static void tcp_receive(Network *n, End *e, const Wire *w) {
        const Packet p = wire_parse(w);
        uint32_t own = e->is_client ? n->c.client_isn : n->c.server_isn;

        if (p.flags & TCP_FLAG_SYN) {
                assert_int_equal(p.payload_len, 0); /* what a program might be handed */
                if (e->state == TCP_ESTABLISHED)
                        emit(n, e, TCP_FLAG_ACK, e->speaks ? sizeof(TEXT) - 1 : 0, "");
                else if (e->is_client) {
                        emit(n, e, TCP_FLAG_ACK, 0, "");
                        established(n, e);
                } else {
                        if (e->state == TCP_CLOSED && !n->cookies)
                                wait_from_now(e, USEC_PER_SEC);
                        e->state = TCP_SYN_RECEIVED;
                        emit(n, e, TCP_FLAG_SYN | TCP_FLAG_ACK, 0, "");
                }
                return;
        }
        if (e->state == TCP_SYN_RECEIVED && p.ack == own + 1)
                established(n, e);
        if (e->state != TCP_ESTABLISHED)
                return;
        if (e->speaks && p.ack == own + sizeof(TEXT)) {
                e->acked = true;
                e->retry_usec = USEC_INFINITY;
        }
        read_payload(n, e, w);
}

static void tcp_retry(Network *n, End *e) {
        if (e->state == TCP_SYN_SENT)
                emit(n, e, TCP_FLAG_SYN, 0, "");
        else if (e->state == TCP_SYN_RECEIVED)
                emit(n, e, TCP_FLAG_SYN | TCP_FLAG_ACK, 0, "");
        else
                emit(n, e, TCP_FLAG_ACK, 0, TEXT);
        wait_from_now(e, 2 * e->interval_usec);
}

/* The next thing that happens. */
static void advance(Network *n) {
        Flight *next = NULL;
        usec_t when = MIN(n->client.retry_usec, n->server.retry_usec);

        for (size_t i = 0; i < FLIGHT_MAX; i++)
                if (n->flights[i].arrives_usec != 0 && n->flights[i].arrives_usec <= when) {
                        next = &n->flights[i];
                        when = next->arrives_usec;
                }
        assert_true(when != USEC_INFINITY);
        test_now = when;
        if (next) {
                End *e = next->to_client ? &n->client : &n->server;
                Wire w = next->wire;

                next->arrives_usec = 0;
                if (table_input(e, &w))
                        tcp_receive(n, e, &w);
        } else
                tcp_retry(n, n->client.retry_usec <= n->server.retry_usec ? &n->client : &n->server);
}

static void run_connection(Network *n, uint32_t seed, bool client_speaks) {
        End *reader = client_speaks ? &n->server : &n->client, *writer = client_speaks ? &n->client : &n->server;
        usec_t begun;

        test_now += 240 * USEC_PER_SEC;
        begun = test_now;
        n->random = seed;
        n->c = connection_make(seed % 2 ? AF_INET : AF_INET6, (uint16_t) (1024 + seed));
        memset(n->flights, 0, sizeof(n->flights));
        for (unsigned i = 0; i < 2; i++) {
                End *e = i ? &n->client : &n->server;

                e->is_client = i == 1;
                e->state = TCP_CLOSED;
                e->mark = 0;
                e->retry_usec = USEC_INFINITY;
                e->acked = false;
                e->n_read = 0;
        }
        writer->speaks = true;
        reader->speaks = false;
        n->client.state = TCP_SYN_SENT;
        emit(n, &n->client, TCP_FLAG_SYN, 0, "");
        wait_from_now(&n->client, USEC_PER_SEC);
        while (!writer->acked) {
                advance(n);
                if (test_now - begun > 240 * USEC_PER_SEC)
                        fail_msg("seed %u: no connection", seed);
        }
        /* Stragglers do no harm either. */
        while (n->client.retry_usec != USEC_INFINITY || n->server.retry_usec != USEC_INFINITY)
                advance(n);
        assert_int_equal(reader->n_read, sizeof(TEXT) - 1);
        assert_memory_equal(reader->read, TEXT, sizeof(TEXT) - 1);
        assert_int_equal(writer->n_read, 0);
        assert_int_equal(n->client.mark, 2);
        assert_int_equal(n->server.mark, 2);
}

static void run_many(uint32_t loss_percent, uint32_t double_percent, usec_t jitter_usec, uint32_t count, bool strangers, bool cookies) {
        Network *n = calloc(1, sizeof(*n));

        *n = (Network) { .loss_percent = loss_percent, .double_percent = double_percent, .jitter_usec = jitter_usec, .cookies = cookies };
        host_init(&n->client.host, "client", "the same secret", 2);
        host_init(&n->server.host, "server", "the same secret", strangers ? 24 : 4);
        for (uint32_t i = 0; i < count; i++) {
                n->client.host.answer_usec = n->server.host.answer_usec = strangers ? 1 : 1000000 * USEC_PER_SEC;
                run_connection(n, i, cookies || i % 4 < 2); /* behind a cookie only a client that speaks first is heard */
        }
        host_done(&n->client.host);
        host_done(&n->server.host);
        free(n);
}

static void nothing_is_in_the_way_of_a_good_network(void **state) {
        run_many(0, 0, 0, 50, false, false);
}

static void loss_costs_time_only(void **state) {
        run_many(20, 0, 0, 500, false, false);
}

static void doubled_packets_change_nothing(void **state) {
        run_many(0, 60, 3000, 500, false, false);
}

static void order_does_not_matter(void **state) {
        run_many(0, 0, 1500 * USEC_PER_MSEC, 500, false, false);
}

static void syn_cookies_lose_nothing_either(void **state) {
        run_many(15, 20, 3000, 500, false, true);
}

/* What goes to an unproven address is bounded by what came from it: the whole SYN-ACK once, then reminders. */
static void first_contacts_survive_some_loss(void **state) {
        run_many(5, 10, 3000, 1000, true, false);
}

static void all_at_once_is_survived(void **state) {
        run_many(15, 30, 800 * USEC_PER_MSEC, 1000, false, false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_in_the_way_of_a_good_network),
                cmocka_unit_test(loss_costs_time_only),
                cmocka_unit_test(doubled_packets_change_nothing),
                cmocka_unit_test(order_does_not_matter),
                cmocka_unit_test(syn_cookies_lose_nothing_either),
                cmocka_unit_test(first_contacts_survive_some_loss),
                cmocka_unit_test(all_at_once_is_survived),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
