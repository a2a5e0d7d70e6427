/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What exactly is MAC-ed: docs/protocol.md, "MACs" and "Unit token". */

#include <endian.h>
#include <errno.h>

#include "crypto/hmac-internal.h"

#define VIEW_SIZE 116u
#define VIEW_SIZE_WITHOUT_MAC (VIEW_SIZE - CRYPTO_MAC_SIZE)

int token_mac(const uint8_t token_key[static CRYPTO_KEY_SIZE], const void *bytes, size_t n, uint8_t ret[static 32]) {
        _cleanup_(mac_key_done) MacKey m = {};
        int r;

        r = mac_key_init(&m, token_key);
        if (r < 0)
                return r;
        return mac_compute(&m, (struct iovec[]) { PART_STRING("trireme 1 token"), part(bytes, n) }, 2, ret, 32);
}

int token_mac_verify(const uint8_t token_key[static CRYPTO_KEY_SIZE], const void *bytes, size_t n, const uint8_t mac[static 32]) {
        uint8_t expected[32];
        int r;

        r = token_mac(token_key, bytes, n, expected);
        if (r < 0)
                return r;
        r = crypto_equal(expected, mac, sizeof(expected)) ? 0 : -EBADMSG;
        crypto_wipe(expected, sizeof(expected)); /* a valid MAC for bytes that somebody else chose */
        return r;
}

int message_mac_syn(const MacKey *k, const uint8_t *syn, uint8_t ret[static CRYPTO_MAC_SIZE]) {
        const uint32_t open = htobe32(VIEW_SIZE_WITHOUT_MAC);

        return mac_compute(k, (struct iovec[]) {
                PART_STRING("trireme 1 syn"),
                part(&open, sizeof(open)), part(syn, VIEW_SIZE_WITHOUT_MAC),
        }, 3, ret, CRYPTO_MAC_SIZE);
}

int message_mac_syn_ack(const MacKey *k, const uint8_t *syn, const uint8_t *syn_ack, uint8_t ret[static CRYPTO_MAC_SIZE]) {
        const uint32_t whole = htobe32(VIEW_SIZE), open = htobe32(VIEW_SIZE_WITHOUT_MAC);

        return mac_compute(k, (struct iovec[]) {
                PART_STRING("trireme 1 syn-ack"),
                part(&whole, sizeof(whole)), part(syn, VIEW_SIZE),
                part(&open, sizeof(open)), part(syn_ack, VIEW_SIZE_WITHOUT_MAC),
        }, 5, ret, CRYPTO_MAC_SIZE);
}

int message_mac_ack(const MacKey *k, const uint8_t *syn, const uint8_t *syn_ack, const uint8_t *ack, uint8_t ret[static CRYPTO_MAC_SIZE]) {
        const uint32_t whole = htobe32(VIEW_SIZE), open = htobe32(VIEW_SIZE_WITHOUT_MAC);

        return mac_compute(k, (struct iovec[]) {
                PART_STRING("trireme 1 ack"),
                part(&whole, sizeof(whole)), part(syn, VIEW_SIZE),
                part(&whole, sizeof(whole)), part(syn_ack, VIEW_SIZE),
                part(&open, sizeof(open)), part(ack, VIEW_SIZE_WITHOUT_MAC),
        }, 7, ret, CRYPTO_MAC_SIZE);
}
