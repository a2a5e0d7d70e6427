/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Peers on other hosts: their tokens, judged once and remembered by the SHA-256 of the whole token. A remembered verdict holds as long as the key or the certificate
 * that it rests on is accepted. */

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "enforcer/certificates.h"
#include "enforcer/keys.h"
#include "policy/reason.h"
#include "policy/tags.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/token.h"

#define TOKEN_SKEW_SEC 120          /* clocks may differ by so much */
#define PEERS_MAX 4096u             /* verified tokens; some 1 KiB each */
#define PEERS_NODE_MAX 512u         /* so many of them of one node, whose own go first when it shows more */
#define PEERS_CLAIMED_MAX 256u      /* tokens that did not verify, kept for records only, so that a flood of them displaces no verified one */

typedef struct Peer {
        struct Peer *next;              /* in the hash chain */
        struct Peer *newer, *older;     /* by last use */
        uint64_t id;                    /* for records, never 0, never used twice */
        uint8_t hash[CRYPTO_HASH_SIZE];
        bool verified;
        Reason reason;                  /* not verified: why */
        int64_t skew_sec;               /* EXPIRED: so far is it ahead of our clock; negative: it ended so long ago */
        TagSet tags;                    /* not verified: as claimed */
        uint16_t families;
        uint8_t node[16], dh[32];
        uint8_t pair[32];               /* names node and dh together: of two nodes that show the same key neither gets the other's pair keys */
        TokenMode mode;
        uint32_t key_id;                /* PSK */
        uint8_t certificate[CRYPTO_HASH_SIZE]; /* PKI */
        bool proven;                    /* a handshake with this token has ended well */
        usec_t expires_usec;            /* CLOCK_BOOTTIME */
        bool has_keys;
        uint8_t keys_own[32];           /* own_key_name() of ours that keys were derived with */
        PairKeys keys;
        char *unit_text, *labels_text;  /* for records: made with the first one; NULL before */
} Peer;

typedef struct Peers Peers;
_must_use_ int peers_new(Peers **ret);
Peers *peers_free(Peers *p);
DEFINE_CLEANUP(Peers *, peers_free);

/* What tokens are judged by; borrowed. */
typedef struct TokenContext {
        const Keys *keys;
        Certificates *certificates;  /* what is not in here is not verified: REASON_NO_ANSWER */
        PeerTime time;
} TokenContext;

/* These are refused from now on, their records stay. */
void peers_revoke(Peers *p, const uint8_t certificate[static CRYPTO_HASH_SIZE], Reason reason);
unsigned peers_revoke_unknown(Peers *p, const Keys *keys); /* whose PSK, or kind of key, is accepted no longer. Their number */

/* The peer of a token: remembered, or judged now. Borrowed until the next call. -ENOMEM, -EIO; a bad token is a Peer that is not verified. */
_must_use_ int peers_get(Peers *p, const TokenContext *context, const uint8_t *token, size_t len, Peer **ret);
Peer *peers_find_id(const Peers *p, uint64_t id); /* NULL: forgotten meanwhile */
/* The pair keys between our key own and this peer, derived once. -EINVAL: its DH key is none; -ESTALE: made with a PSK that is none of ours any more; -EIO. */
_must_use_ int peer_keys(Peer *peer, const Keys *keys, const OwnKey *own, const PairKeys **ret);

typedef struct TokenJudgement {
        Reason reason;               /* NONE: authentic, in date, all tags admissible */
        Token token;                 /* all zero when it does not parse */
        TagSet tags;                 /* filled also when the token does not verify but parses; yours */
        const Certificate *certificate; /* NULL in PSK mode, or if unknown */
        usec_t expires_usec;         /* verified: the end of the token, or of the certificate if that is earlier */
        int64_t skew_sec;            /* as in Peer */
} TokenJudgement;

/* Pure but for crypto. -ENOMEM, -EIO. */
_must_use_ int token_judge(const TokenContext *context, const uint8_t *bytes, size_t len, TokenJudgement *ret);
