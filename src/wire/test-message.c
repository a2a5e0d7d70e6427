/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/message.h"
#include "wire/test-random.h"

#define TOKEN "a token"
#define TOKEN_LEN 7u

static const Message syn_ack = {
        .type = MESSAGE_SYN_ACK,
        .endpoints = {
                .client.s6_addr = { [10] = 0xff, 0xff, 192, 0, 2, 10 },
                .server.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 },
                .client_port = 40000,
                .server_port = 443,
                .client_isn = 0x11223344,
                .server_isn = 0x55667788,
        },
        .nonce = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
        .token = (const uint8_t *) TOKEN,
        .token_len = TOKEN_LEN,
        .mac = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf },
};

static const uint8_t syn_ack_bytes[] = {
        'T', 'R', 'I', 1, 2, 0, 0, 7,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 10,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
        0x9c, 0x40, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        'a', ' ', 't', 'o', 'k', 'e', 'n',
        0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
};

static void assert_same(const Message *a, const Message *b) {
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->flags, b->flags);
        assert_memory_equal(&a->endpoints, &b->endpoints, sizeof(a->endpoints));
        assert_memory_equal(a->nonce, b->nonce, sizeof(a->nonce));
        assert_int_equal(a->token_len, b->token_len);
        assert_memory_equal(a->token, b->token, a->token_len);
        assert_memory_equal(a->mac, b->mac, sizeof(a->mac));
}

static void the_bytes_stand_where_the_protocol_says(void **state) {
        uint8_t bytes[MESSAGE_SIZE_MAX];
        Message m;

        assert_int_equal(message_write(&syn_ack, bytes, sizeof(bytes)), sizeof(syn_ack_bytes));
        assert_memory_equal(bytes, syn_ack_bytes, sizeof(syn_ack_bytes));
        assert_int_equal(message_parse(syn_ack_bytes, sizeof(syn_ack_bytes), &m), 0);
        assert_same(&m, &syn_ack);
        assert_ptr_equal(m.token, syn_ack_bytes + MESSAGE_HEAD_SIZE);
}

static void a_buffer_too_small_is_left_alone(void **state) {
        uint8_t bytes[sizeof(syn_ack_bytes)] = {}, zero[sizeof(bytes)] = {};

        assert_int_equal(message_write(&syn_ack, bytes, sizeof(bytes) - 1), -EMSGSIZE);
        assert_memory_equal(bytes, zero, sizeof(bytes));
}

static void what_is_not_ours_is_told_from_what_is_malformed(void **state) {
        static const struct {
                const char *what;
                const char *payload;
                size_t len;
                int expected;
        } cases[] = {
                { "nothing",                  "",            0,  -ENOMSG },
                { "two of three bytes",       "TR",          2,  -ENOMSG },
                { "HTTP",                     "GET / HTTP/", 11, -ENOMSG },
                { "TLS",                      "\x16\x03\x01", 3, -ENOMSG },
                { "the magic alone",          "TRI",         3,  -EBADMSG },
                { "the magic and a version",  "TRI\x01",     4,  -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Message m;
                int r = message_parse((const uint8_t *) cases[i].payload, cases[i].len, &m);

                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
        }
}

enum { NO_MAC = 1, NO_TOKEN = 2, NO_NONCE = 4, NO_ISN = 8 };

/* syn_ack_bytes of another type, with some fields emptied. Returns the length. */
static size_t build(uint8_t type, uint8_t flags, int without, uint8_t bytes[static MESSAGE_SIZE_MAX]) {
        size_t n = sizeof(syn_ack_bytes);

        memcpy(bytes, syn_ack_bytes, n);
        bytes[4] = type;
        bytes[5] = flags;
        if (without & NO_ISN)
                memset(bytes + 48, 0, 4);
        if (without & NO_NONCE)
                memset(bytes + 52, 0, 16);
        if (without & NO_MAC)
                memset(bytes + n - 16, 0, 16);
        if (without & NO_TOKEN) {
                memmove(bytes + 68, bytes + 68 + TOKEN_LEN, 16);
                bytes[7] = 0;
                n -= TOKEN_LEN;
        }
        if (type == MESSAGE_SYN) {
                memset(bytes + n, 0, MESSAGE_SIZE_MAX - n);
                n = MESSAGE_SIZE_MAX;
        }
        return n;
}

/* The same as a struct. */
static Message describe(uint8_t type, uint8_t flags, int without) {
        Message m = syn_ack;

        m.type = type;
        m.flags = flags;
        if (without & NO_ISN)
                m.endpoints.server_isn = 0;
        if (without & NO_NONCE)
                memset(m.nonce, 0, sizeof(m.nonce));
        if (without & NO_MAC)
                memset(m.mac, 0, sizeof(m.mac));
        if (without & NO_TOKEN)
                m.token_len = 0;
        return m;
}

static void every_field_is_held_to_its_meaning(void **state) {
        static const struct {
                const char *what;
                uint8_t type, flags;
                int without;
                bool valid;
        } cases[] = {
                { "SYN",                                MESSAGE_SYN, 0, NO_MAC | NO_ISN, true },
                { "SYN to a known peer",                MESSAGE_SYN, MESSAGE_KNOWN, NO_ISN, true },
                { "SYN with a MAC but not KNOWN",       MESSAGE_SYN, 0, NO_ISN, false },
                { "SYN with a server ISN",              MESSAGE_SYN, MESSAGE_KNOWN, 0, false },
                { "SYN with a reserved flag",           MESSAGE_SYN, MESSAGE_KNOWN | 2, NO_ISN, false },
                { "SYN with the highest flag",          MESSAGE_SYN, MESSAGE_KNOWN | 0x80, NO_ISN, false },
                { "SYN without token",                  MESSAGE_SYN, MESSAGE_KNOWN, NO_ISN | NO_TOKEN, false },
                { "SYN without nonce, if so drawn",     MESSAGE_SYN, MESSAGE_KNOWN, NO_ISN | NO_NONCE, true },
                { "SYN-ACK",                            MESSAGE_SYN_ACK, 0, 0, true },
                { "SYN-ACK of ISN 0",                   MESSAGE_SYN_ACK, 0, NO_ISN, true },
                { "SYN-ACK with KNOWN",                 MESSAGE_SYN_ACK, MESSAGE_KNOWN, 0, false },
                { "SYN-ACK without token: a reminder", MESSAGE_SYN_ACK, 0, NO_TOKEN, true },
                { "ACK",                                MESSAGE_ACK, 0, NO_NONCE | NO_TOKEN, true },
                { "ACK with nonce",                     MESSAGE_ACK, 0, NO_TOKEN, false },
                { "ACK with token",                     MESSAGE_ACK, 0, NO_NONCE, false },
                { "ACK with KNOWN",                     MESSAGE_ACK, MESSAGE_KNOWN, NO_NONCE | NO_TOKEN, false },
                { "type 0",                             0, 0, NO_MAC | NO_TOKEN | NO_NONCE | NO_ISN, false },
                { "type 4",                             4, 0, 0, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t bytes[MESSAGE_SIZE_MAX], written[MESSAGE_SIZE_MAX];
                Message m = describe(cases[i].type, cases[i].flags, cases[i].without), parsed;
                size_t n = build(cases[i].type, cases[i].flags, cases[i].without, bytes);
                int r;

                r = message_parse(bytes, n, &parsed);
                if (r != (cases[i].valid ? 0 : -EBADMSG))
                        fail_msg("%s: read: %d", cases[i].what, r);
                r = message_write(&m, written, sizeof(written));
                if (r != (cases[i].valid ? (int) n : -EINVAL))
                        fail_msg("%s: written: %d", cases[i].what, r);
                if (r > 0)
                        assert_memory_equal(written, bytes, n);
        }
}

static void the_payload_must_be_filled_exactly(void **state) {
        uint8_t bytes[sizeof(syn_ack_bytes) + 1] = {};
        Message m;

        memcpy(bytes, syn_ack_bytes, sizeof(syn_ack_bytes));
        for (size_t n = 3; n <= sizeof(bytes); n++) {
                /* Of its own size, so that sanitizers see the first byte read beyond it. */
                _cleanup_free_ uint8_t *cut = malloc(n);

                assert_non_null(cut);
                memcpy(cut, bytes, n);
                assert_int_equal(message_parse(cut, n, &m), n == sizeof(syn_ack_bytes) ? 0 : -EBADMSG);
        }
        bytes[3] = 2;
        assert_int_equal(message_parse(bytes, sizeof(syn_ack_bytes), &m), -EBADMSG);
        bytes[3] = 0;
        assert_int_equal(message_parse(bytes, sizeof(syn_ack_bytes), &m), -EBADMSG);
}

static void a_syn_is_padded_with_zeros_to_the_full_size(void **state) {
        uint8_t bytes[MESSAGE_SIZE_MAX + 1] = {};
        Message m = syn_ack, parsed;

        m.type = MESSAGE_SYN;
        m.endpoints.server_isn = 0;
        memset(m.mac, 0, sizeof(m.mac));
        assert_int_equal(message_write(&m, bytes, sizeof(bytes)), MESSAGE_SIZE_MAX);
        assert_int_equal(message_write(&m, bytes, MESSAGE_SIZE_MAX - 1), -EMSGSIZE);
        assert_int_equal(message_parse(bytes, MESSAGE_SIZE_MAX, &parsed), 0);
        assert_same(&parsed, &m);
        assert_int_equal(message_parse(bytes, MESSAGE_SIZE_MAX - 1, &parsed), -EBADMSG);
        assert_int_equal(message_parse(bytes, MESSAGE_SIZE_MAX + 1, &parsed), -EBADMSG);
        assert_int_equal(message_parse(bytes, MESSAGE_HEAD_SIZE + TOKEN_LEN + MESSAGE_MAC_SIZE, &parsed), -EBADMSG);
        bytes[MESSAGE_SIZE_MAX - 1] = 1;
        assert_int_equal(message_parse(bytes, MESSAGE_SIZE_MAX, &parsed), -EBADMSG);
}

static void the_longest_token_fits_and_one_byte_more_does_not(void **state) {
        uint8_t token[MESSAGE_TOKEN_MAX + 1] = {}, bytes[MESSAGE_SIZE_MAX + 1];
        Message m = syn_ack;

        m.token = token;
        m.token_len = MESSAGE_TOKEN_MAX;
        assert_int_equal(message_write(&m, bytes, sizeof(bytes)), 1180);
        assert_int_equal(message_parse(bytes, 1180, &m), 0);
        m.token_len++;
        assert_int_equal(message_write(&m, bytes, sizeof(bytes)), -EINVAL);
        memmove(bytes + 1165, bytes + 1164, 16);
        bytes[7]++;
        assert_int_equal(message_parse(bytes, 1181, &m), -EBADMSG);
}

static void a_view_is_head_token_hash_and_mac(void **state) {
        uint8_t view[MESSAGE_VIEW_SIZE], hash[32];

        memset(hash, 0x77, sizeof(hash));
        message_view(&syn_ack, hash, view);
        assert_int_equal(sizeof(view), 116);
        assert_memory_equal(view, syn_ack_bytes, 68);
        assert_memory_equal(view + 68, hash, 32);
        assert_memory_equal(view + 100, syn_ack.mac, 16);
}

static Message random_message(Random *random, uint8_t token[static MESSAGE_TOKEN_MAX]) {
        Message m = { .type = 1 + (MessageType) random_below(random, 3), .token = token };

        random_fill(random, token, MESSAGE_TOKEN_MAX);
        random_fill(random, &m.endpoints, sizeof(m.endpoints));
        random_fill(random, m.nonce, sizeof(m.nonce));
        random_fill(random, m.mac, sizeof(m.mac));
        m.token_len = (uint16_t) (1 + random_below(random, MESSAGE_TOKEN_MAX));
        if (m.type == MESSAGE_SYN) {
                m.endpoints.server_isn = 0;
                m.flags = (uint8_t) random_below(random, 2);
                if (!m.flags)
                        memset(m.mac, 0, sizeof(m.mac));
        }
        if (m.type == MESSAGE_ACK) {
                m.token_len = 0;
                memset(m.nonce, 0, sizeof(m.nonce));
        }
        return m;
}

static void what_was_written_is_what_is_read(void **state) {
        uint8_t token[MESSAGE_TOKEN_MAX], bytes[MESSAGE_SIZE_MAX];
        Random random = { 4 };

        for (int i = 0; i < 20000; i++) {
                Message m = random_message(&random, token), parsed;
                int n = message_write(&m, bytes, sizeof(bytes));

                assert_true(n > 0);
                assert_int_equal(message_parse(bytes, (size_t) n, &parsed), 0);
                assert_same(&m, &parsed);
        }
}

static void a_message_has_one_encoding_only(void **state) {
        uint8_t token[MESSAGE_TOKEN_MAX], bytes[MESSAGE_SIZE_MAX], again[MESSAGE_SIZE_MAX];
        Random random = { 5 };
        int n_parsed = 0;

        /* Whatever is accepted is written back bit by bit as it was: nothing in a message is ignored. */
        for (int i = 0; i < 50000; i++) {
                Message m = random_message(&random, token);
                int n = message_write(&m, bytes, sizeof(bytes));

                bytes[random_below(&random, (size_t) n)] ^= (uint8_t) (1u << random_below(&random, 8));
                if (message_parse(bytes, (size_t) n, &m) < 0)
                        continue;
                n_parsed++;
                assert_int_equal(message_write(&m, again, sizeof(again)), n);
                assert_memory_equal(again, bytes, (size_t) n);
        }
        assert_true(n_parsed > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_bytes_stand_where_the_protocol_says),
                cmocka_unit_test(a_buffer_too_small_is_left_alone),
                cmocka_unit_test(what_is_not_ours_is_told_from_what_is_malformed),
                cmocka_unit_test(every_field_is_held_to_its_meaning),
                cmocka_unit_test(the_payload_must_be_filled_exactly),
                cmocka_unit_test(a_syn_is_padded_with_zeros_to_the_full_size),
                cmocka_unit_test(the_longest_token_fits_and_one_byte_more_does_not),
                cmocka_unit_test(a_view_is_head_token_hash_and_mac),
                cmocka_unit_test(what_was_written_is_what_is_read),
                cmocka_unit_test(a_message_has_one_encoding_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
