/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Node certificates (X.509): judged against the trusted CAs, their intermediates and CRLs; what the rest of the program wants to know comes out as plain data. */

#include <stddef.h>
#include <stdint.h>

#include "crypto/signature.h"
#include "util/macro.h"

#define CERTIFICATE_MAX 1096u        /* what a token can hold at most */
#define CERTIFICATE_SKEW_SEC 120     /* clocks may differ by so much */
#define CERTIFICATE_NAMES_MAX 64u    /* of the certificate and its CAs together */
#define CERTIFICATE_TEXT_MAX 4096u
#define CERTIFICATE_SERIAL_MAX 20u   /* RFC 5280 section 4.1.2.2 */
#define TRUST_SIZE_MAX (1u << 20)    /* bytes of PEM: CAs, intermediates, CRLs */

typedef enum CertificateResult {
        CERTIFICATE_OK,
        CERTIFICATE_MALFORMED,       /* no certificate, or not in DER */
        CERTIFICATE_UNFIT,           /* its key is neither Ed25519 nor P-256 or may not sign, a signature in its chain is weak, or it has too many names */
        CERTIFICATE_UNKNOWN_CA,      /* no chain to a self-signed certificate of the trust store */
        CERTIFICATE_EXPIRED,         /* it, or a CA above, is not yet or no longer valid */
        CERTIFICATE_REVOKED,
        CERTIFICATE_CRL_EXPIRED,     /* there is a CRL of its issuer, but none that is in date */
        _CERTIFICATE_RESULT_MAX,
} CertificateResult;
const char *certificate_result_to_string(CertificateResult result); /* for people: "expired" */

typedef enum CertificateNameKind { CERTIFICATE_URI = 1, CERTIFICATE_DNS } CertificateNameKind;

/* One subjectAltName that concerns us: a "trireme:" URI of the certificate or of a CA above it, a DNS name of the certificate. */
typedef struct CertificateName {
        uint8_t kind;                /* CertificateNameKind */
        uint8_t depth;               /* 0: the certificate's own, 1: its issuer's, ... */
        uint16_t offset;             /* in text, NUL-terminated ASCII without control characters */
} CertificateName;

/* All zero but result unless CERTIFICATE_OK. Fixed size: it travels between processes. */
typedef struct CertificateInfo {
        uint32_t result;             /* CertificateResult */
        uint32_t n_names;
        int64_t valid_until_sec;     /* the earliest end in its chain: of a certificate, or of a CRL that was used */
        int64_t own_until_sec;       /* of the certificate itself */
        uint32_t serial_len;
        uint8_t serial[CERTIFICATE_SERIAL_MAX]; /* big-endian, without leading zeros */
        PublicKey key;
        uint8_t reserved[6];
        CertificateName names[CERTIFICATE_NAMES_MAX];
        char text[CERTIFICATE_TEXT_MAX];
} CertificateInfo;

typedef struct TrustStore TrustStore;
/* PEM: certificates and CRLs in any order. Self-signed certificates are trusted, others are intermediates. -EINVAL with *ret_fault (static text): nothing
 * that could be trusted, or a private key, which has no business on a node; -ENOMEM. */
_must_use_ int trust_store_new(const char *pem, size_t n, TrustStore **ret, const char **ret_fault);
TrustStore *trust_store_free(TrustStore *t);
DEFINE_CLEANUP(TrustStore *, trust_store_free);

/* For a process that will not be able to open a file any more: makes libcrypto and the C library read now what they read once. -EIO. */
_must_use_ int certificate_prepare(void);

/* 0, whatever the result; -ENOMEM, -EIO. */
_must_use_ int certificate_verify(const TrustStore *t, const uint8_t *der, size_t n, int64_t now_sec, CertificateInfo *ret);

/* The first certificate of a PEM text as DER. Its length; -EINVAL: there is none; -EFBIG: no token can hold it. */
_must_use_ int certificate_from_pem(const char *pem, size_t n, uint8_t ret[static CERTIFICATE_MAX]);
