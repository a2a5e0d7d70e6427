/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "wire/message.h"
#include "wire/test-random.h"

static void sha256_gives_the_values_of_fips_180(void **state) {
        static const uint8_t empty[] = {
                0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        };
        static const uint8_t abc[] = {
                0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        };
        uint8_t hash[32];

        assert_int_equal(crypto_sha256(NULL, 0, hash), 0);
        assert_memory_equal(hash, empty, 32);
        assert_int_equal(crypto_sha256("abc", 3, hash), 0);
        assert_memory_equal(hash, abc, 32);
}

/* RFC 4231 4.3 has a key shorter than 32 bytes, which padding with zeros does not change (RFC 2104 section 2). */
static void hmac_gives_the_value_of_rfc_4231(void **state) {
        static const uint8_t key[32] = "Jefe", expected[32] = {
                0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        };
        struct iovec whole = { (void *) "what do ya want for nothing?", 28 };
        struct iovec parts[] = { { (void *) "what do ya ", 11 }, { NULL, 0 }, { (void *) "want for nothing?", 17 } };
        _cleanup_(mac_key_freep) MacKey *k = NULL;
        uint8_t mac[33] = {};

        assert_int_equal(mac_key_new(key, &k), 0);
        for (int i = 0; i < 2; i++) { /* the key serves again */
                assert_int_equal(mac_compute(k, &whole, 1, mac, 32), 0);
                assert_memory_equal(mac, expected, 32);
                memset(mac, 0, sizeof(mac));
                assert_int_equal(mac_compute(k, parts, 3, mac, 16), 0);
                assert_memory_equal(mac, expected, 16);
                assert_int_equal(mac[16], 0);
        }
}

static void a_mac_is_never_cut_below_16_bytes(void **state) {
        static const uint8_t key[32] = { 1 };
        _cleanup_(mac_key_freep) MacKey *k = NULL;
        uint8_t mac[40] = {}, zero[40] = {};

        assert_int_equal(mac_key_new(key, &k), 0);
        assert_int_equal(mac_compute(k, NULL, 0, mac, 15), -EINVAL);
        assert_int_equal(mac_compute(k, NULL, 0, mac, 33), -EINVAL);
        assert_memory_equal(mac, zero, sizeof(mac));
        assert_int_equal(mac_compute(k, NULL, 0, mac, 16), 0);
        assert_int_equal(mac_compute(k, NULL, 0, mac, 32), 0);
}

static void comparison_sees_every_bit(void **state) {
        uint8_t a[32] = {}, b[32] = {};

        assert_true(crypto_equal(a, b, 32));
        for (size_t i = 0; i < 256; i++) {
                b[i / 8] ^= (uint8_t) (1u << i % 8);
                assert_false(crypto_equal(a, b, 32));
                b[i / 8] = 0;
        }
        assert_true(crypto_equal(a, b, 0));
}

static void randomness_fills_the_buffer_and_no_more(void **state) {
        static uint8_t buf[1000], again[1000]; /* more than one getrandom(2) is sure to give at once */
        size_t n_same = 0;

        buf[999] = again[999] = 0x5a;
        assert_int_equal(crypto_random(buf, 999), 0);
        assert_int_equal(crypto_random(again, 999), 0);
        for (size_t i = 0; i < 999; i++)
                n_same += buf[i] == again[i];
        assert_true(n_same < 50); /* about 4 expected */
        assert_int_equal(buf[999], 0x5a);
        assert_int_equal(crypto_random(NULL, 0), 0);
}

static void wiping_leaves_zeros(void **state) {
        uint8_t buf[4] = { 1, 2, 3, 4 };

        crypto_wipe(buf, 3);
        assert_memory_equal(buf, ((uint8_t[]) { 0, 0, 0, 4 }), 4);
}

/* RFC 7748 6.1 */
static const uint8_t bob_private[32] = {
        0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80, 0x0e, 0xe6,
        0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb,
};
static const uint8_t bob_public[32] = {
        0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37,
        0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f,
};

static void the_public_key_is_that_of_rfc_7748(void **state) {
        uint8_t public_key[32];

        assert_int_equal(dh_public_key(bob_private, public_key), 0);
        assert_memory_equal(public_key, bob_public, 32);
}

static void generated_keys_differ_and_match_their_public_half(void **state) {
        DhKey a, b;
        uint8_t public_key[32];

        assert_int_equal(dh_key_generate(&a), 0);
        assert_int_equal(dh_key_generate(&b), 0);
        assert_memory_not_equal(&a, &b, sizeof(a));
        assert_int_equal(dh_public_key(a.private_key, public_key), 0);
        assert_memory_equal(a.public_key, public_key, 32);
}

static const uint8_t psk_pair_key[32] = { 0x99 }, node_a[16] = { 0xa }, node_b[16] = { 0xb };

static void keys_of_small_order_are_refused(void **state) {
        /* All points whose multiple is zero (https://cr.yp.to/ecdh.html, "validating"), as far as they fit 255 bits. */
        static const uint8_t points[][32] = {
                { 0 },
                { 1 },
                { 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
                  0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
                { 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
                  0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
                { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
                { 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
                { 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
        };
        PairKeys keys, before;
        DhKey own;

        assert_int_equal(dh_key_generate(&own), 0);
        memset(&keys, 0x5a, sizeof(keys));
        before = keys;
        for (size_t i = 0; i < ELEMENTSOF(points); i++) {
                const PairInput in = { 1, psk_pair_key, &own, node_a, node_b, points[i] };

                assert_int_equal(pair_keys_derive(&in, &keys), -EINVAL);
                assert_memory_equal(&keys, &before, sizeof(keys));
        }
}

static void the_mode_and_the_psk_must_go_together(void **state) {
        static const struct {
                uint8_t mode;
                bool psk;
                int expected;
        } cases[] = { { 1, true, 0 }, { 2, false, 0 }, { 1, false, -EINVAL }, { 2, true, -EINVAL }, { 0, false, -EINVAL }, { 3, false, -EINVAL } };
        DhKey own;
        PairKeys keys;

        assert_int_equal(dh_key_generate(&own), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const PairInput in = { cases[i].mode, cases[i].psk ? psk_pair_key : NULL, &own, node_a, node_b, bob_public };

                assert_int_equal(pair_keys_derive(&in, &keys), cases[i].expected);
        }
}

static void assert_all_differ(const uint8_t (*keys)[32], size_t n) {
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < i; k++)
                        assert_memory_not_equal(keys[i], keys[k], 32);
}

static void every_message_and_direction_has_a_key_of_its_own(void **state) {
        uint8_t keys[12][32];
        DhKey own;
        PairInput in = { 1, psk_pair_key, &own, node_a, node_b, bob_public };

        assert_int_equal(sizeof(PairKeys), 6 * 32);
        assert_int_equal(dh_key_generate(&own), 0);
        assert_int_equal(pair_keys_derive(&in, (PairKeys *) keys), 0);
        in.mode = 2;
        in.psk_pair_key = NULL;
        assert_int_equal(pair_keys_derive(&in, (PairKeys *) (keys + 6)), 0);
        assert_all_differ(keys, 12);
}

static void each_input_changes_every_key(void **state) {
        static const uint8_t other_psk[32] = { 0x98 }, other_node[16] = { 0xc };
        DhKey own, other;
        PairKeys keys[5];

        assert_int_equal(dh_key_generate(&own), 0);
        assert_int_equal(dh_key_generate(&other), 0);
        const PairInput inputs[] = {
                { 1, psk_pair_key, &own, node_a, node_b, bob_public },
                { 1, other_psk, &own, node_a, node_b, bob_public },
                { 1, psk_pair_key, &own, other_node, node_b, bob_public },
                { 1, psk_pair_key, &own, node_a, other_node, bob_public },
                { 1, psk_pair_key, &own, node_a, node_b, other.public_key },
        };
        for (size_t i = 0; i < ELEMENTSOF(inputs); i++)
                assert_int_equal(pair_keys_derive(&inputs[i], &keys[i]), 0);
        assert_all_differ((const uint8_t (*)[32]) keys, 30);
}

static void a_token_mac_verifies_only_unchanged(void **state) {
        static const uint8_t key[32] = { 1 }, other_key[32] = { 2 };
        uint8_t token[] = "the bytes of a token", mac[32];

        assert_int_equal(token_mac(key, token, sizeof(token), mac), 0);
        assert_int_equal(token_mac_verify(key, token, sizeof(token), mac), 0);
        assert_int_equal(token_mac_verify(other_key, token, sizeof(token), mac), -EBADMSG);
        assert_int_equal(token_mac_verify(key, token, sizeof(token) - 1, mac), -EBADMSG);
        for (size_t i = 0; i < 32 * 8; i++) {
                mac[i / 8] ^= (uint8_t) (1u << i % 8);
                assert_int_equal(token_mac_verify(key, token, sizeof(token), mac), -EBADMSG);
                mac[i / 8] ^= (uint8_t) (1u << i % 8);
        }
        token[3] ^= 1;
        assert_int_equal(token_mac_verify(key, token, sizeof(token), mac), -EBADMSG);
}

static void compute_all(const MacKey *k, const uint8_t views[3][MESSAGE_VIEW_SIZE], uint8_t macs[3][16]) {
        assert_int_equal(message_mac_syn(k, views[0], macs[0]), 0);
        assert_int_equal(message_mac_syn_ack(k, views[0], views[1], macs[1]), 0);
        assert_int_equal(message_mac_ack(k, views[0], views[1], views[2], macs[2]), 0);
}

/* Each bit of the exchange so far goes into a message's MAC; of its own view all but the MAC, which is what is computed. */
static void a_message_mac_covers_the_exchange_so_far(void **state) {
        static const uint8_t key[32] = { 1 };
        _cleanup_(mac_key_freep) MacKey *k = NULL;
        uint8_t views[3][MESSAGE_VIEW_SIZE], macs[3][16], changed[3][16];
        Random random = { 10 };

        random_fill(&random, views, sizeof(views));
        assert_int_equal(mac_key_new(key, &k), 0);
        compute_all(k, views, macs);
        for (size_t v = 0; v < 3; v++)
                for (size_t bit = 0; bit < MESSAGE_VIEW_SIZE * 8; bit++) {
                        views[v][bit / 8] ^= (uint8_t) (1u << bit % 8);
                        compute_all(k, views, changed);
                        views[v][bit / 8] ^= (uint8_t) (1u << bit % 8);
                        for (size_t m = 0; m < 3; m++) {
                                bool own_mac = v == m && bit / 8 >= MESSAGE_VIEW_SIZE - 16, covered = v <= m && !own_mac;

                                assert_int_equal(memcmp(macs[m], changed[m], 16) != 0, covered);
                        }
                }
}

static void psk_keys_differ_from_each_other_and_from_the_psk(void **state) {
        static const uint8_t psk[32] = { 7 };
        PskKeys keys;

        assert_int_equal(psk_keys_derive(psk, &keys), 0);
        assert_memory_not_equal(keys.token_key, keys.pair_key, 32);
        assert_memory_not_equal(keys.token_key, psk, 32);
        assert_memory_not_equal(keys.pair_key, psk, 32);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sha256_gives_the_values_of_fips_180),
                cmocka_unit_test(hmac_gives_the_value_of_rfc_4231),
                cmocka_unit_test(a_mac_is_never_cut_below_16_bytes),
                cmocka_unit_test(comparison_sees_every_bit),
                cmocka_unit_test(randomness_fills_the_buffer_and_no_more),
                cmocka_unit_test(wiping_leaves_zeros),
                cmocka_unit_test(the_public_key_is_that_of_rfc_7748),
                cmocka_unit_test(generated_keys_differ_and_match_their_public_half),
                cmocka_unit_test(keys_of_small_order_are_refused),
                cmocka_unit_test(the_mode_and_the_psk_must_go_together),
                cmocka_unit_test(every_message_and_direction_has_a_key_of_its_own),
                cmocka_unit_test(each_input_changes_every_key),
                cmocka_unit_test(a_token_mac_verifies_only_unchanged),
                cmocka_unit_test(a_message_mac_covers_the_exchange_so_far),
                cmocka_unit_test(psk_keys_differ_from_each_other_and_from_the_psk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
