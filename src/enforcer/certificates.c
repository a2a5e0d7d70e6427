/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/certificates.h"

#include <errno.h>
#include <unistd.h>

#include "enforcer/append-file.h"
#include "util/fd.h"
#include "util/log.h"

#define BUCKETS 2048u
#define FILE_MAX (2u * CERTIFICATES_MAX * (unsigned) sizeof(Record))
#define FAILURE_USEC (5 * USEC_PER_MSEC)  /* 200 a second: at 0.1 ms each 2 % of a processor */
#define FAILURE_BURST_USEC (1 * USEC_PER_SEC)

typedef struct Record { /* the file is a row of them */
        uint32_t len;
        uint8_t der[CERTIFICATE_MAX];
} Record;

struct Certificates {
        Certificate *buckets[BUCKETS];
        unsigned n_good, n_refused;
        int fd;                           /* of the file; -1: none */
        unsigned n_records;
        uint64_t used;
        usec_t failures_usec;             /* when all failures so far are paid for */
};

Reason certificate_reason(CertificateResult result) {
        switch (result) {
        case CERTIFICATE_OK: return REASON_NONE;
        case CERTIFICATE_UNKNOWN_CA: return REASON_UNKNOWN_CA;
        case CERTIFICATE_EXPIRED: return REASON_CERT_EXPIRED;
        case CERTIFICATE_REVOKED: return REASON_REVOKED;
        case CERTIFICATE_CRL_EXPIRED: return REASON_CRL_EXPIRED;
        default: return REASON_BAD_CERTIFICATE;
        }
}

static unsigned *counter(Certificates *c, const Certificate *x) {
        return x->reason == REASON_NONE ? &c->n_good : &c->n_refused;
}

static Certificate **slot_of(Certificates *c, const uint8_t *hash) {
        Certificate **slot = &c->buckets[(hash[0] | (unsigned) hash[1] << 8) % BUCKETS];

        while (*slot && memcmp((*slot)->hash, hash, CRYPTO_HASH_SIZE) != 0)
                slot = &(*slot)->next;
        return slot;
}

static void remove_slot(Certificates *c, Certificate **slot) {
        Certificate *x = *slot;

        *slot = x->next;
        (*counter(c, x))--;
        constraints_done(&x->constraints);
        free(x);
}

Certificates *certificates_free(Certificates *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < BUCKETS; i++)
                while (c->buckets[i])
                        remove_slot(c, &c->buckets[i]);
        closep(&c->fd);
        free(c);
        return NULL;
}

/* A full room is rare, so nothing is kept in order for it. */
static void remove_oldest(Certificates *c, bool good) {
        Certificate **oldest = NULL;

        for (size_t i = 0; i < BUCKETS; i++)
                for (Certificate **slot = &c->buckets[i]; *slot; slot = &(*slot)->next)
                        if (((*slot)->reason == REASON_NONE) == good && (!oldest || (*slot)->used < (*oldest)->used))
                                oldest = slot;
        if (oldest)
                remove_slot(c, oldest);
}

const Certificate *certificates_find(Certificates *c, const uint8_t hash[static CRYPTO_HASH_SIZE], usec_t now_usec) {
        Certificate *x = *slot_of(c, hash);

        if (!x || x->stale || now_usec >= x->expires_usec)
                return NULL;
        x->used = ++c->used;
        return x;
}

static void insert(Certificates *c, Certificate *x) {
        Certificate **slot = slot_of(c, x->hash);

        if (*slot)
                remove_slot(c, slot);
        if (*counter(c, x) >= (x->reason == REASON_NONE ? CERTIFICATES_MAX : CERTIFICATES_REFUSED_MAX))
                remove_oldest(c, x->reason == REASON_NONE);
        (*counter(c, x))++;
        x->used = ++c->used;
        slot = slot_of(c, x->hash); /* what was removed may have been in the same chain */
        *slot = x;
}

/* ---- the file ---- */

static int record_write(Certificates *c, Certificate *x) {
        Record record = { .len = (uint32_t) x->len };
        int r;

        if (x->len > sizeof(record.der))
                return -EINVAL;
        memcpy(record.der, x->der, x->len);
        r = append_file_write(c->fd, &record, sizeof(record));
        x->kept = r >= 0;
        c->n_records += r >= 0;
        return r;
}

/* What is no longer known makes room. */
static int rewrite(Certificates *c) {
        int r = ftruncate(c->fd, 0) < 0 ? -errno : 0;

        c->n_records = 0;
        for (size_t i = 0; i < BUCKETS; i++)
                for (Certificate *x = c->buckets[i]; r >= 0 && x; x = x->next)
                        if (x->reason == REASON_NONE)
                                r = record_write(c, x);
        return r;
}

/* Without it connections are cut later that could have gone on: no reason to refuse its node now. */
static void keep(Certificates *c, Certificate *x) {
        int r;

        if (c->fd < 0 || x->kept || x->reason != REASON_NONE)
                return;
        r = c->n_records >= 2 * CERTIFICATES_MAX ? rewrite(c) : record_write(c, x);
        if (r < 0)
                log_warning_errno(r, "Cannot keep the certificate of a peer");
}

static int restore(Certificates *c, const Record *record) {
        Certificate *x;
        int r;

        if (record->len == 0 || record->len > sizeof(record->der))
                return 0;
        x = calloc(1, sizeof(*x) + record->len);
        if (!x)
                return -ENOMEM;
        x->stale = x->kept = true;
        x->len = record->len;
        memcpy(x->der, record->der, record->len);
        r = crypto_sha256(x->der, x->len, x->hash);
        if (r < 0)
                free(x);
        else
                insert(c, x);
        return r;
}

static int load(Certificates *c, const char *path) {
        _cleanup_free_ uint8_t *data = NULL;
        size_t size;
        int r = append_file_open(path, FILE_MAX, &c->fd, &data, &size);

        for (size_t i = 0; r >= 0 && i + sizeof(Record) <= size; i += sizeof(Record)) {
                Record record;

                memcpy(&record, data + i, sizeof(record));
                r = restore(c, &record);
                c->n_records++;
        }
        if (r >= 0 && size % sizeof(Record) != 0 && ftruncate(c->fd, (off_t) (size - size % sizeof(Record))) < 0) /* torn by a full disk */
                r = -errno;
        return r;
}

int certificates_new(const char *path, Certificates **ret) {
        _cleanup_(certificates_freep) Certificates *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->fd = -1;
        r = path ? load(c, path) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* ---- judgements ---- */

static usec_t judgement_expires(const CertificateInfo *info, Reason reason, const PeerTime *time) {
        int64_t left_sec = info->valid_until_sec + CERTIFICATE_SKEW_SEC - time->now_sec;

        if (reason != REASON_NONE)
                return time->now_usec + CERTIFICATE_REFUSED_USEC;
        return time->now_usec + (left_sec > 0 ? (usec_t) left_sec * USEC_PER_SEC : 0);
}

int certificates_store(Certificates *c, const uint8_t hash[static CRYPTO_HASH_SIZE], const uint8_t *der, size_t len, const CertificateInfo *info,
                       const DenyList *denied, const PeerTime *time) {
        Certificate *x = calloc(1, sizeof(*x) + len);
        const Certificate *old = *slot_of(c, hash);
        bool was_good = old && old->reason == REASON_NONE;
        int r;

        if (!x)
                return -ENOMEM;
        x->reason = certificate_reason(info->result);
        if (x->reason == REASON_NONE && deny_list_names(denied, hash, info))
                x->reason = REASON_REVOKED;
        r = x->reason == REASON_NONE ? constraints_from_certificate(info, &x->constraints) : 0;
        if (r == -EINVAL)
                x->reason = REASON_BAD_CERTIFICATE;
        else if (r < 0) {
                free(x);
                return r;
        }
        memcpy(x->hash, hash, sizeof(x->hash));
        memcpy(x->der, der, len);
        x->len = len;
        x->key = info->key;
        x->expires_usec = judgement_expires(info, x->reason, time);
        x->kept = old && old->kept;
        insert(c, x);
        keep(c, x);
        return was_good && x->reason != REASON_NONE;
}

void certificates_make_stale(Certificates *c) {
        for (size_t i = 0; i < BUCKETS; i++)
                for (Certificate **slot = &c->buckets[i]; *slot;)
                        if ((*slot)->reason != REASON_NONE)
                                remove_slot(c, slot);
                        else {
                                (*slot)->stale = true;
                                slot = &(*slot)->next;
                        }
}

bool certificates_any_stale(const Certificates *c) {
        for (size_t i = 0; i < BUCKETS; i++)
                for (const Certificate *x = c->buckets[i]; x; x = x->next)
                        if (x->stale)
                                return true;
        return false;
}

int certificates_foreach_stale(Certificates *c, certificates_fn fn, void *userdata) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < BUCKETS; i++)
                for (const Certificate *x = c->buckets[i]; r >= 0 && x; x = x->next)
                        if (x->stale)
                                r = fn(x, userdata);
        return r < 0 ? r : 0;
}

bool certificates_may_check(const Certificates *c, usec_t now_usec) {
        return c->failures_usec <= now_usec + FAILURE_BURST_USEC;
}

void certificates_charge(Certificates *c, usec_t now_usec) {
        c->failures_usec = MAX(c->failures_usec, now_usec) + FAILURE_USEC;
}
