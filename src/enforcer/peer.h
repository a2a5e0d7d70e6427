/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Peers on other hosts: their tokens, judged once and remembered by the SHA-256 of the whole token. */

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "enforcer/keys.h"
#include "policy/reason.h"
#include "policy/tags.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/token.h"

#define TOKEN_SKEW_SEC 120          /* clocks may differ by so much */
#define PEERS_MAX 4096u             /* verified tokens; some 1 KiB each */
#define PEERS_CLAIMED_MAX 256u      /* tokens that did not verify, kept for records only, so that a flood of them displaces no verified one */

typedef struct Peer {
        struct Peer *next;              /* in the hash chain */
        struct Peer *newer, *older;     /* by last use */
        uint64_t id;                    /* for records, never 0, never used twice */
        uint8_t hash[CRYPTO_HASH_SIZE];
        bool verified;
        Reason reason;                  /* not verified: why */
        TagSet tags;                    /* not verified: as claimed */
        uint16_t families;
        uint8_t node[16], dh[32];
        usec_t expires_usec;            /* CLOCK_BOOTTIME */
        bool has_keys;
        uint8_t keys_dh[32];            /* our public key that keys were derived with */
        PairKeys keys;
} Peer;

typedef struct Peers Peers;
_must_use_ int peers_new(Peers **ret);
Peers *peers_free(Peers *p);
DEFINE_CLEANUP(Peers *, peers_free);
void peers_clear(Peers *p);          /* keys changed: everything must be verified again */

typedef struct PeerTime {
        int64_t now_sec;             /* CLOCK_REALTIME */
        usec_t now_usec;             /* CLOCK_BOOTTIME */
} PeerTime;

/* The peer of a token: remembered, or judged now. Borrowed until the next call. -ENOMEM, -EIO; a bad token is a Peer that is not verified. */
_must_use_ int peers_get(Peers *p, const Keys *keys, const uint8_t *token, size_t len, const PeerTime *time, Peer **ret);
const Peer *peers_find_id(const Peers *p, uint64_t id); /* NULL: forgotten meanwhile */
/* The pair keys between our key own and this peer, derived once. -EINVAL: its DH key is none, -EIO. */
_must_use_ int peer_keys(Peer *peer, const Keys *keys, const uint8_t *own_node, const DhKey *own, const PairKeys **ret);

/* REASON_NONE: authentic, in date, all tags admissible. Pure but for crypto. tags is filled also when the token does not verify but parses. -ENOMEM, -EIO. */
_must_use_ int token_judge(const Keys *keys, const uint8_t *bytes, size_t len, int64_t now_sec, Token *ret_token, TagSet *ret_tags, Reason *ret_reason);
