/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Randomness, comparison, SHA-256 and HMAC-SHA256 (RFC 2104). Nothing here allocates except mac_key_new(). */

#include "crypto/hmac-internal.h" /* first: it decides how OpenSSL's headers are read */

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <sys/random.h>

#define SHA256_BLOCK_SIZE 64u

int crypto_random(void *buf, size_t n) {
        uint8_t *p = buf;

        while (n > 0) {
                ssize_t k = getrandom(p, n, 0);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

void crypto_wipe(void *buf, size_t n) {
        explicit_bzero(buf, n);
}

int crypto_equal(const void *a, const void *b, size_t n) {
        return CRYPTO_memcmp(a, b, n) == 0;
}

static bool sha256_update_parts(SHA256_CTX *ctx, const struct iovec *parts, size_t n_parts) {
        for (size_t i = 0; i < n_parts; i++)
                if (parts[i].iov_len > 0 && !SHA256_Update(ctx, parts[i].iov_base, parts[i].iov_len))
                        return false;
        return true;
}

int sha256_parts(const struct iovec *parts, size_t n_parts, uint8_t ret[static CRYPTO_HASH_SIZE]) {
        uint8_t hash[CRYPTO_HASH_SIZE];
        SHA256_CTX ctx;

        if (!SHA256_Init(&ctx) || !sha256_update_parts(&ctx, parts, n_parts) || !SHA256_Final(hash, &ctx))
                return -EIO;
        memcpy(ret, hash, sizeof(hash));
        return 0;
}

int crypto_sha256(const void *data, size_t n, uint8_t ret[static CRYPTO_HASH_SIZE]) {
        return sha256_parts((struct iovec[]) { part(data, n) }, 1, ret);
}

int mac_key_init(MacKey *m, const uint8_t key[static CRYPTO_KEY_SIZE]) {
        uint8_t inner_pad[SHA256_BLOCK_SIZE], outer_pad[SHA256_BLOCK_SIZE];
        bool ok;

        for (size_t i = 0; i < SHA256_BLOCK_SIZE; i++) {
                uint8_t byte = i < CRYPTO_KEY_SIZE ? key[i] : 0;

                inner_pad[i] = byte ^ 0x36;
                outer_pad[i] = byte ^ 0x5c;
        }
        ok = SHA256_Init(&m->inner) && SHA256_Update(&m->inner, inner_pad, sizeof(inner_pad)) &&
             SHA256_Init(&m->outer) && SHA256_Update(&m->outer, outer_pad, sizeof(outer_pad));
        crypto_wipe(inner_pad, sizeof(inner_pad));
        crypto_wipe(outer_pad, sizeof(outer_pad));
        return ok ? 0 : -EIO;
}

void mac_key_done(MacKey *m) {
        crypto_wipe(m, sizeof(*m));
}

int mac_key_new(const uint8_t key[static CRYPTO_KEY_SIZE], MacKey **ret) {
        _cleanup_(mac_key_freep) MacKey *m = NULL;
        int r;

        m = malloc(sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->n_owners = 1;
        r = mac_key_init(m, key);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

MacKey *mac_key_ref(MacKey *m) {
        m->n_owners++;
        return m;
}

MacKey *mac_key_free(MacKey *m) {
        if (!m || --m->n_owners > 0)
                return NULL;
        mac_key_done(m);
        free(m);
        return NULL;
}

int mac_compute(const MacKey *k, const struct iovec *parts, size_t n_parts, uint8_t *ret, size_t ret_len) {
        SHA256_CTX inner, outer;
        uint8_t hash[CRYPTO_HASH_SIZE];
        bool ok;

        if (ret_len < CRYPTO_MAC_SIZE || ret_len > CRYPTO_HASH_SIZE)
                return -EINVAL;
        inner = k->inner;
        outer = k->outer;
        ok = sha256_update_parts(&inner, parts, n_parts) && SHA256_Final(hash, &inner) &&
             SHA256_Update(&outer, hash, sizeof(hash)) && SHA256_Final(hash, &outer);
        if (ok)
                memcpy(ret, hash, ret_len);
        /* Either state would let its finder continue a MAC under this key. */
        crypto_wipe(&inner, sizeof(inner));
        crypto_wipe(&outer, sizeof(outer));
        crypto_wipe(hash, sizeof(hash));
        return ok ? 0 : -EIO;
}
