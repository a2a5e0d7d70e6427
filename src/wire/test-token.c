/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/bytes.h"
#include "wire/test-random.h"
#include "wire/token.h"

#define TAG(k, v) { k, v, sizeof(k) - 1, sizeof(v) - 1 }

static const Token psk_token = {
        .mode = TOKEN_PSK,
        .families = 1 << TAG_FAMILY_LABELS | 1 << TAG_FAMILY_PLUGIN,
        .key_id = 0xdeadbeef,
        .node = { 0x10, 0x11, [15] = 0x1f },
        .node_dh = { 0x20, 0x21, [31] = 0x3f },
        .unit = { 0x40, 0x41, [15] = 0x4f },
        .valid_from_sec = 0x6b49d200,
        .valid_until_sec = 0x6b49d458,
        .n_tags = 2,
        .tags = { TAG("@usr:a", ""), TAG("@usr:app", "w\xc3\xa9" "b") },
};

static const uint8_t psk_bytes[] = {
        1, 1, 0x80, 0x01, 0xde, 0xad, 0xbe, 0xef,
        0x10, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1f,
        0x20, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3f,
        0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0x00,
        0, 0, 0, 0, 0x6b, 0x49, 0xd4, 0x58,
        0x40, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x4f,
        0, 2,
        6, 0, '@', 'u', 's', 'r', ':', 'a',
        8, 4, '@', 'u', 's', 'r', ':', 'a', 'p', 'p', 'w', 0xc3, 0xa9, 'b',
        /* MAC */
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
};
#define PSK_SIGNED (sizeof(psk_bytes) - TOKEN_MAC_SIZE)

static void assert_same(const Token *a, const Token *b) {
        assert_int_equal(a->mode, b->mode);
        assert_int_equal(a->families, b->families);
        assert_int_equal(a->key_id, b->key_id);
        assert_memory_equal(a->node, b->node, sizeof(a->node));
        assert_memory_equal(a->node_dh, b->node_dh, sizeof(a->node_dh));
        assert_memory_equal(a->unit, b->unit, sizeof(a->unit));
        assert_true(a->valid_from_sec == b->valid_from_sec && a->valid_until_sec == b->valid_until_sec);
        assert_int_equal(a->n_tags, b->n_tags);
        for (size_t i = 0; i < a->n_tags; i++) {
                assert_int_equal(a->tags[i].key_len, b->tags[i].key_len);
                assert_int_equal(a->tags[i].value_len, b->tags[i].value_len);
                assert_memory_equal(a->tags[i].key, b->tags[i].key, a->tags[i].key_len);
                assert_memory_equal(a->tags[i].value, b->tags[i].value, a->tags[i].value_len);
        }
        assert_int_equal(a->certificate_len, b->certificate_len);
        if (a->certificate_len > 0)
                assert_memory_equal(a->certificate, b->certificate, a->certificate_len);
}

static void the_bytes_stand_where_the_protocol_says(void **state) {
        uint8_t bytes[TOKEN_SIZE_MAX];
        Token t;

        assert_int_equal(token_write(&psk_token, TOKEN_MAC_SIZE, bytes, sizeof(bytes)), PSK_SIGNED);
        assert_memory_equal(bytes, psk_bytes, PSK_SIGNED);
        assert_int_equal(token_parse(psk_bytes, sizeof(psk_bytes), &t), 0);
        assert_same(&t, &psk_token);
        assert_ptr_equal(t.bytes, psk_bytes);
        assert_int_equal(t.len, sizeof(psk_bytes));
        assert_int_equal(t.signed_len, PSK_SIGNED);
        assert_ptr_equal(t.proof, psk_bytes + PSK_SIGNED);
        assert_int_equal(t.proof_len, TOKEN_MAC_SIZE);
        assert_null(t.certificate);
}

static void a_pki_token_has_certificate_and_signature(void **state) {
        uint8_t bytes[TOKEN_SIZE_MAX];
        Token t = psk_token, parsed;
        int n;

        t.mode = TOKEN_PKI;
        t.key_id = 0;
        t.certificate = (const uint8_t *) "certificate";
        t.certificate_len = 11;
        n = token_write(&t, 70, bytes, sizeof(bytes));
        assert_int_equal(n, PSK_SIGNED + 2 + 11);
        assert_memory_equal(bytes + PSK_SIGNED, "\0\x0b" "certificate", 13);
        memset(bytes + n, 0x99, 70);
        assert_int_equal(token_parse(bytes, (size_t) n + 70, &parsed), 0);
        assert_same(&parsed, &t);
        assert_int_equal(parsed.signed_len, n);
        assert_int_equal(parsed.proof_len, 70);
        assert_ptr_equal(parsed.proof, bytes + n);
        assert_int_equal(token_parse(bytes, (size_t) n + 1, &parsed), 0);
        assert_int_equal(token_parse(bytes, (size_t) n, &parsed), -EBADMSG);      /* no signature */
        assert_int_equal(token_parse(bytes, (size_t) n - 1, &parsed), -EBADMSG);  /* certificate cut */
        assert_int_equal(token_parse(bytes, PSK_SIGNED + 1, &parsed), -EBADMSG);  /* its length cut */
        bytes[PSK_SIGNED + 1] = 0;
        assert_int_equal(token_parse(bytes, (size_t) n + 70, &parsed), -EBADMSG); /* no certificate */
        bytes[PSK_SIGNED + 1] = 11;
        bytes[7] = 1;
        assert_int_equal(token_parse(bytes, (size_t) n + 70, &parsed), -EBADMSG); /* a key id */
}

static void every_shorter_or_longer_token_is_refused(void **state) {
        uint8_t bytes[TOKEN_SIZE_MAX + 1] = {};
        Token t;

        memcpy(bytes, psk_bytes, sizeof(psk_bytes));
        for (size_t n = 0; n <= sizeof(bytes); n++)
                if (n != sizeof(psk_bytes))
                        assert_int_equal(token_parse(bytes, n, &t), -EBADMSG);
        assert_int_equal(token_parse(NULL, 0, &t), -EBADMSG);
}

static void a_malformed_token_is_refused_with_its_error(void **state) {
        static const struct {
                const char *what;
                size_t offset, n;
                const char *bytes;
                int expected;
        } cases[] = {
                { "unchanged",                      0,   0, "",                 0 },
                { "version 0",                      0,   1, "\0",               -EPROTONOSUPPORT },
                { "version 2",                      0,   1, "\2",               -EPROTONOSUPPORT },
                { "mode 0",                         1,   1, "\0",               -EPROTONOSUPPORT },
                { "mode 3",                         1,   1, "\3",               -EPROTONOSUPPORT },
                { "all families",                   2,   2, "\xff\xff",         0 },
                { "valid for no time",              70,  2, "\xd2\x00",         0 },
                { "valid until before from",        70,  2, "\xd1\xff",         -EBADMSG },
                { "valid for an hour",              70,  2, "\xe0\x10",         0 },
                { "valid for an hour and a second", 70,  2, "\xe0\x11",         -EBADMSG },
                { "valid until the end of time",    64,  4, "\x7f\xff\xff\xff", -EBADMSG },
                { "valid until beyond int64",       64,  4, "\xff\xff\xff\xff", -EBADMSG },
                { "valid from beyond int64",        56,  1, "\x80",             -EBADMSG },
                { "one tag more than there is",     88,  2, "\0\3",             -EBADMSG },
                { "one tag less",                   88,  2, "\0\1",             -EBADMSG },
                { "257 tags",                       88,  2, "\1\1",             -EBADMSG },
                { "65535 tags",                     88,  2, "\xff\xff",         -EBADMSG },
                { "a key of no bytes",              90,  2, "\0\6",             -EBADMSG },
                { "a value beyond the end",         91,  1, "\xff",             -EBADMSG },
                { "a key beyond the end",           98,  1, "\x80",             -EBADMSG },
                { "keys in wrong order",            97,  1, "b",                -EBADMSG },
                { "a line feed in a key",           97,  1, "\n",               -EBADMSG },
                { "DEL in a value",                 108, 1, "\x7f",             -EBADMSG },
                { "NUL in a value",                 108, 1, "\0",               -EBADMSG },
                { "a C1 control in a value",        109, 2, "\xc2\x85",         -EBADMSG },
                { "a no-break space in a value",    109, 2, "\xc2\xa0",         0 },
                { "half a character",               110, 1, "x",                -EBADMSG },
                { "an overlong slash",              109, 2, "\xc0\xaf",         -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t bytes[sizeof(psk_bytes)];
                Token t = { .len = 4711 };
                int r;

                memcpy(bytes, psk_bytes, sizeof(bytes));
                memcpy(bytes + cases[i].offset, cases[i].bytes, cases[i].n);
                r = token_parse(bytes, sizeof(bytes), &t);
                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
                assert_int_equal(t.len, r < 0 ? 4711 : sizeof(bytes));
        }
}

static void tags_are_in_strict_order(void **state) {
        static const struct {
                const char *what;
                TokenTag tags[2];
                int expected; /* 1: written */
        } cases[] = {
                { "by key",                             { TAG("a", "2"), TAG("b", "1") }, 1 },
                { "by key, wrong",                      { TAG("b", "1"), TAG("a", "2") }, -EINVAL },
                { "by value",                           { TAG("a", "1"), TAG("a", "2") }, 1 },
                { "by value, wrong",                    { TAG("a", "2"), TAG("a", "1") }, -EINVAL },
                { "twice",                              { TAG("a", "1"), TAG("a", "1") }, -EINVAL },
                { "twice, no value",                    { TAG("a", ""),  TAG("a", "") },  -EINVAL },
                { "shorter key first",                  { TAG("a", "2"), TAG("aa", "1") }, 1 },
                { "longer key first",                   { TAG("aa", "1"), TAG("a", "2") }, -EINVAL },
                { "shorter value first",                { TAG("a", ""), TAG("a", "1") }, 1 },
                { "longer value first",                 { TAG("a", "1"), TAG("a", "") }, -EINVAL },
                { "bytes compare without a sign",       { TAG("z", ""), TAG("\xc3\xa9", "") }, 1 },
                { "by length is not by bytes",          { TAG("b", ""), TAG("aa", "") }, -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t bytes[TOKEN_SIZE_MAX];
                Token t = psk_token;
                int r;

                memcpy(t.tags, cases[i].tags, sizeof(cases[i].tags));
                r = token_write(&t, TOKEN_MAC_SIZE, bytes, sizeof(bytes));
                if ((r > 0 ? 1 : r) != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
        }
}

static void what_could_not_be_read_is_not_written(void **state) {
        char long_key[129];
        const struct {
                const char *what;
                TokenMode mode;
                uint32_t key_id;
                int64_t from, until;
                uint16_t n_tags;
                TokenTag tag;
                int expected;
        } cases[] = {
                { "fine",                   TOKEN_PSK, 1, 0, 3600, 1, TAG("a", "b"),             1 },
                { "no tags",                TOKEN_PSK, 0, 0, 0, 0, {},                           1 },
                { "mode 0",                 0,         0, 0, 1, 0, {},                           -EINVAL },
                { "mode 3",                 3,         0, 0, 1, 0, {},                           -EINVAL },
                { "PKI, no certificate",    TOKEN_PKI, 0, 0, 1, 0, {},                           -EINVAL },
                { "backwards",              TOKEN_PSK, 0, 2, 1, 0, {},                           -EINVAL },
                { "before 1970",            TOKEN_PSK, 0, -1, 1, 0, {},                          -EINVAL },
                { "too long",               TOKEN_PSK, 0, 0, 3601, 0, {},                        -EINVAL },
                { "all of time",            TOKEN_PSK, 0, INT64_MIN, INT64_MAX, 0, {},           -EINVAL },
                { "empty key",              TOKEN_PSK, 0, 0, 1, 1, TAG("", "b"),                 -EINVAL },
                { "the longest key",        TOKEN_PSK, 0, 0, 1, 1, { long_key, "", 128, 0 },     1 },
                { "a longer key",           TOKEN_PSK, 0, 0, 1, 1, { long_key, "", 129, 0 },     -EINVAL },
                { "control character",      TOKEN_PSK, 0, 0, 1, 1, TAG("a", "\x1b[31m"),         -EINVAL },
                { "not UTF-8",              TOKEN_PSK, 0, 0, 1, 1, TAG("a", "\xff"),             -EINVAL },
                { "257 tags",               TOKEN_PSK, 0, 0, 1, 257, TAG("a", ""),               -EINVAL },
        };

        memset(long_key, 'k', sizeof(long_key));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t bytes[TOKEN_SIZE_MAX];
                Token t = { .mode = cases[i].mode, .key_id = cases[i].key_id, .valid_from_sec = cases[i].from,
                            .valid_until_sec = cases[i].until, .n_tags = cases[i].n_tags, .tags = { cases[i].tag } };
                int r = token_write(&t, TOKEN_MAC_SIZE, bytes, sizeof(bytes));

                if ((r > 0 ? 1 : r) != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
        }
}

static void a_token_that_would_be_too_large_is_not_written(void **state) {
        char value[255];
        uint8_t bytes[TOKEN_SIZE_MAX] = {}, zero[TOKEN_SIZE_MAX] = {};
        Token t = psk_token;

        memset(value, 'v', sizeof(value));
        t.n_tags = 4;
        for (size_t i = 0; i < 4; i++)
                t.tags[i] = (TokenTag) { &"abcd"[i], value, 1, sizeof(value) };
        /* 90 + 4 * 258 = 1122 is too much by 58 with the MAC: shorten the last value. */
        t.tags[3].value_len = 255 - 58;
        assert_int_equal(token_write(&t, TOKEN_MAC_SIZE, bytes, 1063), -EMSGSIZE);
        assert_int_equal(token_write(&t, TOKEN_MAC_SIZE + 1, bytes, sizeof(bytes)), -EMSGSIZE);
        assert_int_equal(token_write(&t, SIZE_MAX, bytes, sizeof(bytes)), -EMSGSIZE);
        assert_memory_equal(bytes, zero, sizeof(bytes));
        assert_int_equal(token_write(&t, TOKEN_MAC_SIZE, bytes, 1064), 1064);
        assert_int_equal(token_parse(bytes, TOKEN_SIZE_MAX, &t), 0);
}

static void the_most_tags_are_read_and_one_more_is_not(void **state) {
        static const char keys[] = "!#$%&()*+-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_abcdefghijklmnopqrstuvwxyz{|}~";
        static const char *const values[] = { "", "x", "y" };
        uint8_t bytes[TOKEN_SIZE_MAX] = {};
        Token t = psk_token, parsed;
        int n;

        for (t.n_tags = 0; t.n_tags < TOKEN_TAGS_MAX; t.n_tags++) {
                const char *value = values[t.n_tags % 3];

                t.tags[t.n_tags] = (TokenTag) { &keys[t.n_tags / 3], value, 1, (uint8_t) strlen(value) };
        }
        n = token_write(&t, TOKEN_MAC_SIZE, bytes, sizeof(bytes));
        assert_true(n > 0);
        assert_int_equal(token_parse(bytes, (size_t) n + TOKEN_MAC_SIZE, &parsed), 0);
        assert_same(&parsed, &t);
        memcpy(bytes + n, "\1\1~z", 4);
        store_be16(bytes + 88, TOKEN_TAGS_MAX + 1);
        assert_int_equal(token_parse(bytes, (size_t) n + 4 + TOKEN_MAC_SIZE, &parsed), -EBADMSG);
}

/* ---- properties ---- */

/* Keys "a", "b"... with random values; text must live as long as the token. */
static Token random_token(Random *random, char text[static TOKEN_SIZE_MAX], const uint8_t *certificate) {
        Token t = { .mode = random_below(random, 2) ? TOKEN_PSK : TOKEN_PKI, .families = (uint16_t) random_next(random) };
        size_t room = 350;

        random_fill(random, t.node, sizeof(t.node));
        random_fill(random, t.node_dh, sizeof(t.node_dh));
        random_fill(random, t.unit, sizeof(t.unit));
        t.valid_from_sec = (int64_t) (random_next(random) >> 2);
        t.valid_until_sec = t.valid_from_sec + (int64_t) random_below(random, 3601);
        if (t.mode == TOKEN_PSK)
                t.key_id = (uint32_t) random_next(random);
        else {
                t.certificate = certificate;
                t.certificate_len = 1 + random_below(random, 500);
        }
        for (size_t n = random_below(random, 26); t.n_tags < n; t.n_tags++) {
                size_t len = random_below(random, MIN(room, (size_t) 256));

                text[0] = (char) ('a' + t.n_tags);
                memset(text + 1, ' ' + (int) random_below(random, 90), len);
                t.tags[t.n_tags] = (TokenTag) { text, text + 1, 1, (uint8_t) len };
                text += 1 + len;
                room -= len;
                if (room == 0)
                        break;
        }
        return t;
}

static void what_was_written_is_what_is_read(void **state) {
        static const uint8_t certificate[500] = { 0x30 };
        char text[TOKEN_SIZE_MAX];
        Random random = { 6 };

        for (int i = 0; i < 20000; i++) {
                Token t = random_token(&random, text, certificate), parsed;
                uint8_t bytes[TOKEN_SIZE_MAX] = {};
                int n = token_write(&t, 32, bytes, sizeof(bytes));

                assert_true(n > 0);
                assert_int_equal(token_parse(bytes, (size_t) n + 32, &parsed), 0);
                assert_same(&t, &parsed);
                assert_int_equal(parsed.signed_len, n);
        }
}

static void a_token_has_one_encoding_only(void **state) {
        static const uint8_t certificate[500] = { 0x30 };
        char text[TOKEN_SIZE_MAX];
        Random random = { 7 };
        int n_parsed = 0, n_refused = 0;

        for (int i = 0; i < 50000; i++) {
                Token t = random_token(&random, text, certificate);
                uint8_t bytes[TOKEN_SIZE_MAX] = {}, again[TOKEN_SIZE_MAX];
                int n = token_write(&t, 32, bytes, sizeof(bytes));

                assert_true(n > 0);
                bytes[random_below(&random, (size_t) n)] ^= (uint8_t) (1u << random_below(&random, 8));
                if (token_parse(bytes, (size_t) n + 32, &t) < 0) {
                        n_refused++;
                        continue;
                }
                n_parsed++;
                assert_int_equal(token_write(&t, t.proof_len, again, sizeof(again)), t.signed_len);
                assert_memory_equal(again, bytes, t.signed_len);
        }
        assert_true(n_parsed > 1000 && n_refused > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_bytes_stand_where_the_protocol_says),
                cmocka_unit_test(a_pki_token_has_certificate_and_signature),
                cmocka_unit_test(every_shorter_or_longer_token_is_refused),
                cmocka_unit_test(a_malformed_token_is_refused_with_its_error),
                cmocka_unit_test(tags_are_in_strict_order),
                cmocka_unit_test(what_could_not_be_read_is_not_written),
                cmocka_unit_test(a_token_that_would_be_too_large_is_not_written),
                cmocka_unit_test(the_most_tags_are_read_and_one_more_is_not),
                cmocka_unit_test(what_was_written_is_what_is_read),
                cmocka_unit_test(a_token_has_one_encoding_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
