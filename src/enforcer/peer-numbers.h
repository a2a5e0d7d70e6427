/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What remote peers said they are, and by which key or certificate, by numbers small enough for the conntrack mark: so the kernel itself remembers for each live flow what it was authorized for, and
 * a change of policy can judge it again. Equal ones have one number. Kept in a file, because flows outlive this process. */

#include <stdbool.h>
#include <stdint.h>

#include "enforcer/peer.h"
#include "policy/tags.h"
#include "util/macro.h"

#define PEER_NUMBERS_MAX 16384u /* some hundred bytes each. Who finds no room has 0: his flows are cut by the next change that concerns their unit */
#define PEER_NUMBER_KEPT_USEC (2 * 3600 * USEC_PER_SEC) /* longer than a token, and so what the datapath remembers of it, can live */

typedef struct PeerNumbers PeerNumbers;

/* path: the file, made if need be; NULL: none. Numbers that were handed out before are known again. -ENOMEM, or what the file says. */
_must_use_ int peer_numbers_new(const char *path, usec_t now_usec, PeerNumbers **ret);
PeerNumbers *peer_numbers_free(PeerNumbers *n);
DEFINE_CLEANUP(PeerNumbers *, peer_numbers_free);

/* The number for a verified peer, in the file before it is handed out; 0: no room, or it cannot be kept. */
uint32_t peer_numbers_get(PeerNumbers *n, const Peer *peer, usec_t now_usec);
/* Whether it is time to see which numbers live connections still bear: number-sweep.h. */
bool peer_numbers_is_crowded(const PeerNumbers *n);
/* Makes room: numbers that are not in used (a bit each, number 1 first) and were not handed out lately are forgotten. -errno: the file could not be written. */
_must_use_ int peer_numbers_collect(PeerNumbers *n, const uint8_t used[static PEER_NUMBERS_MAX / 8], usec_t now_usec);
/* NULL: no such number, or revoked. Borrowed. */
const TagSet *peer_numbers_find(const PeerNumbers *n, uint32_t number, uint16_t *ret_families);

/* A handshake with this peer has ended well, so it has the private half of its Diffie-Hellman key. Flows that were authorized with the same key, but on the word of another
 * certificate or PSK, are its own: they may go on by what it has now. */
void peer_numbers_prove(PeerNumbers *n, const Peer *peer);

/* A certificate was revoked: what was authorized by it is so no longer, whatever its node has now. */
void peer_numbers_revoke(PeerNumbers *n, const uint8_t certificate[static CRYPTO_HASH_SIZE]);
/* Judges all by the keys and certificates that are accepted now. How many of them are revoked since. */
unsigned peer_numbers_judge(PeerNumbers *n, const Keys *keys, Certificates *certificates, usec_t now_usec);
