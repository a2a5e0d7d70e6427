/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the enforcer has said about peers: pair keys of two nodes, tokens it verified, decisions, and which addresses have shown a token. Bounded; the
 * least recently used go first. Only authentic tokens get in, so that whoever has no key cannot push anything out. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "ipc/datapath-protocol.h"
#include "util/clock.h"
#include "util/macro.h"

/* Sizes for some hundred nodes with some units each; an entry that was pushed out costs one question. */
#define PEER_CACHE_PAIRS 1024u
#define PEER_CACHE_PEERS 8192u
#define PEER_CACHE_NODE_PEERS 1024u    /* so many of them of one node, whose own go first when it shows more */
#define PEER_CACHE_DECISIONS 32768u
#define PEER_CACHE_ADDRESSES 8192u

/* As long as a token may live (docs/protocol.md): after that a node may well have ceased to be one. */
#define PEER_CACHE_ADDRESS_USEC (3600 * USEC_PER_SEC)

typedef struct Pair { /* keys of this node (our_dh) with a peer's */
        MacKey *out_syn, *out_syn_ack, *out_ack;
        MacKey *in_syn, *in_syn_ack, *in_ack;
        usec_t expires_usec;
} Pair;

typedef struct Peer { /* a verified token */
        uint64_t id;                   /* the enforcer's, for records */
        uint32_t number;               /* for the mark of its flows */
        uint8_t dh[32];
        usec_t expires_usec;
} Peer;

typedef struct Judgement {
        DatapathDecision decision, client;
        usec_t expires_usec;
} Judgement;

/* What a decision is about. subject is the hash of the peer's token; where a stranger is the server (PLAIN_SYN, LOCAL with unit 0) its address, padded
 * with zeros; else zero. */
typedef struct JudgementKey {
        uint8_t subject[DATAPATH_HASH_SIZE];
        uint32_t unit, client;
        uint16_t port, direction;      /* direction: DATAPATH_* */
} JudgementKey;

typedef struct PeerCache PeerCache;

_must_use_ int peer_cache_new(const uint8_t seed[static 16], PeerCache **ret);
PeerCache *peer_cache_free(PeerCache *c);
DEFINE_CLEANUP(PeerCache *, peer_cache_free);

/* Each NULL when not known or out of date; valid until the next call that is not a look-up. */
const Pair *peer_cache_pair(PeerCache *c, const uint8_t our_dh[static 32], const uint8_t peer_dh[static 32], usec_t now);
const Peer *peer_cache_peer(PeerCache *c, const uint8_t token_hash[static DATAPATH_HASH_SIZE], usec_t now);
const Judgement *peer_cache_judgement(PeerCache *c, const JudgementKey *key, usec_t now);
/* DH public key of the node that last proved itself at this address and port; port 0: at any port. All zero where it is no use to a SYN. */
const uint8_t *peer_cache_address(PeerCache *c, const struct in6_addr *address, uint16_t port, usec_t now);

/* Remembers an answer that verified. -EINVAL: it does not belong to the question. */
_must_use_ int peer_cache_learn(PeerCache *c, const DatapathResolve *question, const DatapathResolved *answer, usec_t now);
/* peer_dh NULL: a token was seen there, but SYNs to that address arrive as somebody else's. */
void peer_cache_meet(PeerCache *c, const struct in6_addr *address, uint16_t port, const uint8_t *peer_dh, usec_t now);
void peer_cache_forget(PeerCache *c, uint32_t flags, uint32_t unit); /* DATAPATH_FORGET_*; unit 0: all */

void peer_cache_counts(const PeerCache *c, uint32_t *ret_peers, uint32_t *ret_decisions);
