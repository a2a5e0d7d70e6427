/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A token is parsed, then authenticated, then judged by date and content; the first fault decides. What did not verify is kept in a small room of its own. */
#include "enforcer/peer.h"

#include <errno.h>

#define BUCKETS 1024u
#define ID_SLOTS 8192u /* more than both rooms hold; of two peers in one slot the older one is no longer found for records */

typedef struct Room { /* least recently used goes first */
        Peer *newest, *oldest;
        unsigned n, max;
} Room;

struct Peers {
        Peer *buckets[BUCKETS];
        Peer *by_id[ID_SLOTS];
        Room verified, claimed;
        uint64_t last_id;
};

static Reason token_dates(const Token *t, int64_t now_sec) {
        if (t->valid_until_sec <= t->valid_from_sec || t->valid_until_sec - t->valid_from_sec > TOKEN_LIFE_MAX_SEC)
                return REASON_EXPIRED;
        if (now_sec < t->valid_from_sec - TOKEN_SKEW_SEC || now_sec >= t->valid_until_sec + TOKEN_SKEW_SEC)
                return REASON_EXPIRED;
        return REASON_NONE;
}

static int token_authenticate(const Keys *keys, const Token *t, Reason *ret) {
        int r;

        if (t->mode != TOKEN_PSK || keys->mode != KEY_PSK) {
                *ret = REASON_WRONG_MODE;
                return 0;
        }
        if (t->key_id != keys->psk.key_id || t->proof_len != TOKEN_MAC_SIZE) {
                *ret = REASON_UNVERIFIED;
                return 0;
        }
        r = token_mac_verify(keys->psk.token_key, t->bytes, t->signed_len, t->proof);
        if (r == -EBADMSG)
                *ret = REASON_UNVERIFIED;
        return r == -EBADMSG ? 0 : r;
}

/* The first that fails decides: form, proof, tags, dates. What a token without proof says about itself is kept as claimed, never as a reason. */
int token_judge(const Keys *keys, const uint8_t *bytes, size_t len, int64_t now_sec, Token *ret_token, TagSet *ret_tags, Reason *ret_reason) {
        Reason reason = REASON_NONE;
        int r, tags;

        if (token_parse(bytes, len, ret_token) < 0) {
                *ret_reason = REASON_BAD_TOKEN;
                return 0;
        }
        r = token_authenticate(keys, ret_token, &reason);
        if (r < 0)
                return r;
        tags = tag_set_from_token(ret_token, ret_tags);
        if (tags == -ENOMEM)
                return tags;
        if (reason == REASON_NONE && tags < 0)
                reason = tags == -EPROTONOSUPPORT ? REASON_UNKNOWN_NAMESPACE : REASON_BAD_TOKEN;
        *ret_reason = reason == REASON_NONE ? token_dates(ret_token, now_sec) : reason;
        return 0;
}

static unsigned hash_bucket(const uint8_t *hash) { /* SHA-256 of what an attacker may choose, but not aim */
        return (hash[0] | (unsigned) hash[1] << 8) % BUCKETS;
}

static Room *peer_room(Peers *p, const Peer *peer) {
        return peer->verified ? &p->verified : &p->claimed;
}

static void room_unlink(Room *room, Peer *peer) {
        *(peer->newer ? &peer->newer->older : &room->newest) = peer->older;
        *(peer->older ? &peer->older->newer : &room->oldest) = peer->newer;
        peer->newer = peer->older = NULL;
        room->n--;
}

static void room_push(Room *room, Peer *peer) {
        peer->older = room->newest;
        *(room->newest ? &room->newest->newer : &room->oldest) = peer;
        room->newest = peer;
        room->n++;
}

static void peer_destroy(Peer *peer) {
        tag_set_done(&peer->tags);
        crypto_wipe(&peer->keys, sizeof(peer->keys));
        free(peer);
}

static void peers_remove(Peers *p, Peer *peer) {
        Peer **slot = &p->buckets[hash_bucket(peer->hash)];

        while (*slot != peer)
                slot = &(*slot)->next;
        *slot = peer->next;
        if (p->by_id[peer->id % ID_SLOTS] == peer)
                p->by_id[peer->id % ID_SLOTS] = NULL;
        room_unlink(peer_room(p, peer), peer);
        peer_destroy(peer);
}

int peers_new(Peers **ret) {
        Peers *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->verified.max = PEERS_MAX;
        p->claimed.max = PEERS_CLAIMED_MAX;
        *ret = p;
        return 0;
}

void peers_clear(Peers *p) {
        while (p->verified.oldest)
                peers_remove(p, p->verified.oldest);
        while (p->claimed.oldest)
                peers_remove(p, p->claimed.oldest);
}

Peers *peers_free(Peers *p) {
        if (!p)
                return NULL;
        peers_clear(p);
        free(p);
        return NULL;
}

static Peer *peers_lookup(const Peers *p, const uint8_t *hash) {
        for (Peer *peer = p->buckets[hash_bucket(hash)]; peer; peer = peer->next)
                if (memcmp(peer->hash, hash, CRYPTO_HASH_SIZE) == 0)
                        return peer;
        return NULL;
}

static usec_t token_expires(const Token *t, const PeerTime *time) {
        return time->now_usec + (usec_t) (t->valid_until_sec + TOKEN_SKEW_SEC - time->now_sec) * USEC_PER_SEC;
}

static int peer_judge(const Keys *keys, const uint8_t *bytes, size_t len, const PeerTime *time, Peer *peer) {
        Token token = {};
        int r = token_judge(keys, bytes, len, time->now_sec, &token, &peer->tags, &peer->reason);

        if (r < 0)
                return r;
        peer->verified = peer->reason == REASON_NONE;
        if (peer->verified)
                peer->expires_usec = token_expires(&token, time);
        peer->families = token.families;
        memcpy(peer->node, token.node, sizeof(peer->node));
        memcpy(peer->dh, token.node_dh, sizeof(peer->dh));
        return 0;
}

static Peer *peers_insert(Peers *p, Peer *peer) {
        Room *room = peer_room(p, peer);
        Peer **bucket = &p->buckets[hash_bucket(peer->hash)];

        if (room->n >= room->max)
                peers_remove(p, room->oldest);
        peer->id = ++p->last_id;
        p->by_id[peer->id % ID_SLOTS] = peer;
        peer->next = *bucket;
        *bucket = peer;
        room_push(room, peer);
        return peer;
}

int peers_get(Peers *p, const Keys *keys, const uint8_t *token, size_t len, const PeerTime *time, Peer **ret) {
        uint8_t hash[CRYPTO_HASH_SIZE];
        Peer *peer;
        int r;

        r = crypto_sha256(token, len, hash);
        if (r < 0)
                return r;
        peer = peers_lookup(p, hash);
        if (peer && peer->verified && time->now_usec < peer->expires_usec) {
                room_unlink(&p->verified, peer);
                room_push(&p->verified, peer);
                *ret = peer;
                return 0;
        }
        if (peer) /* out of date, or not verified then: judge it again, clocks and keys may be others now */
                peers_remove(p, peer);
        peer = calloc(1, sizeof(*peer));
        if (!peer)
                return -ENOMEM;
        memcpy(peer->hash, hash, sizeof(hash));
        r = peer_judge(keys, token, len, time, peer);
        if (r < 0) {
                peer_destroy(peer);
                return r;
        }
        *ret = peers_insert(p, peer);
        return 0;
}

const Peer *peers_find_id(const Peers *p, uint64_t id) {
        const Peer *peer = p->by_id[id % ID_SLOTS];

        return peer && peer->id == id ? peer : NULL;
}

int peer_keys(Peer *peer, const Keys *keys, const uint8_t *own_node, const DhKey *own, const PairKeys **ret) {
        const PairInput in = {
                .mode = TOKEN_PSK, .psk_pair_key = keys->psk.pair_key, .own = own,
                .own_node = own_node, .peer_node = peer->node, .peer_dh = peer->dh,
        };
        PairKeys derived;
        int r;

        if (!peer->has_keys || memcmp(peer->keys_dh, own->public_key, sizeof(peer->keys_dh)) != 0) {
                r = pair_keys_derive(&in, &derived);
                if (r < 0)
                        return r;
                peer->keys = derived;
                peer->has_keys = true;
                memcpy(peer->keys_dh, own->public_key, sizeof(peer->keys_dh));
                crypto_wipe(&derived, sizeof(derived));
        }
        *ret = &peer->keys;
        return 0;
}
