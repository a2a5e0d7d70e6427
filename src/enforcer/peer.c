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

/* Of a token that is out of date, 0 of one whose dates make no sense. */
static int64_t token_skew(const Token *t, int64_t now_sec) {
        if (t->valid_until_sec <= t->valid_from_sec || t->valid_until_sec - t->valid_from_sec > TOKEN_LIFE_MAX_SEC)
                return 0;
        return now_sec < t->valid_from_sec ? t->valid_from_sec - now_sec : t->valid_until_sec - now_sec;
}

static int authenticate_psk(const TokenContext *c, const Token *t, Reason *ret) {
        const PskKeys *psk = keys_find_psk(c->keys, t->key_id);
        int r;

        if (!psk || t->proof_len != TOKEN_MAC_SIZE) {
                *ret = REASON_UNVERIFIED;
                return 0;
        }
        r = token_mac_verify(psk->token_key, t->bytes, t->signed_len, t->proof);
        if (r == -EBADMSG)
                *ret = REASON_UNVERIFIED;
        return r == -EBADMSG ? 0 : r;
}

static int authenticate_pki(const TokenContext *c, TokenJudgement *j) {
        const Token *t = &j->token;
        uint8_t hash[CRYPTO_HASH_SIZE];
        int r = crypto_sha256(t->certificate, t->certificate_len, hash);

        if (r < 0)
                return r;
        j->certificate = certificates_find(c->certificates, hash, c->time.now_usec);
        if (!j->certificate)
                j->reason = REASON_NO_ANSWER;
        else if (j->certificate->reason != REASON_NONE)
                j->reason = j->certificate->reason;
        else if (memcmp(t->node, hash, sizeof(t->node)) != 0)
                j->reason = REASON_BAD_TOKEN;
        else if (t->proof_len != SIGNATURE_SIZE)
                j->reason = REASON_UNVERIFIED;
        else if (!certificates_may_check(c->certificates, c->time.now_usec))
                j->reason = REASON_OVERLOAD;
        else {
                r = token_signature_verify(&j->certificate->key, t->bytes, t->signed_len, t->proof);
                if (r != -EBADMSG && r != -EINVAL)
                        return r;
                certificates_charge(c->certificates, c->time.now_usec);
                j->reason = REASON_UNVERIFIED;
        }
        return 0;
}

static int token_authenticate(const TokenContext *c, TokenJudgement *j) {
        if (c->keys->mode == KEY_NONE || j->token.mode != keys_token_mode(c->keys)) {
                j->reason = REASON_WRONG_MODE;
                return 0;
        }
        return j->token.mode == TOKEN_PSK ? authenticate_psk(c, &j->token, &j->reason) : authenticate_pki(c, j);
}

static Reason token_constraints(const TokenJudgement *j) {
        static const Reason reasons[] = {
                [CONSTRAINT_OK] = REASON_NONE,
                [CONSTRAINT_NO_TAGS] = REASON_CERT_NO_TAGS,
                [CONSTRAINT_TAGS] = REASON_CERT_TAGS,
                [CONSTRAINT_HOST] = REASON_CERT_HOST,
        };
        const Tag *tag;

        return j->certificate ? reasons[constraints_check(&j->certificate->constraints, &j->tags, &tag)] : REASON_NONE;
}

static usec_t token_expires(const TokenContext *c, const TokenJudgement *j) {
        usec_t end = c->time.now_usec + (usec_t) (j->token.valid_until_sec + TOKEN_SKEW_SEC - c->time.now_sec) * USEC_PER_SEC;

        return j->certificate ? MIN(end, j->certificate->expires_usec) : end;
}

/* The first that fails decides: form, proof, tags, dates. What a token without proof says about itself is kept as claimed, never as a reason. */
int token_judge(const TokenContext *context, const uint8_t *bytes, size_t len, TokenJudgement *ret) {
        TokenJudgement j = { .reason = REASON_NONE };
        int r;

        if (token_parse(bytes, len, &j.token) < 0) {
                *ret = (TokenJudgement) { .reason = REASON_BAD_TOKEN };
                return 0;
        }
        r = token_authenticate(context, &j);
        if (r < 0)
                return r;
        r = tag_set_from_token(&j.token, &j.tags);
        if (r == -ENOMEM)
                return r;
        if (j.reason == REASON_NONE && r < 0)
                j.reason = r == -EPROTONOSUPPORT ? REASON_UNKNOWN_NAMESPACE : REASON_BAD_TOKEN;
        if (j.reason == REASON_NONE)
                j.reason = token_constraints(&j);
        if (j.reason == REASON_NONE)
                j.reason = token_dates(&j.token, context->time.now_sec);
        if (j.reason == REASON_EXPIRED)
                j.skew_sec = token_skew(&j.token, context->time.now_sec);
        if (j.reason == REASON_NONE)
                j.expires_usec = token_expires(context, &j);
        *ret = j;
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
        free(peer->unit_text);
        free(peer->labels_text);
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

static void peers_clear(Peers *p) {
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

static int peer_judge(const TokenContext *context, const uint8_t *bytes, size_t len, Peer *peer) {
        TokenJudgement j;
        int r = token_judge(context, bytes, len, &j);

        if (r < 0)
                return r;
        peer->reason = j.reason;
        peer->verified = j.reason == REASON_NONE;
        peer->expires_usec = j.expires_usec;
        peer->skew_sec = j.skew_sec;
        peer->tags = j.tags;
        peer->families = j.token.families;
        peer->mode = j.token.mode;
        peer->key_id = j.token.key_id;
        memcpy(peer->node, j.token.node, sizeof(peer->node));
        memcpy(peer->dh, j.token.node_dh, sizeof(peer->dh));
        if (j.certificate)
                memcpy(peer->certificate, j.certificate->hash, sizeof(peer->certificate));
        return len < TOKEN_PAIR_AT + TOKEN_PAIR_SIZE ? 0 : crypto_sha256(bytes + TOKEN_PAIR_AT, TOKEN_PAIR_SIZE, peer->pair);
}

static bool is_accepted(const TokenContext *c, const Peer *peer) {
        const Certificate *x;

        if (peer->mode != keys_token_mode(c->keys))
                return false;
        if (peer->mode == TOKEN_PSK)
                return keys_find_psk(c->keys, peer->key_id);
        x = certificates_find(c->certificates, peer->certificate, c->time.now_usec);
        return x && x->reason == REASON_NONE;
}

/* A node that shows token after token gets rid of its own, never of others'. */
static Peer *peers_superfluous(const Room *room, const Peer *peer) {
        Peer *own = NULL;
        unsigned n = 0;

        for (Peer *other = peer->verified && room->n >= PEERS_NODE_MAX ? room->oldest : NULL; other; other = other->newer)
                if (memcmp(other->node, peer->node, sizeof(peer->node)) == 0) {
                        own = own ?: other;
                        n++;
                }
        return n >= PEERS_NODE_MAX ? own : room->n >= room->max ? room->oldest : NULL;
}

static Peer *peers_insert(Peers *p, Peer *peer) {
        Room *room = peer_room(p, peer);
        Peer **bucket = &p->buckets[hash_bucket(peer->hash)], *superfluous = peers_superfluous(room, peer);

        if (superfluous)
                peers_remove(p, superfluous);
        peer->id = ++p->last_id;
        p->by_id[peer->id % ID_SLOTS] = peer;
        peer->next = *bucket;
        *bucket = peer;
        room_push(room, peer);
        return peer;
}

int peers_get(Peers *p, const TokenContext *context, const uint8_t *token, size_t len, Peer **ret) {
        uint8_t hash[CRYPTO_HASH_SIZE];
        Peer *peer;
        int r;

        r = crypto_sha256(token, len, hash);
        if (r < 0)
                return r;
        peer = peers_lookup(p, hash);
        if (peer && peer->verified && context->time.now_usec < peer->expires_usec && is_accepted(context, peer)) {
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
        r = peer_judge(context, token, len, peer);
        if (r < 0) {
                peer_destroy(peer);
                return r;
        }
        *ret = peers_insert(p, peer);
        return 0;
}

static void peer_refuse(Peers *p, Peer *peer, Reason reason) {
        room_unlink(&p->verified, peer);
        peer->verified = false;
        peer->reason = reason;
        room_push(&p->claimed, peer);
        if (p->claimed.n > p->claimed.max)
                peers_remove(p, p->claimed.oldest);
}

void peers_revoke(Peers *p, const uint8_t certificate[static CRYPTO_HASH_SIZE], Reason reason) {
        for (Peer *peer = p->verified.newest, *older; peer; peer = older) {
                older = peer->older;
                if (peer->mode == TOKEN_PKI && memcmp(peer->certificate, certificate, CRYPTO_HASH_SIZE) == 0)
                        peer_refuse(p, peer, reason);
        }
}

unsigned peers_revoke_unknown(Peers *p, const Keys *keys) {
        unsigned n = 0;

        for (Peer *peer = p->verified.newest, *older; peer; peer = older) {
                older = peer->older;
                if (peer->mode == keys_token_mode(keys) && (peer->mode == TOKEN_PKI || keys_find_psk(keys, peer->key_id)))
                        continue;
                peer_refuse(p, peer, peer->mode == keys_token_mode(keys) ? REASON_UNVERIFIED : REASON_WRONG_MODE);
                n++;
        }
        return n;
}

Peer *peers_find_id(const Peers *p, uint64_t id) {
        Peer *peer = p->by_id[id % ID_SLOTS];

        return peer && peer->id == id ? peer : NULL;
}

/* Both ends hold both keys, since each has verified the other's token: either does, if both choose the same. */
static const PskKeys *pair_psk(const Keys *keys, const OwnKey *own, const Peer *peer) {
        return keys_find_psk(keys, MIN(own->key_id, peer->key_id));
}

int peer_keys(Peer *peer, const Keys *keys, const OwnKey *own, const PairKeys **ret) {
        const PskKeys *psk = peer->mode == TOKEN_PSK ? pair_psk(keys, own, peer) : NULL;
        const PairInput in = {
                .mode = (uint8_t) peer->mode, .psk_pair_key = psk ? psk->pair_key : NULL, .own = &own->dh,
                .own_node = own->node, .peer_node = peer->node, .peer_dh = peer->dh,
        };
        uint8_t name[32];
        PairKeys derived;
        int r;

        own_key_name(own, name);
        if (peer->mode == TOKEN_PSK && !psk)
                return -ESTALE;
        if (!peer->has_keys || memcmp(peer->keys_own, name, sizeof(name)) != 0) {
                r = pair_keys_derive(&in, &derived);
                if (r < 0)
                        return r;
                peer->keys = derived;
                peer->has_keys = true;
                memcpy(peer->keys_own, name, sizeof(name));
                crypto_wipe(&derived, sizeof(derived));
        }
        *ret = &peer->keys;
        return 0;
}
