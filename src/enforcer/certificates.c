/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/certificates.h"

#include <errno.h>

#define BUCKETS 512u
#define FAILURE_USEC (5 * USEC_PER_MSEC)  /* 200 a second: at 0.1 ms each 2 % of a processor */
#define FAILURE_BURST_USEC (1 * USEC_PER_SEC)

struct Certificates {
        Certificate *buckets[BUCKETS];
        unsigned n_good, n_refused;
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

int certificates_new(Certificates **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
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

static usec_t judgement_expires(const CertificateInfo *info, Reason reason, const PeerTime *time) {
        int64_t left_sec = info->valid_until_sec + CERTIFICATE_SKEW_SEC - time->now_sec;

        if (reason != REASON_NONE)
                return time->now_usec + CERTIFICATE_REFUSED_USEC;
        return time->now_usec + (left_sec > 0 ? (usec_t) left_sec * USEC_PER_SEC : 0);
}

int certificates_store(Certificates *c, const uint8_t hash[static CRYPTO_HASH_SIZE], const uint8_t *der, size_t len, const CertificateInfo *info,
                       const PeerTime *time) {
        Certificate *x = calloc(1, sizeof(*x) + len), **slot = slot_of(c, hash);
        bool was_good = *slot && (*slot)->reason == REASON_NONE;
        int r;

        if (!x)
                return -ENOMEM;
        x->reason = certificate_reason(info->result);
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
        x->used = ++c->used;
        x->expires_usec = judgement_expires(info, x->reason, time);
        if (*slot)
                remove_slot(c, slot);
        if (*counter(c, x) >= (x->reason == REASON_NONE ? CERTIFICATES_MAX : CERTIFICATES_REFUSED_MAX))
                remove_oldest(c, x->reason == REASON_NONE);
        (*counter(c, x))++;
        slot = slot_of(c, hash); /* what was removed may have been in the same chain */
        *slot = x;
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
