/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Between handshake.c and the files of its two ends. */

#include "core/handshake.h"
#include "policy/reason.h"
#include "wire/message.h"

Action handshake_client_syn(Handshake *h, const HandshakeInput *in);      /* OUTPUT, SYN */
Action handshake_client_syn_ack(Handshake *h, const HandshakeInput *in);  /* INPUT, SYN-ACK */
Action handshake_client_output(Handshake *h, const HandshakeInput *in, Flow *flow);
Action handshake_client_input(Handshake *h, const HandshakeInput *in, const Flow *flow);
Action handshake_server_syn(Handshake *h, const HandshakeInput *in);      /* INPUT, SYN */
Action handshake_server_syn_ack(Handshake *h, const HandshakeInput *in);  /* OUTPUT, SYN-ACK */
Action handshake_server_output(Handshake *h, const HandshakeInput *in, Flow *flow);
Action handshake_server_input(Handshake *h, const HandshakeInput *in, Flow *flow);
Action handshake_local(Handshake *h, const HandshakeInput *in);           /* REQUEST_LOCAL */
Action handshake_record(Handshake *h, const HandshakeInput *in);          /* REQUEST_RECORD_* */

/* ---- actions ---- */
Action action_drop(Handshake *h, DatapathCounter counter);
Action action_accept(uint8_t verdict);
Action action_strip(uint8_t verdict, const Packet *p); /* accept, without payload and Fast Open option */
/* Until the enforcer has told of the unit that the table knows already; dropped if that takes too long. */
Action action_wait_unit(Handshake *h, const HandshakeInput *in);
Action action_message(uint8_t verdict, const uint8_t *message, size_t len);
/* Refused: reset towards the peer, or silence where that is configured and the peer is not on this host. Counted. */
Action action_reset(uint32_t ack); /* to our own TCP, in place of the packet */
Action action_deny(Handshake *h, const HandshakeInput *in);

/* ---- records ---- */
typedef struct RecordInput {
        const Endpoints *endpoints;
        uint32_t unit, peer_unit;
        uint8_t direction;             /* DATAPATH_ACCEPT, DATAPATH_CONNECT */
        const DatapathDecision *decision;
        uint64_t peer;
        uint32_t flags;
} RecordInput;
void action_record(Action *a, const HandshakeInput *in, const RecordInput *record);

/* ---- packets ---- */
Endpoints endpoints_of_client(const Packet *p); /* p was sent by the client */
Endpoints endpoints_of_server(const Packet *p); /* p was sent by the server */
/* What a peer says it sees, against what we see; dialled: those of the two that are the client's. NOT_FOR_ME: whoever the client dialled is not the server,
 * and AcceptTranslatedTo= does not name it. TRANSLATED: RequireDirectPath= refuses another source. *ret_translated: they differ. Identity plays no part. */
Reason handshake_check_path(const Handshake *h, const Endpoints *ours, const Endpoints *theirs, const Endpoints *dialled, bool *ret_translated);
bool packet_is_clean(const Packet *p);          /* neither payload nor Fast Open option */

/* Does what was received equal what was computed? In constant time, and what was computed is gone: it is a valid MAC for bytes that somebody else chose. */
bool mac_verifies(uint8_t computed[static MESSAGE_MAC_SIZE], const uint8_t received[static MESSAGE_MAC_SIZE]);

/* ---- tokens ---- */
typedef struct Judged {
        bool verified;
        bool outdated;                 /* not verified: the answer goes with a key of ours that has been replaced meanwhile */
        DatapathDecision decision;
        uint64_t peer;
        uint32_t peer_number;
        const Pair *pair;              /* NULL unless verified */
        uint8_t peer_dh[32];
} Judged;

typedef struct JudgeInput {
        DatapathDirection direction;
        uint32_t unit;
        const uint8_t *our_dh;
        const Message *message;
        const uint8_t *token_hash;
        uint16_t port;
} JudgeInput;

/* From the answer at hand, else from the caches. False: not known, must be asked; then handshake_ask() makes the question. */
bool handshake_judge(Handshake *h, const HandshakeInput *in, const JudgeInput *judge, Judged *ret);
Action handshake_ask(Handshake *h, const JudgeInput *judge, bool known);

/* The deciding rules, or a fault of the exchange that this end refuses, seen through observe: an observing end records and goes on. */
DatapathDecision decision_refused(const Unit *unit, Reason reason);
