/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Ownership of OpenSSL's objects, and what the users of X.509 in this layer share. Not for other layers. */

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/signature.h"
#include "util/macro.h"

DEFINE_CLEANUP(ASN1_INTEGER *, ASN1_INTEGER_free);
DEFINE_CLEANUP(ASN1_TIME *, ASN1_TIME_free);
DEFINE_CLEANUP(BIGNUM *, BN_free);
DEFINE_CLEANUP(BIO *, BIO_free);
DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free);
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);
DEFINE_CLEANUP(X509 *, X509_free);
DEFINE_CLEANUP(X509_CRL *, X509_CRL_free);

/* -EINVAL: neither Ed25519 nor P-256. */
_must_use_ int public_key_from_openssl(EVP_PKEY *pkey, PublicKey *ret);
