/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a small certification authority does: makes keys, issues certificates and CRLs. All in PEM, in memory; where it is kept is the caller's. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/signature.h"
#include "util/macro.h"

/* A private key as PKCS#8. Wipe it with secret_free(). -ENOMEM, -EIO. */
_must_use_ int private_key_new(KeyAlgorithm algorithm, char **ret);
char *secret_free(char *s);
DEFINE_CLEANUP(char *, secret_free);

typedef struct Issuer {
        const char *key, *certificate;  /* PEM */
} Issuer;

typedef struct IssueRequest {
        const char *name;               /* subject's common name; 1 to 64 bytes */
        const char *const *names;       /* subjectAltName, each "URI:trireme:..." or "DNS:..."; NULL-terminated, NULL: none */
        bool ca;
        int64_t from_sec, until_sec;
} IssueRequest;

/* A certificate for the public half of key (PEM, private); issuer NULL: signed by itself. -EINVAL with *ret_fault (static text): a key, certificate or name that cannot be
 * used; -ENOMEM, -EIO. */
_must_use_ int certificate_issue(const IssueRequest *request, const char *key, const Issuer *issuer, char **ret, const char **ret_fault);

/* A list of what issuer revoked: hexadecimal serials, one each line. number grows with each list. */
_must_use_ int crl_issue(const Issuer *issuer, const char *serials, int64_t number, int64_t from_sec, int64_t until_sec, char **ret, const char **ret_fault);

/* The serial of a certificate in PEM, in upper-case hexadecimal as openssl prints it. -EINVAL, -ENOMEM. */
_must_use_ int certificate_serial(const char *pem, char **ret);
