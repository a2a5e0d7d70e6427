/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The handshake as a machine: one packet in, one action out. docs/protocol.md, "States", is its table. No I/O, no clock, no randomness of its own, and
 * nothing fails: what goes wrong inside is a packet dropped and counted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/flow-table.h"
#include "core/peer-cache.h"
#include "core/unit-table.h"
#include "core/waiting.h"
#include "ipc/datapath-protocol.h"
#include "wire/packet.h"
#include "wire/queue-msg.h"

typedef struct Handshake {
        FlowTable *flows;              /* these three owned by whoever made them */
        PeerCache *peers;
        UnitTable *units;
        bool deny_drop, require_direct_path; /* these four as in DatapathConfig */
        uint32_t n_translated;
        DatapathRange translated[DATAPATH_TRANSLATED_MAX];
        uint64_t counters[_DATAPATH_COUNTER_MAX];
        DatapathResolve question;      /* of the last ACTION_ASK; its serial is the asker's business */
        uint8_t reminder[MESSAGE_SIZE_MIN]; /* what the last action may carry */
} Handshake;

typedef struct HandshakeInput {
        Packet packet;
        QueueHook hook;
        uint8_t kind;                  /* REQUEST_* of ipc/marks.h without the low bits; never REQUEST_UNKNOWN_LISTENER */
        uint8_t unit_flags;            /* REQUEST_UNIT_* */
        uint32_t unit;                 /* index of the unit that the packet meets or leaves, 0: not told */
        uint32_t client;               /* REQUEST_LOCAL: index of the client, 0: a stranger */
        bool loopback;
        bool outside;                  /* from outside TargetNetworks=: a SYN's token is not read, its sender is a stranger */
        bool waited;                   /* the packet was to wait (ACTION_WAIT) and does so no longer, for whatever reason */
        usec_t now;
        uint8_t nonce[MESSAGE_NONCE_SIZE]; /* fresh random bytes for each packet */
        const DatapathResolved *answer; /* the packet was asked about and comes again with this answer; else NULL */
} HandshakeInput;

typedef enum ActionType {
        ACTION_DROP,
        ACTION_ACCEPT,                 /* NF_ACCEPT with verdict and edit */
        ACTION_ASK,                    /* keep the packet, send Handshake.question, and come again with the answer */
        ACTION_WAIT,                   /* keep the packet until what wait names has happened, and come again */
} ActionType;

typedef enum ActionEdit {
        EDIT_NONE,
        EDIT_PAYLOAD,                  /* packet_rewrite() with payload (maybe empty), Fast Open option removed */
        EDIT_RESET,                    /* packet_write_reset() */
        EDIT_SYN,                      /* packet_write_syn() with syn */
        EDIT_ACK,                      /* packet_write_ack() */
} ActionEdit;

#define ACTION_RECORDS_MAX 2u

typedef struct Action {
        ActionType type;
        ActionEdit edit;
        uint8_t verdict;               /* VERDICT_* */
        uint32_t unit;                 /* whose the packet is, where known: VERDICT_STRANGER* must name it */
        uint32_t peer_number;          /* VERDICT_*_AUTHORIZED, the first time */
        bool known;                    /* ASK: about a peer that proved itself, or local: it may use the room kept free for those */
        WaitKey wait;                  /* WAIT */
        const uint8_t *payload;        /* valid until the next step */
        size_t payload_len;
        const PacketSyn *syn;          /* valid until the next step */
        uint32_t reset_ack;            /* EDIT_RESET: what the reset acknowledges */
        size_t n_records;
        DatapathFlow records[ACTION_RECORDS_MAX]; /* without time */
} Action;

Action handshake_step(Handshake *h, const HandshakeInput *in);

/* Ends one flow whose time is over. Returns 0: there is none; 1: ended in silence; 2: ended, and *ret says that a peer never answered. */
int handshake_expire(Handshake *h, usec_t now, DatapathFlow *ret);
