/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "core/peer-cache.h"
#include "core/table.h"

typedef struct PairKey {
        uint8_t our_dh[32], peer_dh[32];
} PairKey;

typedef struct AddressKey {
        struct in6_addr address;
        uint16_t port, zero;
} AddressKey;

typedef struct Address {
        uint8_t peer_dh[32];
        usec_t expires_usec;
} Address;

struct PeerCache {
        Table *pairs, *peers, *judgements, *addresses;
        Table *nodes; /* how many of the peers are of one node */
};

static void pair_done(Pair *p) {
        MacKey **keys[] = { &p->out_syn, &p->out_syn_ack, &p->out_ack, &p->in_syn, &p->in_syn_ack, &p->in_ack };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                *keys[i] = mac_key_free(*keys[i]);
}

static void pairs_clear(Table *pairs) {
        Pair *p;

        while ((p = table_first(pairs))) {
                pair_done(p);
                table_remove(pairs, p);
        }
}

int peer_cache_new(const uint8_t seed[static 16], PeerCache **ret) {
        _cleanup_(peer_cache_freep) PeerCache *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        r = table_new(PEER_CACHE_PAIRS, sizeof(PairKey), sizeof(Pair), seed, &c->pairs);
        if (r >= 0)
                r = table_new(PEER_CACHE_PEERS, DATAPATH_HASH_SIZE, sizeof(Peer), seed, &c->peers);
        if (r >= 0)
                r = table_new(PEER_CACHE_PEERS, sizeof((Peer) {}.dh), sizeof(uint32_t), seed, &c->nodes);
        if (r >= 0)
                r = table_new(PEER_CACHE_DECISIONS, sizeof(JudgementKey), sizeof(Judgement), seed, &c->judgements);
        if (r >= 0)
                r = table_new(PEER_CACHE_ADDRESSES, sizeof(AddressKey), sizeof(Address), seed, &c->addresses);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

PeerCache *peer_cache_free(PeerCache *c) {
        if (!c)
                return NULL;
        if (c->pairs)
                pairs_clear(c->pairs);
        table_free(c->pairs);
        table_free(c->peers);
        table_free(c->nodes);
        table_free(c->judgements);
        table_free(c->addresses);
        free(c);
        return NULL;
}

const Pair *peer_cache_pair(PeerCache *c, const uint8_t our_dh[static 32], const uint8_t peer_dh[static 32], usec_t now) {
        PairKey key;
        Pair *p;

        memcpy(key.our_dh, our_dh, sizeof(key.our_dh));
        memcpy(key.peer_dh, peer_dh, sizeof(key.peer_dh));
        p = table_get(c->pairs, &key);
        if (!p || p->expires_usec <= now)
                return NULL;
        table_touch(c->pairs, p);
        return p;
}

const Peer *peer_cache_peer(PeerCache *c, const uint8_t token_hash[static DATAPATH_HASH_SIZE], usec_t now) {
        Peer *p = table_get(c->peers, token_hash);

        if (!p || p->expires_usec <= now)
                return NULL;
        table_touch(c->peers, p);
        return p;
}

static const Judgement *judgement_get(PeerCache *c, const JudgementKey *key, usec_t now) {
        Judgement *j = table_get(c->judgements, key);

        if (!j || j->expires_usec <= now)
                return NULL;
        table_touch(c->judgements, j);
        return j;
}

const Judgement *peer_cache_judgement(PeerCache *c, const JudgementKey *key, usec_t now) {
        const Judgement *j = judgement_get(c, key, now);
        JudgementKey any_port = *key;

        if (j)
                return j;
        any_port.port = 0;
        return judgement_get(c, &any_port, now);
}

const uint8_t *peer_cache_address(PeerCache *c, const struct in6_addr *address, uint16_t port, usec_t now) {
        const AddressKey key = { .address = *address, .port = port };
        const Address *a = table_get(c->addresses, &key);

        return a && a->expires_usec > now ? a->peer_dh : NULL;
}

/* The value for key: the one there, or a new one, for which the least recently used makes room. pairs need pair_done() and do not come here. */
static void *table_put(Table *t, const void *key) {
        void *value = table_get(t, key);

        if (value) {
                table_touch(t, value);
                return value;
        }
        value = table_add(t, key);
        if (!value) {
                table_remove(t, table_first(t));
                value = table_add(t, key);
        }
        return value;
}

static int pair_init(Pair *p, const DatapathPairKeys *k, usec_t expires_usec) {
        const struct { const uint8_t *key; MacKey **ret; } rows[] = {
                { k->out_syn, &p->out_syn }, { k->out_syn_ack, &p->out_syn_ack }, { k->out_ack, &p->out_ack },
                { k->in_syn, &p->in_syn }, { k->in_syn_ack, &p->in_syn_ack }, { k->in_ack, &p->in_ack },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                int r = mac_key_new(rows[i].key, rows[i].ret);

                if (r < 0) {
                        pair_done(p);
                        return r;
                }
        }
        p->expires_usec = expires_usec;
        return 0;
}

static int learn_pair(PeerCache *c, const DatapathResolve *question, const DatapathResolved *answer) {
        Pair fresh = {}, *p;
        PairKey key;
        int r;

        memcpy(key.our_dh, question->our_dh, sizeof(key.our_dh));
        memcpy(key.peer_dh, answer->peer_dh, sizeof(key.peer_dh));
        r = pair_init(&fresh, &answer->keys, answer->expires_usec);
        if (r < 0)
                return r;
        p = table_get(c->pairs, &key);
        if (!p && table_count(c->pairs) == PEER_CACHE_PAIRS)
                p = table_first(c->pairs);
        if (p) {
                pair_done(p);
                table_remove(c->pairs, p);
        }
        p = table_add(c->pairs, &key);
        *p = fresh;
        return 0;
}

static void peer_remove(PeerCache *c, Peer *peer) {
        uint32_t *n = table_get(c->nodes, peer->dh);

        if (--*n == 0)
                table_remove(c->nodes, n);
        table_remove(c->peers, peer);
}

/* Room for a token of this node: its own oldest goes if it has more than its share, else the oldest of all if there is none left. */
static void peers_make_room(PeerCache *c, const uint8_t *dh) {
        const uint32_t *n = table_get(c->nodes, dh);
        Peer *peer = table_first(c->peers);

        if (n && *n == PEER_CACHE_NODE_PEERS)
                while (memcmp(peer->dh, dh, sizeof(peer->dh)) != 0)
                        peer = table_next(c->peers, peer);
        else if (table_count(c->peers) < PEER_CACHE_PEERS)
                return;
        peer_remove(c, peer);
}

static void peer_put(PeerCache *c, const uint8_t *hash, const DatapathResolved *answer) {
        Peer *peer = table_get(c->peers, hash);
        uint32_t *n;

        if (peer)
                peer_remove(c, peer);
        peers_make_room(c, answer->peer_dh);
        n = table_get(c->nodes, answer->peer_dh);
        if (!n)
                n = table_add(c->nodes, answer->peer_dh);
        ++*n;
        peer = table_add(c->peers, hash);
        peer->id = answer->peer;
        peer->number = answer->peer_number;
        peer->expires_usec = answer->expires_usec;
        memcpy(peer->dh, answer->peer_dh, sizeof(peer->dh));
}

static int learn_token(PeerCache *c, const DatapathResolve *question, const DatapathResolved *answer) {
        uint8_t hash[DATAPATH_HASH_SIZE];
        int r;

        if (question->token_len > sizeof(question->token))
                return -EINVAL;
        r = crypto_sha256(question->token, question->token_len, hash);
        if (r < 0)
                return r;
        if (memcmp(hash, answer->token_hash, sizeof(hash)) != 0)
                return -EINVAL;
        r = learn_pair(c, question, answer);
        if (r < 0)
                return r;
        peer_put(c, hash, answer);
        return 0;
}

int peer_cache_learn(PeerCache *c, const DatapathResolve *question, const DatapathResolved *answer, usec_t now) {
        bool stranger = question->direction == DATAPATH_PLAIN_SYN || (question->direction == DATAPATH_LOCAL && question->unit == 0);
        JudgementKey key = {
                .unit = question->unit,
                .client = question->client,
                .port = answer->port_dependent || stranger ? question->port : 0, /* what decides about strangers are addresses and ports */
                .direction = (uint16_t) question->direction,
        };
        Judgement *j;
        int r;

        if (!answer->verified || answer->expires_usec <= now)
                return 0;
        if (question->direction == DATAPATH_ACCEPT || question->direction == DATAPATH_CONNECT) {
                r = learn_token(c, question, answer);
                if (r < 0)
                        return r;
                memcpy(key.subject, answer->token_hash, sizeof(key.subject));
        } else if (stranger)
                memcpy(key.subject, &question->address, sizeof(question->address));
        j = table_put(c->judgements, &key);
        j->decision = answer->decision;
        j->client = answer->client;
        j->expires_usec = answer->expires_usec;
        return 0;
}

void peer_cache_meet(PeerCache *c, const struct in6_addr *address, uint16_t port, const uint8_t *peer_dh, usec_t now) {
        const AddressKey key = { .address = *address, .port = port };
        Address *a = table_put(c->addresses, &key);

        if (peer_dh)
                memcpy(a->peer_dh, peer_dh, sizeof(a->peer_dh));
        else
                memset(a->peer_dh, 0, sizeof(a->peer_dh));
        a->expires_usec = now + PEER_CACHE_ADDRESS_USEC;
}

static void table_clear(Table *t) {
        void *value;

        while ((value = table_first(t)))
                table_remove(t, value);
}

void peer_cache_forget(PeerCache *c, uint32_t flags, uint32_t unit) {
        if (flags & DATAPATH_FORGET_KEYS) {
                pairs_clear(c->pairs);
                table_clear(c->peers);
                table_clear(c->nodes);
                table_clear(c->addresses);
                unit = 0; /* a decision about a token that is no longer believed is none */
        }
        if (!(flags & (DATAPATH_FORGET_KEYS | DATAPATH_FORGET_DECISIONS)))
                return;
        for (void *next, *j = table_first(c->judgements); j; j = next) {
                const JudgementKey *key = table_key(c->judgements, j);

                next = table_next(c->judgements, j);
                if (unit == 0 || key->unit == unit || key->client == unit)
                        table_remove(c->judgements, j);
        }
}

void peer_cache_counts(const PeerCache *c, uint32_t *ret_peers, uint32_t *ret_decisions) {
        *ret_peers = (uint32_t) table_count(c->peers);
        *ret_decisions = (uint32_t) table_count(c->judgements);
}
