/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: hosts with one unit each, real keys, tokens and packets, and an enforcer that answers at once. */

#include <stdbool.h>
#include <stdint.h>

#include "core/handshake.h"
#include "ipc/marks.h"
#include "policy/reason.h"

#define HOST_UNIT 7u
#define WIRE_MAX 2048u

typedef struct Host {
        Handshake h;
        DhKey dh, previous;            /* previous: the enforcer still knows it, if knows_previous */
        bool knows_previous;
        PskKeys psk, former_psk;       /* former: it is accepted still, if knows_former_psk */
        bool knows_former_psk;
        uint8_t node[16];
        size_t n_tags;                 /* of its unit's token */
        bool allow, observe;           /* what its enforcer decides */
        bool client_denies;            /* LOCAL: the client's rules */
        bool plain_allowed;            /* PLAIN_SYN */
        bool waits;                    /* what is to wait does wait; else it comes again at once, as if it had waited in vain */
        bool mute;                     /* the enforcer does not answer */
        bool slow;                     /* it tells a new key before it answers */
        usec_t answer_usec;            /* its answers hold so long */
        uint32_t n_questions;
        uint32_t flags;                /* of its unit */
        bool outside;                  /* what comes to it comes from outside TargetNetworks= */
} Host;

typedef struct Wire { /* a packet on its way */
        uint8_t data[WIRE_MAX];
        size_t len;
} Wire;

typedef struct Connection { /* as the client sees it; the address family of both ends is that of client */
        int family;
        struct in6_addr client, server;
        uint16_t client_port, server_port;
        uint32_t client_isn, server_isn;
} Connection;

extern usec_t test_now;                /* the clock of all hosts */

void host_init(Host *h, const char *name, const char *psk, size_t n_tags);
void host_done(Host *h);
void host_set_flags(Host *h, uint32_t flags);
/* Another Diffie-Hellman key, and a token with it. keep: the enforcer still knows the former one, as when a day is over; else it has been restarted. */
void host_new_key(Host *h, bool keep);
/* Another shared key, and a token with it; the former one is accepted still. */
void host_new_psk(Host *h, const char *psk);
/* How it calls its own half of a pair. */
void host_own_name(const DhKey *dh, const PskKeys *psk, uint8_t ret[static 32]);

DatapathResolved host_answer(const Host *h, const DatapathResolve *q); /* what its enforcer says; the serial is the asker's business */

Connection connection_make(int family, uint16_t client_port);
Wire wire_make(const Connection *c, bool from_client, uint8_t flags, uint32_t seq, uint32_t ack, const void *payload, size_t payload_len);
Wire wire_syn(const Connection *c);
Wire wire_syn_ack(const Connection *c);
Wire wire_ack(const Connection *c, const char *data);
Packet wire_parse(const Wire *w);
size_t wire_payload_len(const Wire *w);
const uint8_t *wire_payload(const Wire *w);

/* One packet through one host; on ACCEPT *w is as the host let it through. Questions are answered by the host's enforcer on the spot. */
Action host_step(Host *h, QueueHook hook, uint8_t kind, uint32_t unit, Wire *w);
Action host_input(Host *h, Wire *w);   /* REQUEST_HANDSHAKE, the unit told for SYNs only, as the table does */
Action host_output(Host *h, Wire *w);
/* Like host_input(), on lo. */
Action host_input_loopback(Host *h, uint8_t kind, uint32_t unit, uint32_t client, Wire *w);
