/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The values of docs/test-vectors.json, which tests/check-vectors computes independently. TEST_VECTORS is its path. */

#include <arpa/inet.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "crypto/signature.h"
#include "util/base64.h"
#include "wire/message.h"
#include "wire/token.h"

_Static_assert(MESSAGE_MAC_SIZE == CRYPTO_MAC_SIZE, "a message carries what message_mac_*() make");

static const char *const family_names[] = {
        "labels", "unit", "exe", "exe.sha256", "exe.verity", "lib", "user", "uid", "group", "gid", "groups", "selinux", "apparmor", "host",
        "machine", "plug-ins",
};
_Static_assert(ELEMENTSOF(family_names) == _TAG_FAMILY_MAX, "one name a family");

typedef struct Bytes {
        uint8_t data[MESSAGE_SIZE_MAX];
        size_t len;
} Bytes;

static json_t *get(const json_t *object, const char *key) {
        json_t *value = json_object_get(object, key);

        if (!value)
                fail_msg("the file has no \"%s\" where one is expected", key);
        return value;
}

static int hex_digit(char c) {
        const char *digits = "0123456789abcdef", *p = strchr(digits, c);

        assert_true(c != '\0' && p);
        return (int) (p - digits);
}

static Bytes get_bytes(const json_t *object, const char *key) {
        const char *text = json_string_value(get(object, key));
        Bytes b = {};

        assert_non_null(text);
        b.len = strlen(text) / 2;
        assert_true(b.len <= sizeof(b.data));
        for (size_t i = 0; i < b.len; i++)
                b.data[i] = (uint8_t) (hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
        return b;
}

static void get_exactly(const json_t *object, const char *key, void *ret, size_t n) {
        Bytes b = get_bytes(object, key);

        assert_int_equal(b.len, n);
        memcpy(ret, b.data, n);
}

static int64_t get_integer(const json_t *object, const char *key) {
        json_t *value = get(object, key);

        assert_true(json_is_integer(value));
        return json_integer_value(value);
}

static void assert_expected(const json_t *vector, const char *key, const void *data, size_t n) {
        Bytes expected = get_bytes(get(vector, "expect"), key);

        assert_int_equal(n, expected.len);
        assert_memory_equal(data, expected.data, n);
}

static PskKeys get_psk_keys(const json_t *vector) {
        uint8_t psk[32];
        PskKeys keys;

        get_exactly(vector, "psk", psk, sizeof(psk));
        assert_int_equal(psk_keys_derive(psk, &keys), 0);
        return keys;
}

static void psk_keys_come_out_as_published(void **state) {
        json_t *vector;
        size_t i;

        json_array_foreach(get(*state, "psks"), i, vector) {
                PskKeys keys = get_psk_keys(vector);
                uint32_t id = htonl(keys.key_id);

                assert_expected(vector, "pair_key", keys.pair_key, sizeof(keys.pair_key));
                assert_expected(vector, "token_key", keys.token_key, sizeof(keys.token_key));
                assert_expected(vector, "key_id", &id, sizeof(id));
        }
        assert_true(i > 0);
}

typedef struct Side {
        uint8_t node[16];
        DhKey dh;
} Side;

static Side get_side(const json_t *vector, const char *key) {
        json_t *object = get(vector, key);
        Side side;

        get_exactly(object, "node", side.node, sizeof(side.node));
        get_exactly(object, "private", side.dh.private_key, sizeof(side.dh.private_key));
        assert_int_equal(dh_public_key(side.dh.private_key, side.dh.public_key), 0);
        return side;
}

static PairKeys derive(const json_t *vector, const Side *own, const Side *peer) {
        PskKeys psk_keys;
        PairKeys keys;
        PairInput in = {
                .mode = (uint8_t) get_integer(vector, "mode"),
                .own = &own->dh,
                .own_node = own->node,
                .peer_node = peer->node,
                .peer_dh = peer->dh.public_key,
        };

        if (in.mode == TOKEN_PSK) {
                psk_keys = get_psk_keys(vector);
                in.psk_pair_key = psk_keys.pair_key;
        }
        assert_int_equal(pair_keys_derive(&in, &keys), 0);
        return keys;
}

static void pair_keys_come_out_as_published_on_both_sides(void **state) {
        json_t *vector;
        size_t i;

        json_array_foreach(get(*state, "pairs"), i, vector) {
                Side initiator = get_side(vector, "initiator"), responder = get_side(vector, "responder");
                PairKeys ours = derive(vector, &initiator, &responder), theirs = derive(vector, &responder, &initiator);

                assert_expected(vector, "initiator_public", initiator.dh.public_key, 32);
                assert_expected(vector, "responder_public", responder.dh.public_key, 32);
                assert_expected(vector, "syn", ours.out_syn, 32);
                assert_expected(vector, "syn_ack", ours.out_syn_ack, 32);
                assert_expected(vector, "ack", ours.out_ack, 32);
                assert_expected(vector, "syn", theirs.in_syn, 32);
                assert_expected(vector, "syn_ack", theirs.in_syn_ack, 32);
                assert_expected(vector, "ack", theirs.in_ack, 32);
        }
        assert_true(i > 0);
}

static int compare_tags(const void *a, const void *b) {
        const TokenTag *x = a, *y = b;
        int c = strcmp(x->key, y->key);

        return c != 0 ? c : strcmp(x->value, y->value);
}

static uint16_t get_families(const json_t *vector) {
        uint16_t families = 0;
        json_t *name;
        size_t i;

        json_array_foreach(get(vector, "families"), i, name)
                for (size_t k = 0; k < ELEMENTSOF(family_names); k++)
                        if (streq(json_string_value(name), family_names[k]))
                                families |= (uint16_t) (1u << k);
        return families;
}

static void get_unit_id(const json_t *vector, uint8_t ret[static 16]) {
        const char *name = json_string_value(get(vector, "unit_name"));
        uint64_t cgroup_id = (uint64_t) get_integer(vector, "cgroup_id");
        uint8_t text[256 + 8], hash[32];
        size_t n = strlen(name) + 1;

        memcpy(text, name, n);
        for (size_t i = 0; i < 8; i++)
                text[n + i] = (uint8_t) (cgroup_id >> (56 - 8 * i));
        assert_int_equal(crypto_sha256(text, n + 8, hash), 0);
        memcpy(ret, hash, 16);
}

/* Borrows from the vector and from certificate. */
static Token get_token(const json_t *vector, const Bytes *certificate) {
        Token t = {
                .mode = (TokenMode) get_integer(vector, "mode"),
                .families = get_families(vector),
                .valid_from_sec = get_integer(vector, "valid_from"),
                .valid_until_sec = get_integer(vector, "valid_until"),
        };
        json_t *tag;
        size_t i;

        get_exactly(vector, "node", t.node, sizeof(t.node));
        get_exactly(vector, "node_dh", t.node_dh, sizeof(t.node_dh));
        get_unit_id(vector, t.unit);
        json_array_foreach(get(vector, "tags"), i, tag) {
                const char *key = json_string_value(json_array_get(tag, 0)), *value = json_string_value(json_array_get(tag, 1));

                t.tags[t.n_tags++] = (TokenTag) { key, value, (uint8_t) strlen(key), (uint8_t) strlen(value) };
        }
        qsort(t.tags, t.n_tags, sizeof(t.tags[0]), compare_tags);
        if (t.mode == TOKEN_PKI) {
                t.certificate = certificate->data;
                t.certificate_len = certificate->len;
        } else
                t.key_id = get_psk_keys(vector).key_id;
        return t;
}

static void tokens_come_out_as_published(void **state) {
        json_t *vector;
        size_t i;

        json_array_foreach(get(*state, "tokens"), i, vector) {
                bool pki = get_integer(vector, "mode") == TOKEN_PKI;
                Bytes certificate = pki ? get_bytes(vector, "certificate") : (Bytes) {};
                Bytes proof = pki ? get_bytes(vector, "signature") : (Bytes) { .len = TOKEN_MAC_SIZE };
                Token t = get_token(vector, &certificate), parsed;
                uint8_t bytes[TOKEN_SIZE_MAX], hash[32];
                int n;

                n = token_write(&t, proof.len, bytes, sizeof(bytes));
                assert_true(n > 0);
                if (!pki)
                        assert_int_equal(token_mac(get_psk_keys(vector).token_key, bytes, (size_t) n, proof.data), 0);
                memcpy(bytes + n, proof.data, proof.len);
                assert_expected(vector, "bytes", bytes, (size_t) n + proof.len);
                assert_int_equal(crypto_sha256(bytes, (size_t) n + proof.len, hash), 0);
                assert_expected(vector, "sha256", hash, sizeof(hash));

                assert_int_equal(token_parse(bytes, (size_t) n + proof.len, &parsed), 0);
                assert_int_equal(parsed.signed_len, n);
                if (!pki)
                        assert_int_equal(token_mac_verify(get_psk_keys(vector).token_key, bytes, parsed.signed_len, parsed.proof), 0);
        }
        assert_true(i > 0);
}

/* The certificate is one of the CA's, for this key, at the time of the token. */
static void check_chain(const json_t *vector, const PublicKey *key, const Bytes *certificate) {
        _cleanup_(trust_store_freep) TrustStore *trust = NULL;
        Bytes ca = get_bytes(vector, "ca");
        char pem[8192] = "-----BEGIN CERTIFICATE-----\n", *end = pem + strlen(pem);
        const char *fault = NULL;
        CertificateInfo info;

        for (size_t i = 0; i < ca.len; i += 48, end = strcat(end, "\n") + strlen(end)) /* 64 characters a line: RFC 7468 section 2 */
                base64_encode(ca.data + i, MIN(ca.len - i, (size_t) 48), end);
        strcat(end, "-----END CERTIFICATE-----\n");
        assert_int_equal(trust_store_new(pem, strlen(pem), &trust, &fault), 0);
        assert_int_equal(certificate_verify(trust, certificate->data, certificate->len, get_integer(vector, "valid_from"), &info), 0);
        assert_int_equal(info.result, CERTIFICATE_OK);
        assert_memory_equal(info.key.bytes, key->bytes, key->algorithm == KEY_ED25519 ? 32 : 65);
        assert_true(info.n_names >= 2);
}

static void signed_tokens_verify_as_published(void **state) {
        json_t *vector;
        size_t i;

        json_array_foreach(get(*state, "signed_tokens"), i, vector) {
                bool ed25519 = streq(json_string_value(get(vector, "algorithm")), "Ed25519");
                Bytes certificate = get_bytes(vector, "certificate"), signature = get_bytes(vector, "signature");
                PublicKey key = { .algorithm = ed25519 ? KEY_ED25519 : KEY_P256 };
                Token t = get_token(vector, &certificate), parsed;
                uint8_t bytes[TOKEN_SIZE_MAX], hash[32];
                int n = token_write(&t, signature.len, bytes, sizeof(bytes));

                assert_true(n > 0);
                assert_int_equal(signature.len, SIGNATURE_SIZE);
                memcpy(bytes + n, signature.data, signature.len);
                assert_expected(vector, "bytes", bytes, (size_t) n + signature.len);
                get_exactly(vector, "public_key", key.bytes, ed25519 ? 32 : 65);
                assert_int_equal(token_parse(bytes, (size_t) n + signature.len, &parsed), 0);
                assert_int_equal(token_signature_verify(&key, parsed.bytes, parsed.signed_len, parsed.proof), 0);
                check_chain(vector, &key, &certificate);
                assert_int_equal(crypto_sha256(parsed.certificate, parsed.certificate_len, hash), 0);
                assert_expected(vector, "node", hash, 16);
                assert_memory_equal(parsed.node, hash, 16);
        }
        assert_int_equal(i, 2);
}

static struct in6_addr get_address(const json_t *object, const char *key) {
        const char *text = json_string_value(get(object, key));
        struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        if (strchr(text, ':'))
                assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
        else
                assert_int_equal(inet_pton(AF_INET, text, a.s6_addr + 12), 1);
        return a;
}

static Endpoints get_endpoints(const json_t *vector, const char *key) {
        json_t *object = get(vector, key);

        return (Endpoints) {
                .client = get_address(object, "client"),
                .server = get_address(object, "server"),
                .client_port = (uint16_t) get_integer(object, "client_port"),
                .server_port = (uint16_t) get_integer(object, "server_port"),
                .client_isn = (uint32_t) get_integer(object, "client_isn"),
                .server_isn = (uint32_t) get_integer(object, "server_isn"),
        };
}

/* Adds the view of m to views[], MACs it with key, and compares the whole message with the published one. */
static void check_message(const json_t *vector, const char *name, Message *m, const uint8_t key[static 32],
                          uint8_t views[static 3][MESSAGE_VIEW_SIZE]) {
        _cleanup_(mac_key_freep) MacKey *k = NULL;
        uint8_t bytes[MESSAGE_SIZE_MAX], hash[32], *view = views[m->type - 1];
        int n;

        assert_int_equal(mac_key_new(key, &k), 0);
        assert_int_equal(crypto_sha256(m->token, m->token_len, hash), 0);
        message_view(m, hash, view);
        if (m->type == MESSAGE_SYN && (m->flags & MESSAGE_KNOWN))
                assert_int_equal(message_mac_syn(k, views[0], m->mac), 0);
        if (m->type == MESSAGE_SYN_ACK)
                assert_int_equal(message_mac_syn_ack(k, views[0], views[1], m->mac), 0);
        if (m->type == MESSAGE_ACK)
                assert_int_equal(message_mac_ack(k, views[0], views[1], views[2], m->mac), 0);
        message_view(m, hash, view);
        n = message_write(m, bytes, sizeof(bytes));
        assert_true(n > 0);
        assert_expected(vector, name, bytes, (size_t) n);
        if (m->type == MESSAGE_SYN_ACK) {
                uint8_t reminder[MESSAGE_SIZE_MIN];

                message_write_reminder(bytes, (size_t) n, reminder);
                assert_expected(vector, "reminder", reminder, sizeof(reminder));
        }
}

static void handshakes_come_out_as_published(void **state) {
        json_t *vector;
        size_t i;

        json_array_foreach(get(*state, "handshakes"), i, vector) {
                const json_t *pair = json_array_get(get(*state, "pairs"), (size_t) get_integer(vector, "pair"));
                const char *tokens = json_string_value(json_object_get(vector, "tokens")) ?: "tokens";
                const json_t *client = json_array_get(get(*state, tokens), (size_t) get_integer(vector, "client_token"));
                const json_t *server = json_array_get(get(*state, tokens), (size_t) get_integer(vector, "server_token"));
                Bytes client_token = get_bytes(get(client, "expect"), "bytes"), server_token = get_bytes(get(server, "expect"), "bytes");
                Side initiator = get_side(pair, "initiator"), responder = get_side(pair, "responder");
                PairKeys keys = derive(pair, &initiator, &responder);
                uint8_t views[3][MESSAGE_VIEW_SIZE];
                Message syn = { .type = MESSAGE_SYN, .endpoints = get_endpoints(vector, "client_sees"),
                                .token = client_token.data, .token_len = (uint16_t) client_token.len };
                Message syn_ack = { .type = MESSAGE_SYN_ACK, .endpoints = get_endpoints(vector, "server_sees"),
                                    .token = server_token.data, .token_len = (uint16_t) server_token.len };
                Message ack = { .type = MESSAGE_ACK, .endpoints = get_endpoints(vector, "client_sees") };

                syn.flags = json_is_true(get(vector, "known")) ? MESSAGE_KNOWN : 0;
                syn.endpoints.server_isn = 0;
                get_exactly(vector, "client_nonce", syn.nonce, sizeof(syn.nonce));
                get_exactly(vector, "server_nonce", syn_ack.nonce, sizeof(syn_ack.nonce));
                check_message(vector, "syn", &syn, keys.out_syn, views);
                check_message(vector, "syn_ack", &syn_ack, keys.out_syn_ack, views);
                check_message(vector, "ack", &ack, keys.out_ack, views);
        }
        assert_true(i > 0);
}

static int load_vectors(void **state) {
        json_error_t error;

        *state = json_load_file(TEST_VECTORS, 0, &error);
        if (!*state)
                fprintf(stderr, "%s:%d: %s\n", TEST_VECTORS, error.line, error.text);
        return *state ? 0 : -1;
}

static int unload_vectors(void **state) {
        json_decref(*state);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(psk_keys_come_out_as_published),
                cmocka_unit_test(pair_keys_come_out_as_published_on_both_sides),
                cmocka_unit_test(tokens_come_out_as_published),
                cmocka_unit_test(signed_tokens_verify_as_published),
                cmocka_unit_test(handshakes_come_out_as_published),
        };

        return cmocka_run_group_tests(tests, load_vectors, unload_vectors);
}
