/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file is a row of records: a RecordHead, then for each tag the lengths of key and value (1 byte each), key, value. A later record of a number replaces the earlier one. One that
 * was torn by a full disk was never handed out, so it is cut off when read.
 *
 * With a PSK a peer is no more than who holds a Diffie-Hellman key: the same tags can be claimed by every holder of the PSK, and a change of it must not leave a thief's flows alive
 * because somebody else changed too. With a certificate the peer is that. */
#include "enforcer/peer-numbers.h"

#include <errno.h>
#include <search.h>

#include "enforcer/append-file.h"
#include "util/fd.h"
#include "util/log.h"

/* What stood for a peer's word. */
typedef struct Voucher {
        uint32_t mode;                           /* TokenMode */
        uint32_t key_id;                         /* PSK */
        uint8_t certificate[CRYPTO_HASH_SIZE];   /* PKI */
} Voucher;

/* No padding, here and above, so that both can be compared and written as they are. */
typedef struct RecordHead {
        uint32_t number;
        uint16_t families, n_tags;
        Voucher voucher;
        Voucher successor;                       /* by which the same node has proven itself since; all zero: none */
        uint8_t dh[32];                          /* of the node. PSK: part of what a number stands for; PKI: the last that was proven */
} RecordHead;
_Static_assert(sizeof(RecordHead) == 8 + 2 * sizeof(Voucher) + 32, "no padding");

#define RECORD_MAX (sizeof(RecordHead) + TAGS_MAX * (2 + TAG_KEY_MAX + TAG_VALUE_MAX))
#define FILE_MAX (64u << 20)
#define RECORDS_KEPT 4096u /* beyond twice what lives: a node may show a new Diffie-Hellman key with each token, each a record */

typedef struct Entry {
        RecordHead head;
        bool revoked;
        usec_t used_usec;                        /* handed out, or read from the file */
        TagSet tags;
} Entry;

struct PeerNumbers {
        Entry *entries[PEER_NUMBERS_MAX]; /* number 1 first; NULL: free */
        uint32_t n, n_records;            /* n_records: in the file, older ones of a number included */
        void *by_tags;                    /* tsearch(3) */
        int fd;
        bool full_told;
};

static int entry_compare(const void *p, const void *q) {
        const Entry *a = p, *b = q;
        int c = memcmp(&a->head.voucher, &b->head.voucher, sizeof(Voucher));

        if (c == 0 && a->head.voucher.mode == TOKEN_PSK)
                c = memcmp(a->head.dh, b->head.dh, sizeof(a->head.dh));
        if (c != 0)
                return c;
        if (a->head.families != b->head.families)
                return a->head.families < b->head.families ? -1 : 1;
        if (a->tags.n_tags != b->tags.n_tags)
                return a->tags.n_tags < b->tags.n_tags ? -1 : 1;
        for (size_t i = 0; i < a->tags.n_tags; i++) {
                c = strcmp(a->tags.tags[i].key, b->tags.tags[i].key);

                if (c == 0)
                        c = strcmp(a->tags.tags[i].value, b->tags.tags[i].value);
                if (c != 0)
                        return c;
        }
        return 0;
}

static void entry_free(void *p) {
        Entry *e = p;

        tag_set_done(&e->tags);
        free(e);
}

PeerNumbers *peer_numbers_free(PeerNumbers *n) {
        if (!n)
                return NULL;
        tdestroy(n->by_tags, entry_free);
        closep(&n->fd);
        free(n);
        return NULL;
}

/* Takes the tags of *e; equal ones must not be there, and its number must be free. */
static int add(PeerNumbers *n, Entry *e) {
        Entry *copy = malloc(sizeof(*copy));

        if (!copy)
                return -ENOMEM;
        *copy = *e;
        if (!tsearch(copy, &n->by_tags, entry_compare)) {
                free(copy);
                return -ENOMEM;
        }
        n->entries[e->head.number - 1] = copy;
        n->n++;
        e->tags = (TagSet) {};
        return 0;
}

static void remove_entry(PeerNumbers *n, Entry *e) {
        tdelete(e, &n->by_tags, entry_compare);
        n->entries[e->head.number - 1] = NULL;
        n->n--;
        entry_free(e);
}

/* 0: none is free. */
static uint32_t find_free(const PeerNumbers *n) {
        for (uint32_t i = 0; i < PEER_NUMBERS_MAX; i++)
                if (!n->entries[i])
                        return i + 1;
        return 0;
}

/* ---- the file ---- */

static size_t put(uint8_t *buf, size_t n, const void *data, size_t len) {
        memcpy(buf + n, data, len);
        return n + len;
}

static int write_record(int fd, const Entry *e) {
        const TagSet *tags = &e->tags;
        _cleanup_free_ uint8_t *buf = malloc(RECORD_MAX);
        size_t n = 0;

        if (!buf)
                return -ENOMEM;
        n = put(buf, n, &e->head, sizeof(e->head));
        for (size_t i = 0; i < tags->n_tags; i++) {
                const Tag *t = &tags->tags[i];
                uint8_t lengths[2] = { (uint8_t) strlen(t->key), (uint8_t) strlen(t->value) };

                n = put(buf, n, lengths, 2);
                n = put(buf, n, t->key, lengths[0]);
                n = put(buf, n, t->value, lengths[1]);
        }
        return append_file_write(fd, buf, n);
}

/* Returns its length, 0: torn or none, -ENOMEM. */
static int read_record(const uint8_t *data, size_t size, Entry *ret) {
        size_t n = sizeof(ret->head);

        if (size < n)
                return 0;
        memcpy(&ret->head, data, sizeof(ret->head));
        for (uint16_t i = 0; i < ret->head.n_tags; i++) {
                int r;

                if (size - n < 2 || size - n - 2 < (size_t) data[n] + data[n + 1])
                        return 0;
                r = tag_set_add_n(&ret->tags, (const char *) data + n + 2, data[n], (const char *) data + n + 2 + data[n], data[n + 1]);
                if (r < 0)
                        return r == -ENOMEM ? r : 0;
                n += 2u + data[n] + data[n + 1];
        }
        return (int) n;
}

/* 0: what it says cannot be, -ENOMEM. */
static int take_record(PeerNumbers *n, Entry *e) {
        uint32_t i = e->head.number - 1;
        const Entry **same = tfind(e, &n->by_tags, entry_compare);

        if (i >= PEER_NUMBERS_MAX || (same && *same != n->entries[i]))
                return 0;
        if (!n->entries[i])
                return add(n, e) < 0 ? -ENOMEM : 1;
        if (!same)
                return 0;
        n->entries[i]->head = e->head;
        return 1;
}

static int read_file(PeerNumbers *n, const uint8_t *data, size_t size, usec_t now_usec, size_t *ret_good) {
        size_t offset = 0;
        int k = 1;

        while (k > 0) {
                Entry e = { .used_usec = now_usec };
                int r;

                k = read_record(data + offset, size - offset, &e);
                r = k > 0 ? take_record(n, &e) : k;
                tag_set_done(&e.tags);
                if (r <= 0)
                        k = r;
                else {
                        offset += (size_t) k;
                        n->n_records++;
                }
        }
        *ret_good = offset;
        return MIN(k, 0);
}

static int rewrite(PeerNumbers *n) {
        int r = n->fd >= 0 && ftruncate(n->fd, 0) < 0 ? -errno : 0;

        n->n_records = 0;
        for (uint32_t i = 0; n->fd >= 0 && r >= 0 && i < PEER_NUMBERS_MAX; i++)
                if (n->entries[i]) {
                        r = write_record(n->fd, n->entries[i]);
                        n->n_records++;
                }
        return r;
}

static int append(PeerNumbers *n, const Entry *e) {
        if (n->fd < 0)
                return 0;
        if (n->n_records >= 2 * n->n + RECORDS_KEPT)
                return rewrite(n);
        n->n_records++;
        return write_record(n->fd, e);
}

static int load(PeerNumbers *n, const char *path, usec_t now_usec) {
        _cleanup_free_ uint8_t *data = NULL;
        size_t size, good;
        int r = append_file_open(path, FILE_MAX, &n->fd, &data, &size);

        if (r >= 0)
                r = read_file(n, data, size, now_usec, &good);
        if (r < 0)
                return r;
        if (ftruncate(n->fd, (off_t) good) < 0)
                return -errno;
        return n->n_records > 2 * n->n ? rewrite(n) : 0;
}

int peer_numbers_new(const char *path, usec_t now_usec, PeerNumbers **ret) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = calloc(1, sizeof(*n));
        int r;

        if (!n)
                return -ENOMEM;
        n->fd = -1;
        r = path ? load(n, path, now_usec) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(n);
        return 0;
}

/* ---- who vouches ---- */

static Voucher voucher_of(const Peer *peer) {
        Voucher v = { .mode = peer->mode };

        if (peer->mode == TOKEN_PKI)
                memcpy(v.certificate, peer->certificate, sizeof(v.certificate));
        else
                v.key_id = peer->key_id;
        return v;
}

static bool same(const Voucher *a, const Voucher *b) {
        return memcmp(a, b, sizeof(*a)) == 0;
}

static int make(PeerNumbers *n, const Peer *peer, const Entry *like) {
        Entry e = { .head = like->head, .used_usec = like->used_usec };
        int r;

        r = tag_set_merge(&e.tags, &peer->tags);
        e.head.n_tags = (uint16_t) e.tags.n_tags;
        if (r >= 0)
                r = add(n, &e);
        tag_set_done(&e.tags);
        if (r < 0)
                return r;
        r = append(n, n->entries[e.head.number - 1]);
        if (r < 0)
                remove_entry(n, n->entries[e.head.number - 1]);
        return r;
}

uint32_t peer_numbers_get(PeerNumbers *n, const Peer *peer, usec_t now_usec) {
        Entry key = { .head = { .voucher = voucher_of(peer), .families = peer->families }, .used_usec = now_usec, .tags = peer->tags };
        Entry **slot;
        int r;

        if (peer->mode == TOKEN_PSK) /* a certificate's is written down when it is proven: a token can show anybody's */
                memcpy(key.head.dh, peer->dh, sizeof(key.head.dh));
        slot = tfind(&key, &n->by_tags, entry_compare);
        if (slot) {
                (*slot)->revoked = false; /* it is verified again */
                (*slot)->used_usec = now_usec;
                return (*slot)->head.number;
        }
        key.head.number = find_free(n);
        if (key.head.number == 0) {
                if (!n->full_told)
                        log_warning("More than %u different peers were seen; connections with further ones are cut by each change of their unit", PEER_NUMBERS_MAX);
                n->full_told = true;
                return 0;
        }
        r = make(n, peer, &key);
        if (r < 0) {
                log_warning_errno(r, "Cannot keep what a peer is; connections with it are cut by the next change of their unit");
                return 0;
        }
        return key.head.number;
}

bool peer_numbers_is_crowded(const PeerNumbers *n) {
        return n->n > PEER_NUMBERS_MAX / 2;
}

int peer_numbers_collect(PeerNumbers *n, const uint8_t used[static PEER_NUMBERS_MAX / 8], usec_t now_usec) {
        for (uint32_t i = 0; i < PEER_NUMBERS_MAX; i++) {
                Entry *e = n->entries[i];

                if (e && !(used[i / 8] & 1u << i % 8) && now_usec >= e->used_usec + PEER_NUMBER_KEPT_USEC)
                        remove_entry(n, e);
        }
        n->full_told = false;
        return rewrite(n);
}

const TagSet *peer_numbers_find(const PeerNumbers *n, uint32_t number, uint16_t *ret_families) {
        const Entry *e = number > 0 && number <= PEER_NUMBERS_MAX ? n->entries[number - 1] : NULL;

        if (!e || e->revoked)
                return NULL;
        *ret_families = e->head.families;
        return &e->tags;
}

/* Returns whether the entry is another than before. */
static bool entry_prove(Entry *e, const Voucher *v, const uint8_t *dh) {
        bool same_dh = memcmp(e->head.dh, dh, sizeof(e->head.dh)) == 0, stands = same(&e->head.voucher, v) || same(&e->head.successor, v);

        if (e->head.voucher.mode != v->mode || stands == same_dh || (stands && v->mode == TOKEN_PSK))
                return false;
        if (stands) /* the node's next key */
                memcpy(e->head.dh, dh, sizeof(e->head.dh));
        else
                e->head.successor = *v;
        return true;
}

void peer_numbers_prove(PeerNumbers *n, const Peer *peer) {
        const Voucher v = voucher_of(peer);

        for (uint32_t i = 0; i < PEER_NUMBERS_MAX; i++) {
                Entry *e = n->entries[i];
                int r;

                if (!e || !entry_prove(e, &v, peer->dh))
                        continue;
                r = append(n, e);
                if (r < 0) /* holds as long as this process does; then the flow is cut that could have gone on */
                        log_warning_errno(r, "Cannot keep what a peer is now");
        }
}

void peer_numbers_revoke(PeerNumbers *n, const uint8_t certificate[static CRYPTO_HASH_SIZE]) {
        Voucher v = { .mode = TOKEN_PKI };

        memcpy(v.certificate, certificate, sizeof(v.certificate));
        for (uint32_t i = 0; i < PEER_NUMBERS_MAX; i++) {
                Entry *e = n->entries[i];

                if (e)
                        e->revoked = e->revoked || same(&e->head.voucher, &v) || same(&e->head.successor, &v);
        }
}

static bool vouches(const Voucher *v, const TagSet *tags, const Keys *keys, Certificates *certificates, usec_t now_usec) {
        const Certificate *c;
        const Tag *tag;

        if (v->mode != keys_token_mode(keys) || keys->mode == KEY_NONE)
                return false;
        if (v->mode == TOKEN_PSK)
                return keys_find_psk(keys, v->key_id);
        c = certificates_find(certificates, v->certificate, now_usec);
        return c && c->reason == REASON_NONE && constraints_check(&c->constraints, tags, &tag) == CONSTRAINT_OK;
}

unsigned peer_numbers_judge(PeerNumbers *n, const Keys *keys, Certificates *certificates, usec_t now_usec) {
        unsigned n_revoked = 0;

        for (uint32_t i = 0; i < PEER_NUMBERS_MAX; i++) {
                Entry *e = n->entries[i];

                if (!e || e->revoked || vouches(&e->head.voucher, &e->tags, keys, certificates, now_usec) ||
                    vouches(&e->head.successor, &e->tags, keys, certificates, now_usec))
                        continue;
                e->revoked = true;
                n_revoked++;
        }
        return n_revoked;
}
