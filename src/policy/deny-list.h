/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Nodes that are refused whatever their CA says: DeniedNodes= of trireme.conf(5). Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "util/macro.h"

#define DENY_FINGERPRINT_SIZE 32u /* SHA-256 */

typedef struct DeniedNode {
        char *host;                     /* a DNS name of its certificate; NULL: fingerprint counts */
        uint8_t fingerprint[DENY_FINGERPRINT_SIZE];
} DeniedNode;

typedef struct DenyList {
        DeniedNode *nodes;
        size_t n_nodes;
} DenyList;

void deny_list_done(DenyList *l);
/* A host name, or the SHA-256 of a certificate as openssl x509 -fingerprint -sha256 prints it, with or without colons. -EINVAL with *ret_fault (static text), -ENOMEM. */
_must_use_ int deny_list_add(DenyList *l, const char *word, const char **ret_fault);
bool deny_list_equal(const DenyList *a, const DenyList *b);
bool deny_list_names(const DenyList *l, const uint8_t fingerprint[static DENY_FINGERPRINT_SIZE], const CertificateInfo *info);
