/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Signatures of unit tokens in PKI mode (docs/protocol.md): Ed25519, or ECDSA on P-256 with SHA-256, always 64 bytes, so that whoever verifies one parses nothing. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define SIGNATURE_SIZE 64u    /* Ed25519: RFC 8032; P-256: r and s, 32 bytes each, big-endian */
#define PUBLIC_KEY_MAX 65u

typedef enum KeyAlgorithm { KEY_ED25519 = 1, KEY_P256 } KeyAlgorithm;

/* Has no padding: it travels between processes and is compared as a whole. */
typedef struct PublicKey {
        uint8_t algorithm;             /* KeyAlgorithm */
        uint8_t bytes[PUBLIC_KEY_MAX]; /* Ed25519: 32 bytes; P-256: the uncompressed point; the rest is zero */
} PublicKey;

/* -EBADMSG: does not verify; -EINVAL: the key is none; -EIO. */
_must_use_ int token_signature_verify(const PublicKey *key, const void *bytes, size_t n, const uint8_t signature[static SIGNATURE_SIZE]);

/* The node's private key. Opaque, wiped on free. */
typedef struct NodeKey NodeKey;
/* One key in PEM without a passphrase. -EINVAL with *ret_fault (static text): it is none that can be used, as RSA or another curve; -ENOMEM. */
_must_use_ int node_key_parse(const char *pem, size_t n, NodeKey **ret, const char **ret_fault);
NodeKey *node_key_free(NodeKey *k);
DEFINE_CLEANUP(NodeKey *, node_key_free);
const PublicKey *node_key_public(const NodeKey *k);
_must_use_ int token_sign(const NodeKey *k, const void *bytes, size_t n, uint8_t ret[static SIGNATURE_SIZE]);
