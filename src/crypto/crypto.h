/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The only user of libcrypto. Key schedule and MACs of docs/protocol.md. Functions return 0 or a negative errno (-EBADMSG: does not verify;
 * -EINVAL: refused input such as an all-zero DH result; -EIO: libcrypto failed); outputs are untouched on failure. Secrets on the stack are
 * wiped. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/macro.h"

#define CRYPTO_KEY_SIZE 32u
#define CRYPTO_HASH_SIZE 32u
#define CRYPTO_MAC_SIZE 16u

_must_use_ int crypto_random(void *buf, size_t n);              /* getrandom(2) */
void crypto_wipe(void *buf, size_t n);
int crypto_equal(const void *a, const void *b, size_t n);       /* constant time, 1 or 0 */
_must_use_ int crypto_sha256(const void *data, size_t n, uint8_t ret[static CRYPTO_HASH_SIZE]);

/* A keyed HMAC-SHA256, prepared once, used many times (no allocation, no lock: also by several threads). Opaque, wiped on free. */
typedef struct MacKey MacKey;
_must_use_ int mac_key_new(const uint8_t key[static CRYPTO_KEY_SIZE], MacKey **ret);
MacKey *mac_key_ref(MacKey *k); /* for one owner more, under the same lock; each frees it */
MacKey *mac_key_free(MacKey *k);
DEFINE_CLEANUP(MacKey *, mac_key_free);
/* HMAC over the concatenation of the parts, cut to ret_len (16 to 32) bytes. */
_must_use_ int mac_compute(const MacKey *k, const struct iovec *parts, size_t n_parts, uint8_t *ret, size_t ret_len);

typedef struct DhKey {
        uint8_t private_key[32], public_key[32];
} DhKey;
_must_use_ int dh_key_generate(DhKey *ret);
_must_use_ int dh_public_key(const uint8_t private_key[static 32], uint8_t ret[static 32]);

/* PSK: 32 bytes -> what docs/protocol.md derives from it. */
typedef struct PskKeys {
        uint8_t token_key[CRYPTO_KEY_SIZE], pair_key[CRYPTO_KEY_SIZE];
        uint32_t key_id; /* host order of the 4 bytes read big-endian */
} PskKeys;
_must_use_ int psk_keys_derive(const uint8_t psk[static 32], PskKeys *ret);

typedef struct PairKeys { /* "out": we are the initiator, "in": we are the responder */
        uint8_t out_syn[CRYPTO_KEY_SIZE], out_syn_ack[CRYPTO_KEY_SIZE], out_ack[CRYPTO_KEY_SIZE];
        uint8_t in_syn[CRYPTO_KEY_SIZE], in_syn_ack[CRYPTO_KEY_SIZE], in_ack[CRYPTO_KEY_SIZE];
} PairKeys;
typedef struct PairInput {
        uint8_t mode;                 /* TokenMode */
        const uint8_t *psk_pair_key;  /* 32 bytes, PSK mode; NULL in PKI mode */
        const DhKey *own;
        const uint8_t *own_node, *peer_node; /* 16 bytes */
        const uint8_t *peer_dh;       /* 32 bytes */
} PairInput;
_must_use_ int pair_keys_derive(const PairInput *in, PairKeys *ret);

_must_use_ int token_mac(const uint8_t token_key[static CRYPTO_KEY_SIZE], const void *bytes, size_t n, uint8_t ret[static 32]);
_must_use_ int token_mac_verify(const uint8_t token_key[static CRYPTO_KEY_SIZE], const void *bytes, size_t n, const uint8_t mac[static 32]);

/* MACs of the three messages. Views are MESSAGE_VIEW_SIZE (116) bytes; the last one is used without its final 16 bytes. */
_must_use_ int message_mac_syn(const MacKey *k, const uint8_t *syn, uint8_t ret[static CRYPTO_MAC_SIZE]);
_must_use_ int message_mac_syn_ack(const MacKey *k, const uint8_t *syn, const uint8_t *syn_ack, uint8_t ret[static CRYPTO_MAC_SIZE]);
_must_use_ int message_mac_ack(const MacKey *k, const uint8_t *syn, const uint8_t *syn_ack, const uint8_t *ack,
                               uint8_t ret[static CRYPTO_MAC_SIZE]);
