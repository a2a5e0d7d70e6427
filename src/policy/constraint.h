/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a certificate lets its node say: URI names "trireme:KEY=PATTERN" of the certificate and of the CAs above it, and its DNS names for @sys:host. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "policy/tags.h"
#include "util/macro.h"

typedef struct Constraint { /* one pattern */
        char *key;                      /* full key; NULL: any label and plug-in tag */
        char *value;
        bool prefix;                    /* value is how it begins */
        uint8_t depth;                  /* 0: of the certificate, 1: of its issuer, ... */
} Constraint;

typedef struct Constraints {
        Constraint patterns[CERTIFICATE_NAMES_MAX];
        char *hosts[CERTIFICATE_NAMES_MAX];
        size_t n_patterns, n_hosts;
} Constraints;
void constraints_done(Constraints *c);

/* -EINVAL: a "trireme:" URI that is malformed, so that nobody can tell what its issuer meant; -ENOMEM. */
_must_use_ int constraints_from_certificate(const CertificateInfo *info, Constraints *ret);

/* One URI: "trireme:" KEY "=" PATTERN, or "trireme:*", percent-encoded (RFC 3986). A '*' at the end that is not encoded stands for any rest. KEY is a label, or has a plug-in's
 * namespace; @sys: tags are the node's to say. -EINVAL, -ENOMEM. */
_must_use_ int constraint_parse(const char *uri, uint8_t depth, Constraint *ret);
void constraint_done(Constraint *c);

/* The URI for a label as people write it: "app=web", "env=dev*", "*". -EINVAL: it is none; -ENOMEM. */
_must_use_ int constraint_to_uri(const char *label, char **ret);

typedef enum ConstraintFault {
        CONSTRAINT_OK,
        CONSTRAINT_NO_TAGS,             /* the certificate allows no label at all */
        CONSTRAINT_TAGS,                /* not this one */
        CONSTRAINT_HOST,                /* @sys:host is none of its names */
} ConstraintFault;
/* The first tag that the certificate does not allow; *ret_tag is borrowed from tags. */
ConstraintFault constraints_check(const Constraints *c, const TagSet *tags, const Tag **ret_tag);

/* "app=web", "env=dev*", "*": as people read it. NULL: no memory. */
char *constraint_format(const Constraint *c);
