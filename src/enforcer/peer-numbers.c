/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file is a row of records, the first for number 1: a Voucher, families and number of tags (2 bytes each, host order), then for each tag the lengths of key and value (1 byte
 * each), key, value. A record that was torn by a full disk was never handed out, so it is cut off when read. */
#include "enforcer/peer-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <sys/stat.h>

#include "util/fd.h"
#include "util/log.h"

/* What stood for a peer's word; no padding, so that it can be compared and written as it is. */
typedef struct Voucher {
        uint32_t mode;                           /* TokenMode */
        uint32_t key_id;                         /* PSK */
        uint8_t certificate[CRYPTO_HASH_SIZE];   /* PKI */
} Voucher;

#define RECORD_HEAD (sizeof(Voucher) + 4)
#define RECORD_MAX (RECORD_HEAD + TAGS_MAX * (2 + TAG_KEY_MAX + TAG_VALUE_MAX))
#define FILE_MAX (64u << 20)

typedef struct Entry {
        uint32_t number;
        bool revoked;
        Voucher voucher;
        uint16_t families;
        TagSet tags;
} Entry;

struct PeerNumbers {
        Entry *entries[PEER_NUMBERS_MAX]; /* number 1 first */
        uint32_t n;
        void *by_tags;                    /* tsearch(3) */
        int fd;
        bool full_told;
};

static int entry_compare(const void *p, const void *q) {
        const Entry *a = p, *b = q;
        int c = memcmp(&a->voucher, &b->voucher, sizeof(Voucher));

        if (c != 0)
                return c;
        if (a->families != b->families)
                return a->families < b->families ? -1 : 1;
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

/* Takes the tags of *e; equal ones must not be there. */
static int add(PeerNumbers *n, Entry *e) {
        Entry *copy = malloc(sizeof(*copy));

        if (!copy)
                return -ENOMEM;
        *copy = *e;
        copy->number = n->n + 1;
        if (!tsearch(copy, &n->by_tags, entry_compare)) {
                free(copy);
                return -ENOMEM;
        }
        n->entries[n->n++] = copy;
        e->tags = (TagSet) {};
        return 0;
}

static void remove_last(PeerNumbers *n) {
        Entry *e = n->entries[--n->n];

        tdelete(e, &n->by_tags, entry_compare);
        entry_free(e);
}

/* ---- the file ---- */

static size_t put(uint8_t *buf, size_t n, const void *data, size_t len) {
        memcpy(buf + n, data, len);
        return n + len;
}

/* All of it, or nothing. */
static int append(int fd, const uint8_t *data, size_t size) {
        off_t end = lseek(fd, 0, SEEK_END);
        ssize_t k;
        int r;

        if (end < 0)
                return -errno;
        k = write(fd, data, size);
        if (k == (ssize_t) size)
                return 0;
        r = k < 0 ? -errno : -ENOSPC;
        if (ftruncate(fd, end) < 0)
                log_error_errno(errno, "Cannot cut a torn record off");
        return r;
}

static int write_record(int fd, const Entry *e) {
        const TagSet *tags = &e->tags;
        _cleanup_free_ uint8_t *buf = malloc(RECORD_MAX);
        uint16_t n_tags = (uint16_t) tags->n_tags;
        size_t n = 0;

        if (!buf)
                return -ENOMEM;
        n = put(buf, n, &e->voucher, sizeof(Voucher));
        n = put(buf, n, &e->families, 2);
        n = put(buf, n, &n_tags, 2);
        for (size_t i = 0; i < tags->n_tags; i++) {
                const Tag *t = &tags->tags[i];
                uint8_t lengths[2] = { (uint8_t) strlen(t->key), (uint8_t) strlen(t->value) };

                n = put(buf, n, lengths, 2);
                n = put(buf, n, t->key, lengths[0]);
                n = put(buf, n, t->value, lengths[1]);
        }
        return append(fd, buf, n);
}

/* Returns its length, 0: torn or none, -ENOMEM. */
static int read_record(const uint8_t *data, size_t size, Entry *ret) {
        uint16_t n_tags;
        size_t n = RECORD_HEAD;

        if (size < n)
                return 0;
        memcpy(&ret->voucher, data, sizeof(Voucher));
        memcpy(&ret->families, data + n - 4, 2);
        memcpy(&n_tags, data + n - 2, 2);
        for (uint16_t i = 0; i < n_tags; i++) {
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

static int read_file(PeerNumbers *n, const uint8_t *data, size_t size, size_t *ret_good) {
        size_t offset = 0;
        int k = 1;

        while (k > 0 && n->n < PEER_NUMBERS_MAX) {
                Entry e = {};

                k = read_record(data + offset, size - offset, &e);
                if (k > 0 && add(n, &e) < 0)
                        k = -ENOMEM;
                tag_set_done(&e.tags);
                if (k > 0)
                        offset += (size_t) k;
        }
        *ret_good = offset;
        return MIN(k, 0);
}

static int load(PeerNumbers *n, const char *path) {
        _cleanup_free_ uint8_t *data = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        size_t good;
        ssize_t k;
        int r;

        n->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (n->fd < 0)
                return -errno;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > (off_t) FILE_MAX)
                return -EINVAL;
        data = malloc((size_t) st.st_size + 1);
        if (!data)
                return -ENOMEM;
        k = read(fd, data, (size_t) st.st_size);
        if (k < 0)
                return -errno;
        r = read_file(n, data, (size_t) k, &good);
        if (r < 0)
                return r;
        return ftruncate(n->fd, (off_t) good) < 0 ? -errno : 0;
}

int peer_numbers_new(const char *path, PeerNumbers **ret) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = calloc(1, sizeof(*n));
        int r;

        if (!n)
                return -ENOMEM;
        n->fd = -1;
        r = path ? load(n, path) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(n);
        return 0;
}

static Voucher voucher_of(const Peer *peer) {
        Voucher v = { .mode = peer->mode };

        if (peer->mode == TOKEN_PKI)
                memcpy(v.certificate, peer->certificate, sizeof(v.certificate));
        else
                v.key_id = peer->key_id;
        return v;
}

static int make(PeerNumbers *n, const Peer *peer) {
        Entry e = { .voucher = voucher_of(peer), .families = peer->families };
        int r;

        r = tag_set_merge(&e.tags, &peer->tags);
        if (r >= 0)
                r = add(n, &e);
        tag_set_done(&e.tags);
        if (r < 0 || n->fd < 0)
                return r;
        r = write_record(n->fd, n->entries[n->n - 1]);
        if (r < 0)
                remove_last(n);
        return r;
}

uint32_t peer_numbers_get(PeerNumbers *n, const Peer *peer) {
        const Entry key = { .voucher = voucher_of(peer), .families = peer->families, .tags = peer->tags };
        Entry **slot = tfind(&key, &n->by_tags, entry_compare);
        int r;

        if (slot) {
                (*slot)->revoked = false; /* it is verified again */
                return (*slot)->number;
        }
        if (n->n >= PEER_NUMBERS_MAX) {
                if (!n->full_told)
                        log_warning("More than %u different peers were seen; connections with further ones are cut by each change of their unit", PEER_NUMBERS_MAX);
                n->full_told = true;
                return 0;
        }
        r = make(n, peer);
        if (r < 0) {
                log_warning_errno(r, "Cannot keep what a peer is; connections with it are cut by the next change of their unit");
                return 0;
        }
        return n->n;
}

const TagSet *peer_numbers_find(const PeerNumbers *n, uint32_t number, uint16_t *ret_families) {
        const Entry *e = number > 0 && number <= n->n ? n->entries[number - 1] : NULL;

        if (!e || e->revoked)
                return NULL;
        *ret_families = e->families;
        return &e->tags;
}

void peer_numbers_revoke(PeerNumbers *n, const uint8_t certificate[static CRYPTO_HASH_SIZE]) {
        for (uint32_t i = 0; i < n->n; i++) {
                Entry *e = n->entries[i];

                e->revoked = e->revoked || (e->voucher.mode == TOKEN_PKI && memcmp(e->voucher.certificate, certificate, CRYPTO_HASH_SIZE) == 0);
        }
}

void peer_numbers_revoke_unknown(PeerNumbers *n, const Keys *keys) {
        for (uint32_t i = 0; i < n->n; i++) {
                const Voucher *v = &n->entries[i]->voucher;

                if (v->mode != keys_token_mode(keys) || (v->mode == TOKEN_PSK && !keys_find_psk(keys, v->key_id)))
                        n->entries[i]->revoked = true;
        }
}
