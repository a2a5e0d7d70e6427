/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: a client and a server, and the steps of a handshake between them. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/test-hosts.h"

typedef struct Pairing {
        Host client, server;
        Connection c;
} Pairing;

static inline int setup_family(void **state, int family) {
        Pairing *p = calloc(1, sizeof(*p));

        host_init(&p->client, "client", "the same secret", 2);
        host_init(&p->server, "server", "the same secret", 2);
        p->c = connection_make(family, 1000);
        *state = p;
        return 0;
}

static inline int pairing_setup(void **state) {
        return setup_family(state, AF_INET);
}

static inline int pairing_setup6(void **state) {
        return setup_family(state, AF_INET6);
}

static inline int pairing_teardown(void **state) {
        Pairing *p = *state;

        host_done(&p->client);
        host_done(&p->server);
        free(p);
        return 0;
}

static inline void expect_accept(const Action *a, uint8_t verdict) {
        assert_int_equal(a->type, ACTION_ACCEPT);
        assert_int_equal(a->verdict, verdict);
}

static inline void expect_drop(Host *h, const Action *a, uint64_t before, DatapathCounter counter) {
        assert_int_equal(a->type, ACTION_DROP);
        assert_int_equal(h->h.counters[counter], before + 1);
}

static inline void expect_record(const Action *a, uint8_t verdict, Reason reason, uint32_t flags) {
        assert_int_equal(a->n_records, 1);
        assert_int_equal(a->records[0].verdict, verdict);
        assert_int_equal(a->records[0].reason, reason);
        assert_int_equal(a->records[0].flags, flags);
        assert_int_equal(a->records[0].unit, HOST_UNIT);
}

#define EXPECT_DROP(host, step, counter) do {                                   \
                uint64_t _before = (host)->h.counters[counter];                 \
                Action _a = (step);                                             \
                expect_drop(host, &_a, _before, counter);                       \
        } while (0)

#define EXPECT_ACCEPT(step, verdict) do {                                       \
                Action _a = (step);                                             \
                expect_accept(&_a, verdict);                                    \
        } while (0)

/* The three steps, each as far as the other host. */
static inline Wire send_syn(Pairing *p) {
        Wire w = wire_syn(&p->c);

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_PENDING);
        return w;
}

static inline Wire send_syn_ack(Pairing *p) {
        Wire w = wire_syn_ack(&p->c);

        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        return w;
}

static inline Wire send_ack(Pairing *p, const char *data) {
        Wire w = wire_ack(&p->c, data);

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_AUTHORIZED);
        return w;
}

static inline void receive_syn(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
        assert_int_equal(wire_payload_len(&w), 0);
}

static inline void receive_syn_ack(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_SYN | TCP_FLAG_ACK);
}

static inline void receive_ack(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_AUTHORIZED);
        assert_int_equal(wire_payload_len(&w), 0);
}

static inline void open_connection(Pairing *p) {
        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}
