/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The key schedule of docs/protocol.md: HKDF-SHA256 (RFC 5869) over X25519 (RFC 7748). */

#include "crypto/hmac-internal.h" /* first: it decides how OpenSSL's headers are read */

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>

enum { MODE_PSK = 1, MODE_PKI = 2 }; /* docs/protocol.md, "Unit token" */

#define NODE_SIZE 16u

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);

typedef struct Secret {
        uint8_t bytes[CRYPTO_KEY_SIZE];
} Secret;

static void secret_wipe(Secret *s) {
        crypto_wipe(s, sizeof(*s));
}

/* Every salt of the protocol has 32 bytes or none, and HMAC pads a shorter key with zeros: none is 32 zeros. */
static const uint8_t no_salt[CRYPTO_KEY_SIZE];

static int hkdf_extract(const uint8_t salt[static CRYPTO_KEY_SIZE], const uint8_t ikm[static CRYPTO_KEY_SIZE], MacKey *ret_prk) {
        _cleanup_(mac_key_done) MacKey extract = {};
        _cleanup_(secret_wipe) Secret prk = {};
        int r;

        r = mac_key_init(&extract, salt);
        if (r < 0)
                return r;
        r = mac_compute(&extract, (struct iovec[]) { part(ikm, CRYPTO_KEY_SIZE) }, 1, prk.bytes, sizeof(prk.bytes));
        if (r < 0)
                return r;
        return mac_key_init(ret_prk, prk.bytes);
}

/* HKDF-Expand to one block at most, which is all that is needed: T(1) = HMAC(prk, info || 0x01). */
static int hkdf_expand(const MacKey *prk, const struct iovec *info, size_t n_info, uint8_t *ret, size_t ret_len) {
        _cleanup_(secret_wipe) Secret block = {};
        struct iovec parts[8];
        int r;

        if (n_info >= ELEMENTSOF(parts) || ret_len > sizeof(block.bytes))
                return -EINVAL;
        memcpy(parts, info, n_info * sizeof(*info));
        parts[n_info] = PART_STRING("\x01");
        r = mac_compute(prk, parts, n_info + 1, block.bytes, sizeof(block.bytes));
        if (r < 0)
                return r;
        memcpy(ret, block.bytes, ret_len);
        return 0;
}

int psk_keys_derive(const uint8_t psk[static 32], PskKeys *ret) {
        _cleanup_(mac_key_done) MacKey prk = {};
        PskKeys keys;
        uint8_t id[4];
        int r;

        r = hkdf_extract(no_salt, psk, &prk);
        if (r < 0)
                return r;
        r = hkdf_expand(&prk, (struct iovec[]) { PART_STRING("trireme 1 psk pair") }, 1, keys.pair_key, sizeof(keys.pair_key));
        if (r >= 0)
                r = hkdf_expand(&prk, (struct iovec[]) { PART_STRING("trireme 1 psk token") }, 1, keys.token_key, sizeof(keys.token_key));
        if (r >= 0)
                r = hkdf_expand(&prk, (struct iovec[]) { PART_STRING("trireme 1 psk id") }, 1, id, sizeof(id));
        if (r >= 0) {
                keys.key_id = (uint32_t) id[0] << 24 | (uint32_t) id[1] << 16 | (uint32_t) id[2] << 8 | id[3];
                *ret = keys;
        }
        crypto_wipe(&keys, sizeof(keys));
        return r;
}

int dh_public_key(const uint8_t private_key[static 32], uint8_t ret[static 32]) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        uint8_t public_key[32];
        size_t n = sizeof(public_key);

        pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
        if (!pkey || EVP_PKEY_get_raw_public_key(pkey, public_key, &n) != 1 || n != sizeof(public_key)) {
                ERR_clear_error();
                return -EIO;
        }
        memcpy(ret, public_key, sizeof(public_key));
        return 0;
}

int dh_key_generate(DhKey *ret) {
        DhKey key;
        int r;

        r = crypto_random(key.private_key, sizeof(key.private_key));
        if (r >= 0)
                r = dh_public_key(key.private_key, key.public_key);
        if (r >= 0)
                *ret = key;
        crypto_wipe(&key, sizeof(key));
        return r;
}

/* -EINVAL: the peer's key is one of the few that give an all-zero secret (RFC 7748 section 6.1), which libcrypto refuses, too. */
static int dh_shared_secret(const uint8_t private_key[static 32], const uint8_t peer[static 32], Secret *ret) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *own_key = NULL, *peer_key = NULL;
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;
        size_t n = sizeof(ret->bytes);
        int r = 0;

        own_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
        peer_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, 32);
        ctx = own_key ? EVP_PKEY_CTX_new(own_key, NULL) : NULL;
        if (!peer_key || !ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer_key) != 1)
                r = -EIO;
        else if (EVP_PKEY_derive(ctx, ret->bytes, &n) != 1 || n != sizeof(ret->bytes) || crypto_equal(ret->bytes, no_salt, sizeof(ret->bytes)))
                r = -EINVAL;
        ERR_clear_error();
        return r;
}

static int pair_extract(const PairInput *in, MacKey *ret_prk) {
        _cleanup_(secret_wipe) Secret dh = {}, salt = {};
        struct iovec parts[3] = { PART_STRING("trireme 1 pair"), part(&in->mode, 1), };
        size_t n_parts = 2;
        int r;

        if (in->mode != MODE_PSK && in->mode != MODE_PKI)
                return -EINVAL;
        if ((in->mode == MODE_PSK) != (in->psk_pair_key != NULL))
                return -EINVAL;
        if (in->psk_pair_key)
                parts[n_parts++] = part(in->psk_pair_key, CRYPTO_KEY_SIZE);
        r = sha256_parts(parts, n_parts, salt.bytes);
        if (r < 0)
                return r;
        r = dh_shared_secret(in->own->private_key, in->peer_dh, &dh);
        if (r < 0)
                return r;
        return hkdf_extract(salt.bytes, dh.bytes, ret_prk);
}

static int pair_expand(const MacKey *prk, const PairInput *in, bool initiator, const char *label, uint8_t *ret) {
        const uint8_t *own_dh = in->own->public_key;
        struct iovec info[] = {
                PART_STRING("trireme 1 "),
                part(label, strlen(label) + 1),
                part(initiator ? in->own_node : in->peer_node, NODE_SIZE),
                part(initiator ? in->peer_node : in->own_node, NODE_SIZE),
                part(initiator ? own_dh : in->peer_dh, CRYPTO_KEY_SIZE),
                part(initiator ? in->peer_dh : own_dh, CRYPTO_KEY_SIZE),
        };

        return hkdf_expand(prk, info, ELEMENTSOF(info), ret, CRYPTO_KEY_SIZE);
}

int pair_keys_derive(const PairInput *in, PairKeys *ret) {
        _cleanup_(mac_key_done) MacKey prk = {};
        PairKeys keys;
        const struct {
                bool initiator;
                const char *label;
                uint8_t *key;
        } wanted[] = {
                { true,  "syn",     keys.out_syn },
                { true,  "syn-ack", keys.out_syn_ack },
                { true,  "ack",     keys.out_ack },
                { false, "syn",     keys.in_syn },
                { false, "syn-ack", keys.in_syn_ack },
                { false, "ack",     keys.in_ack },
        };
        int r;

        r = pair_extract(in, &prk);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(wanted); i++)
                r = pair_expand(&prk, in, wanted[i].initiator, wanted[i].label, wanted[i].key);
        if (r >= 0)
                *ret = keys;
        crypto_wipe(&keys, sizeof(keys));
        return r;
}
