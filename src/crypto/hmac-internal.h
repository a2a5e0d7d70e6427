/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* HMAC-SHA256 with the key's two blocks hashed in advance, for use inside this layer. */

/* SHA256_Init() and its companions are deprecated since OpenSSL 3.0, but remain the only way to them without memory: EVP_MAC and EVP_MD
 * duplicate the provider's context on the heap at every reuse. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sys/uio.h>

#include "crypto/crypto.h"

struct MacKey {
        SHA256_CTX inner, outer;
        size_t n_owners; /* of one on the heap */
};

/* Wipe m with mac_key_done() whatever this returns. */
_must_use_ int mac_key_init(MacKey *m, const uint8_t key[static CRYPTO_KEY_SIZE]);
void mac_key_done(MacKey *m);

/* SHA-256 over the concatenation of the parts. */
_must_use_ int sha256_parts(const struct iovec *parts, size_t n_parts, uint8_t ret[static CRYPTO_HASH_SIZE]);

static inline struct iovec part(const void *p, size_t n) {
        return (struct iovec) { .iov_base = (void *) p, .iov_len = n };
}

#define PART_STRING(s) part("" s, sizeof(s) - 1) /* a literal without its NUL */
