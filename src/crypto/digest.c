/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crypto/hmac-internal.h" /* first: it decides how OpenSSL's headers are read */

#include "crypto/digest.h"

#include <errno.h>

struct Digest {
        SHA256_CTX ctx;
};

int digest_new(Digest **ret) {
        _cleanup_(digest_freep) Digest *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;
        if (!SHA256_Init(&d->ctx))
                return -EIO;
        *ret = TAKE_PTR(d);
        return 0;
}

Digest *digest_free(Digest *d) {
        free(d);
        return NULL;
}

int digest_update(Digest *d, const void *data, size_t n) {
        return SHA256_Update(&d->ctx, data, n) ? 0 : -EIO;
}

int digest_final(Digest *d, uint8_t ret[static CRYPTO_HASH_SIZE]) {
        uint8_t hash[CRYPTO_HASH_SIZE];

        if (!SHA256_Final(hash, &d->ctx))
                return -EIO;
        memcpy(ret, hash, sizeof(hash));
        return 0;
}
