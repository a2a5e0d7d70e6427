/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Certificates of peers, as trireme-verify judged them, remembered by their SHA-256. Those that were refused have a room of their own, so that a flood of them
 * displaces no good one. Good ones are kept in a file, because the flows that they admitted outlive this process: it must be able to judge them anew. */

#include <stdbool.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "policy/constraint.h"
#include "policy/deny-list.h"
#include "policy/reason.h"
#include "util/clock.h"
#include "util/macro.h"

#define CERTIFICATES_MAX 4096u          /* good ones, some 2 KiB each. Flows of a node that found no room are cut by the next change of CAs, CRLs or DeniedNodes= */
#define CERTIFICATES_REFUSED_MAX 256u
#define CERTIFICATE_REFUSED_USEC (30 * USEC_PER_SEC) /* then a clock or a CRL may be another */

typedef struct PeerTime {
        int64_t now_sec;                /* CLOCK_REALTIME */
        usec_t now_usec;                /* CLOCK_BOOTTIME */
} PeerTime;

typedef struct Certificate {
        struct Certificate *next;       /* in the hash chain */
        uint8_t hash[CRYPTO_HASH_SIZE];
        uint64_t used;                  /* grows with each use */
        Reason reason;                  /* NONE: good */
        bool stale;                     /* what it was judged by has changed */
        bool kept;                      /* it is in the file */
        usec_t expires_usec;            /* of this judgement */
        PublicKey key;
        Constraints constraints;
        size_t len;
        uint8_t der[];
} Certificate;

typedef struct Certificates Certificates;
/* path: the file, made if need be; NULL: none. What was good when it was written is stale now. -ENOMEM, or what the file says. */
_must_use_ int certificates_new(const char *path, Certificates **ret);
Certificates *certificates_free(Certificates *c);
DEFINE_CLEANUP(Certificates *, certificates_free);

/* NULL: not judged yet, or not by what holds now. Borrowed until the next store. */
const Certificate *certificates_find(Certificates *c, const uint8_t hash[static CRYPTO_HASH_SIZE], usec_t now_usec);
/* What trireme-verify says of a certificate. denied: refused all the same. 1: it was good before and is refused now; 0; -ENOMEM. */
_must_use_ int certificates_store(Certificates *c, const uint8_t hash[static CRYPTO_HASH_SIZE], const uint8_t *der, size_t len, const CertificateInfo *info,
                                  const DenyList *denied, const PeerTime *time);
bool certificates_any_stale(const Certificates *c);

/* The CAs, the CRLs or the clock changed: refused ones are forgotten, good ones must be judged again. */
void certificates_make_stale(Certificates *c);
typedef int (*certificates_fn)(const Certificate *certificate, void *userdata);
int certificates_foreach_stale(Certificates *c, certificates_fn fn, void *userdata); /* until it returns a negative errno */

/* Signatures that do not verify are checked under a budget: who copied a good certificate can make us check as many as he can send. */
bool certificates_may_check(const Certificates *c, usec_t now_usec);
void certificates_charge(Certificates *c, usec_t now_usec);

Reason certificate_reason(CertificateResult result);
