/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crypto/signature.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <stdbool.h>

#include "crypto/crypto.h"
#include "crypto/openssl.h"

#define CONTEXT "trireme 1 token"
#define SIGNED_MAX 2048u /* more than any token has */
#define HALF (SIGNATURE_SIZE / 2)
#define ED25519_SIZE 32u

struct NodeKey {
        EVP_PKEY *pkey;
        PublicKey public_key;
};

int public_key_from_openssl(EVP_PKEY *pkey, PublicKey *ret) {
        PublicKey key = {};
        char group[32] = "";
        size_t n = 0;
        int r = -EINVAL;

        if (EVP_PKEY_is_a(pkey, "ED25519")) {
                n = sizeof(key.bytes);
                key.algorithm = KEY_ED25519;
                if (EVP_PKEY_get_raw_public_key(pkey, key.bytes, &n) == 1 && n == ED25519_SIZE)
                        r = 0;
        } else if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 && streq(group, SN_X9_62_prime256v1)) {
                _cleanup_(BN_freep) BIGNUM *x = NULL, *y = NULL;

                key.algorithm = KEY_P256;
                key.bytes[0] = POINT_CONVERSION_UNCOMPRESSED; /* not asked for as it is encoded: that may be compressed */
                if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                    BN_bn2binpad(x, key.bytes + 1, 32) == 32 && BN_bn2binpad(y, key.bytes + 33, 32) == 32)
                        r = 0;
        }
        ERR_clear_error();
        if (r >= 0)
                *ret = key;
        return r;
}

static EVP_PKEY *p256_from_point(const uint8_t *point) {
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        char group[] = SN_X9_62_prime256v1;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *) point, PUBLIC_KEY_MAX),
                OSSL_PARAM_construct_end(),
        };
        EVP_PKEY *pkey = NULL;

        if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return NULL;
        return pkey;
}

static EVP_PKEY *public_key_to_openssl(const PublicKey *key) {
        switch (key->algorithm) {
        case KEY_ED25519: return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, ED25519_SIZE);
        case KEY_P256: return p256_from_point(key->bytes);
        default: return NULL;
        }
}

/* The two numbers in the DER that libcrypto wants. Its length, or a negative errno. */
static int p256_to_der(const uint8_t *signature, uint8_t **ret) {
        _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *s = ECDSA_SIG_new();
        _cleanup_(BN_freep) BIGNUM *a = BN_bin2bn(signature, HALF, NULL), *b = BN_bin2bn(signature + HALF, HALF, NULL);
        int n;

        if (!s || !a || !b || ECDSA_SIG_set0(s, a, b) != 1)
                return -ENOMEM;
        a = b = NULL; /* s has them */
        n = i2d_ECDSA_SIG(s, ret);
        return n > 0 ? n : -ENOMEM;
}

static int p256_from_der(const uint8_t *der, size_t n, uint8_t ret[static SIGNATURE_SIZE]) {
        _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long) n);

        if (!s || BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, HALF) != (int) HALF || BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + HALF, HALF) != (int) HALF)
                return -EIO;
        return 0;
}

/* Ed25519 takes its message in one piece. */
static int frame_message(const void *bytes, size_t n, uint8_t buf[static SIGNED_MAX]) {
        if (n > SIGNED_MAX - (sizeof(CONTEXT) - 1))
                return -EMSGSIZE;
        memcpy(mempcpy(buf, CONTEXT, sizeof(CONTEXT) - 1), bytes, n);
        return (int) (n + sizeof(CONTEXT) - 1);
}

static const EVP_MD *digest_for(uint8_t algorithm) {
        return algorithm == KEY_P256 ? EVP_sha256() : NULL; /* Ed25519 hashes by itself */
}

int token_signature_verify(const PublicKey *key, const void *bytes, size_t n, const uint8_t signature[static SIGNATURE_SIZE]) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = public_key_to_openssl(key);
        _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t message[SIGNED_MAX], *der = NULL;
        int size = frame_message(bytes, n, message), len = SIGNATURE_SIZE, r;

        if (size < 0)
                return -EBADMSG;
        if (pkey && key->algorithm == KEY_P256)
                len = p256_to_der(signature, &der);
        if (!pkey)
                r = -EINVAL;
        else if (len < 0 || !ctx || EVP_DigestVerifyInit(ctx, NULL, digest_for(key->algorithm), NULL, pkey) != 1)
                r = -EIO;
        else
                r = EVP_DigestVerify(ctx, der ?: signature, (size_t) len, message, (size_t) size) == 1 ? 0 : -EBADMSG;
        OPENSSL_free(der);
        ERR_clear_error();
        return r;
}

int token_sign(const NodeKey *k, const void *bytes, size_t n, uint8_t ret[static SIGNATURE_SIZE]) {
        _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t message[SIGNED_MAX], out[128], fixed[SIGNATURE_SIZE];
        size_t len = sizeof(out);
        int size = frame_message(bytes, n, message), r = 0;

        if (size < 0)
                return size;
        if (!ctx || EVP_DigestSignInit(ctx, NULL, digest_for(k->public_key.algorithm), NULL, k->pkey) != 1 ||
            EVP_DigestSign(ctx, out, &len, message, (size_t) size) != 1)
                r = -EIO;
        else if (k->public_key.algorithm == KEY_P256)
                r = p256_from_der(out, len, fixed);
        else if (len == sizeof(fixed))
                memcpy(fixed, out, sizeof(fixed));
        else
                r = -EIO;
        ERR_clear_error();
        if (r >= 0)
                memcpy(ret, fixed, sizeof(fixed));
        return r;
}

static int no_passphrase(char *buf, int size, int rwflag, void *userdata) {
        *(bool *) userdata = true;
        return -1;
}

int node_key_parse(const char *pem, size_t n, NodeKey **ret, const char **ret_fault) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, (int) n);
        _cleanup_(node_key_freep) NodeKey *k = calloc(1, sizeof(*k));
        bool passphrase = false;

        if (!bio || !k)
                return -ENOMEM;
        k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &passphrase);
        ERR_clear_error();
        if (!k->pkey) {
                *ret_fault = passphrase ? "it needs a passphrase; store it without one, encrypted with systemd-creds" : "it is no private key in PEM";
                return -EINVAL;
        }
        if (public_key_from_openssl(k->pkey, &k->public_key) < 0) {
                *ret_fault = "it is neither an Ed25519 nor a P-256 key";
                return -EINVAL;
        }
        *ret = TAKE_PTR(k);
        return 0;
}

NodeKey *node_key_free(NodeKey *k) {
        if (!k)
                return NULL;
        EVP_PKEY_free(k->pkey); /* wipes it */
        free(k);
        return NULL;
}

const PublicKey *node_key_public(const NodeKey *k) {
        return &k->public_key;
}
