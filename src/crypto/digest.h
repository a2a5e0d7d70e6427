/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* SHA-256 of what comes in pieces. */

#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"

typedef struct Digest Digest;
_must_use_ int digest_new(Digest **ret);
Digest *digest_free(Digest *d);
DEFINE_CLEANUP(Digest *, digest_free);

_must_use_ int digest_update(Digest *d, const void *data, size_t n);
_must_use_ int digest_final(Digest *d, uint8_t ret[static CRYPTO_HASH_SIZE]); /* once; then only digest_free() */
