/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The connections that are being opened, and those that just were. Bounded for each class of whoever can fill it; entries end by time or by proof. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "ipc/datapath-protocol.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/message.h"
#include "wire/packet.h"

/* Linux repeats SYN and SYN-ACK after 1, 3, 7, 15 and 31 s; whoever needs longer begins anew. */
#define FLOW_HALF_OPEN_USEC (32 * USEC_PER_SEC)
/* Linux repeats a SYN-ACK for up to 63 s (tcp_synack_retries=5): so long our ACK may have to be said again. */
#define FLOW_RELEASED_USEC (64 * USEC_PER_SEC)

typedef enum FlowRole { FLOW_CLIENT = 1, FLOW_SERVER } FlowRole; /* which end is here; on a hairpin path both are */

/* Each class has room of its own, so that strangers crowd out neither local programs nor peers that proved who they are. */
typedef enum FlowClass {
        FLOW_CLASS_LOCAL,      /* opened by a local unit */
        FLOW_CLASS_KNOWN,      /* opened by a peer whose SYN carried a valid MAC */
        FLOW_CLASS_UNKNOWN,    /* opened by somebody with a valid token, maybe replayed */
        _FLOW_CLASS_MAX,
} FlowClass;

#define FLOW_LOCAL_MAX 8192u
#define FLOW_KNOWN_MAX 8192u
#define FLOW_UNKNOWN_MAX 4096u
#define FLOW_RELEASED_MAX 65536u
/* Of that, one owner gets so much, so that none keeps all others out: a unit of ours; an address that connects, or an IPv6 network of 64 bits. */
#define FLOW_LOCAL_UNIT_MAX 4096u
#define FLOW_KNOWN_ADDRESS_MAX 2048u
#define FLOW_UNKNOWN_ADDRESS_MAX 1024u

typedef struct FlowKey {
        struct in6_addr client, server;
        uint16_t client_port, server_port;
        uint32_t role;                 /* FlowRole */
} FlowKey;

typedef enum FlowState { /* docs/protocol.md, "States" */
        FLOW_CLIENT_SYN_SENT,
        FLOW_CLIENT_PROVEN,    /* the SYN-ACK verified and our kernel has it; its ACK will carry ours */
        FLOW_CLIENT_STRANGER,  /* a bare SYN-ACK came */
        FLOW_CLIENT_DENIED,    /* our connect rules refused the peer; our kernel has seen a reset */
        FLOW_SERVER_SYN_RECEIVED,
        FLOW_SERVER_SYN_ACK_SENT,
} FlowState;

typedef struct Flow {
        FlowState state;
        FlowClass class;
        struct in6_addr owner;
        uint32_t unit;                 /* the local end */
        Endpoints endpoints;           /* as seen here */
        usec_t expires_usec;
        uint32_t n_syns;               /* client: SYNs sent so far */
        bool plain;                    /* client: SYNs go without a message */
        bool translated;               /* the peer sees other addresses, ports or sequence numbers */
        bool reset;                    /* server: a reset has passed, so there is nothing left that another SYN could disturb */
        int64_t credit;                /* server, unknown peer: bytes that came less bytes that were answered */
        uint8_t our_dh[32];            /* client: of the token in its SYN */
        uint8_t peer_dh[32];           /* DatapathResolved's */
        MacKey *syn_ack_key, *ack_key; /* server: the pair's, held here so that the handshake can end whatever becomes of the caches */
        uint64_t peer;                 /* the enforcer's id of the peer's token */
        uint32_t peer_number;          /* for the mark */
        DatapathDecision decision;
        PacketSyn tcp_syn;             /* server: what our kernel was shown */
        uint8_t nonce[MESSAGE_NONCE_SIZE];      /* ours */
        uint8_t peer_nonce[MESSAGE_NONCE_SIZE];
        uint8_t syn[MESSAGE_VIEW_SIZE], syn_ack[MESSAGE_VIEW_SIZE];
        uint16_t message_len;          /* what our next packet carries: SYN, then ACK (client); SYN-ACK (server). 0: not made yet */
        uint8_t message[MESSAGE_SIZE_MAX];
} Flow;

/* What remains of a flow that the kernel carries on by itself. */
typedef struct Released {
        usec_t expires_usec;
        uint32_t client_isn, server_isn;
        uint8_t peer_nonce[MESSAGE_NONCE_SIZE];
        bool repeat;                   /* client: the SYN-ACK came again, so the next packet out carries the ACK message again */
        uint8_t ack[MESSAGE_SIZE_MIN]; /* client */
} Released;

typedef struct FlowTable FlowTable;

_must_use_ int flow_table_new(const uint8_t seed[static 16], FlowTable **ret);
FlowTable *flow_table_free(FlowTable *t);
DEFINE_CLEANUP(FlowTable *, flow_table_free);

FlowKey flow_key(const Endpoints *e, FlowRole role);

/* NULL: none, or its time is over. */
Flow *flow_table_get(FlowTable *t, const FlowKey *key, usec_t now);
/* Who fills room: whoever connects from that address, or the local unit. */
struct in6_addr flow_owner_address(const struct in6_addr *address);
struct in6_addr flow_owner_unit(uint32_t unit);
/* A zeroed half-open flow that lives FLOW_HALF_OPEN_USEC, in place of one of that key; NULL: no room in this class, or none for this owner. */
Flow *flow_table_add(FlowTable *t, const FlowKey *key, FlowClass class, const struct in6_addr *owner, usec_t now);
void flow_table_renew(FlowTable *t, Flow *flow, usec_t now);
void flow_table_remove(FlowTable *t, Flow *flow);
/* A flow whose time is over, in any class, or NULL: for the caller to look at and remove. */
Flow *flow_table_expired(FlowTable *t, usec_t now);

Released *flow_table_get_released(FlowTable *t, const FlowKey *key, usec_t now);
/* Turns a half-open flow into a released one; the oldest makes room. client's message must be its ACK. */
Released *flow_table_release(FlowTable *t, const FlowKey *key, Flow *flow, usec_t now);
void flow_table_forget_released(FlowTable *t, const FlowKey *key);

uint32_t flow_table_count(const FlowTable *t); /* half-open */
