/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/test-authority.h"

static const char *const web_names[] = { "URI:trireme:app=web", "URI:https://example.org/", "DNS:web1", "URI:TRIREME:env=dev*", NULL };
static const char *const limit_names[] = { "URI:trireme:app=*", "DNS:ca", NULL };
static const char *const same_name[] = { NULL };

static TrustStore *trust(const char *a, const char *b, const char *c) {
        char text[16384];
        const char *fault;
        TrustStore *t;

        (void) snprintf(text, sizeof(text), "%s%s%s", a, b ?: "", c ?: "");
        assert_int_equal(trust_store_new(text, strlen(text), &t, &fault), 0);
        return t;
}

static CertificateInfo judge_at(TrustStore *t, const TestCertificate *c, int64_t sec) {
        CertificateInfo info;

        assert_int_equal(certificate_verify(t, c->der, c->len, sec, &info), 0);
        return info;
}

static CertificateInfo judge(TrustStore *t, const TestCertificate *c) {
        return judge_at(t, c, TEST_SEC);
}

static void a_certificate_of_a_trusted_ca_tells_its_key_names_serial_and_dates(void **state) {
        for (KeyAlgorithm a = KEY_ED25519; a <= KEY_P256; a++) {
                _cleanup_(test_certificate_done) TestCertificate root = {}, node = {};
                _cleanup_(trust_store_freep) TrustStore *t = NULL;
                _cleanup_(node_key_freep) NodeKey *key = NULL;
                _cleanup_free_ char *serial = NULL;
                const char *fault;
                CertificateInfo info;
                char hex[64] = "";

                test_issue(&root, NULL, a, same_name, true, -DAY, 100 * DAY);
                test_issue(&node, &root, a, web_names, false, -DAY, 10 * DAY);
                t = trust(root.pem, NULL, NULL);
                info = judge(t, &node);
                assert_int_equal(info.result, CERTIFICATE_OK);
                assert_int_equal(info.n_names, 3);
                assert_string_equal(info.text + info.names[0].offset, "trireme:app=web");
                assert_int_equal(info.names[1].kind, CERTIFICATE_DNS);
                assert_string_equal(info.text + info.names[1].offset, "web1");
                assert_string_equal(info.text + info.names[2].offset, "TRIREME:env=dev*");
                assert_int_equal(info.names[2].depth, 0);
                assert_int_equal(info.valid_until_sec, TEST_SEC + 10 * DAY);
                assert_int_equal(info.own_until_sec, TEST_SEC + 10 * DAY);
                assert_int_equal(node_key_parse(node.key, strlen(node.key), &key, &fault), 0);
                assert_memory_equal(&info.key, node_key_public(key), sizeof(info.key));
                assert_int_equal(certificate_serial(node.pem, &serial), 0);
                for (size_t i = 0; i < info.serial_len; i++)
                        (void) sprintf(hex + 2 * i, "%02X", info.serial[i]);
                assert_string_equal(hex, serial);
        }
}

static void a_chain_needs_its_intermediate_and_tells_its_names_and_the_earliest_end(void **state) {
        _cleanup_(test_certificate_done) TestCertificate root = {}, middle = {}, node = {}, foreign = {};
        _cleanup_(trust_store_freep) TrustStore *whole = NULL, *root_only = NULL, *other = NULL, *both = NULL;
        CertificateInfo info;

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        test_issue(&middle, &root, KEY_ED25519, limit_names, true, -DAY, 5 * DAY);
        test_issue(&node, &middle, KEY_P256, web_names, false, -DAY, 10 * DAY);
        test_issue(&foreign, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        whole = trust(middle.pem, root.pem, NULL);
        info = judge(whole, &node);
        assert_int_equal(info.result, CERTIFICATE_OK);
        assert_int_equal(info.n_names, 4);
        assert_int_equal(info.names[3].depth, 1);
        assert_string_equal(info.text + info.names[3].offset, "trireme:app=*");
        assert_int_equal(info.valid_until_sec, TEST_SEC + 5 * DAY);
        assert_int_equal(info.own_until_sec, TEST_SEC + 10 * DAY);
        assert_int_equal(judge_at(whole, &node, TEST_SEC + 6 * DAY).result, CERTIFICATE_EXPIRED);

        root_only = trust(root.pem, NULL, NULL);
        info = judge(root_only, &node);
        assert_int_equal(info.result, CERTIFICATE_UNKNOWN_CA);
        assert_int_equal(info.n_names, 0);
        assert_int_equal(info.key.algorithm, 0);
        other = trust(foreign.pem, middle.pem, NULL); /* the same names, another key, and the intermediate is no anchor */
        assert_int_equal(judge(other, &node).result, CERTIFICATE_UNKNOWN_CA);
        both = trust(foreign.pem, root.pem, middle.pem);
        assert_int_equal(judge(both, &node).result, CERTIFICATE_OK);
}

static void clocks_may_differ_by_two_minutes_and_no_more(void **state) {
        static const struct {
                int64_t sec;
                CertificateResult result;
        } cases[] = {
                { TEST_SEC - 121, CERTIFICATE_EXPIRED }, { TEST_SEC - 119, CERTIFICATE_OK }, { TEST_SEC, CERTIFICATE_OK }, { TEST_SEC + DAY, CERTIFICATE_OK },
                { TEST_SEC + DAY + 119, CERTIFICATE_OK }, { TEST_SEC + DAY + 121, CERTIFICATE_EXPIRED },
        };
        _cleanup_(test_certificate_done) TestCertificate root = {}, node = {};
        _cleanup_(trust_store_freep) TrustStore *t = NULL;

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        test_issue(&node, &root, KEY_P256, web_names, false, 0, DAY);
        t = trust(root.pem, NULL, NULL);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(judge_at(t, &node, cases[i].sec).result, cases[i].result);
}

static void a_crl_revokes_and_denies_when_it_is_out_of_date(void **state) {
        _cleanup_(test_certificate_done) TestCertificate root = {}, node = {}, good = {}, foreign = {};
        _cleanup_(trust_store_freep) TrustStore *t = NULL;
        _cleanup_free_ char *serial = NULL, *crl = NULL;
        const char *fault;
        Issuer issuer;
        CertificateInfo info;

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        test_issue(&node, &root, KEY_P256, web_names, false, -DAY, 10 * DAY);
        test_issue(&good, &root, KEY_P256, web_names, false, -DAY, 10 * DAY);
        assert_int_equal(certificate_serial(node.pem, &serial), 0);
        issuer = issuer_of(&root);
        assert_int_equal(crl_issue(&issuer, serial, 1, TEST_SEC - DAY, TEST_SEC + 2 * DAY, &crl, &fault), 0);
        t = trust(crl, root.pem, NULL);
        assert_int_equal(judge(t, &node).result, CERTIFICATE_REVOKED);
        info = judge(t, &good);
        assert_int_equal(info.result, CERTIFICATE_OK);
        assert_int_equal(info.valid_until_sec, TEST_SEC + 2 * DAY);
        assert_int_equal(judge_at(t, &good, TEST_SEC + 2 * DAY + 119).result, CERTIFICATE_OK);
        assert_int_equal(judge_at(t, &good, TEST_SEC + 3 * DAY).result, CERTIFICATE_CRL_EXPIRED);
        assert_int_equal(judge_at(t, &node, TEST_SEC + 3 * DAY).result, CERTIFICATE_CRL_EXPIRED);
        trust_store_free(TAKE_PTR(t));

        /* A list that somebody else signed in the CA's name does not clear anybody. */
        test_issue(&foreign, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        issuer = issuer_of(&foreign);
        free(TAKE_PTR(crl));
        assert_int_equal(crl_issue(&issuer, "", 9, TEST_SEC - DAY, TEST_SEC + 2 * DAY, &crl, &fault), 0);
        t = trust(crl, root.pem, NULL);
        assert_int_equal(judge(t, &good).result, CERTIFICATE_CRL_EXPIRED);
}

/* A self-made certificate of an RSA or P-384 key, signed by root. */
static void issue_foreign_kind(TestCertificate *c, const TestCertificate *root, const char *kind) {
        EVP_PKEY *key = streq(kind, "RSA") ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048) : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        const IssueRequest request = { .name = "node", .from_sec = TEST_SEC - DAY, .until_sec = TEST_SEC + DAY };
        const Issuer issuer = issuer_of(root);
        const char *fault;
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        long n;

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        n = BIO_get_mem_data(bio, &text);
        c->key = strndup(text, (size_t) n);
        assert_int_equal(certificate_issue(&request, c->key, &issuer, &c->pem, &fault), 0);
        n = certificate_from_pem(c->pem, strlen(c->pem), c->der);
        assert_true(n > 0);
        c->len = (size_t) n;
        BIO_free(bio);
        EVP_PKEY_free(key);
}

static void other_kinds_of_keys_are_unfit(void **state) {
        static const char *const kinds[] = { "RSA", "P-384" };
        _cleanup_(test_certificate_done) TestCertificate root = {};
        _cleanup_(trust_store_freep) TrustStore *t = NULL;

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        t = trust(root.pem, NULL, NULL);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                _cleanup_(test_certificate_done) TestCertificate node = {};
                NodeKey *key;
                const char *fault = NULL;

                issue_foreign_kind(&node, &root, kinds[i]);
                assert_int_equal(judge(t, &node).result, CERTIFICATE_UNFIT);
                assert_int_equal(node_key_parse(node.key, strlen(node.key), &key, &fault), -EINVAL);
                assert_non_null(strstr(fault, "neither an Ed25519 nor a P-256 key"));
        }
}

static void a_ca_certificate_may_not_be_a_node(void **state) {
        _cleanup_(test_certificate_done) TestCertificate root = {}, ca = {};
        _cleanup_(trust_store_freep) TrustStore *t = NULL;

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        test_issue(&ca, &root, KEY_P256, web_names, true, -DAY, 100 * DAY);
        t = trust(root.pem, NULL, NULL);
        assert_int_equal(judge(t, &ca).result, CERTIFICATE_UNFIT); /* its key may not sign tokens */
}

static void a_changed_cut_or_padded_certificate_is_refused(void **state) {
        _cleanup_(test_certificate_done) TestCertificate root = {}, node = {};
        _cleanup_(trust_store_freep) TrustStore *t = NULL;
        uint8_t der[CERTIFICATE_MAX + 1] = {};
        CertificateInfo info;

        test_issue(&root, NULL, KEY_ED25519, same_name, true, -DAY, 100 * DAY);
        test_issue(&node, &root, KEY_ED25519, web_names, false, -DAY, 10 * DAY);
        t = trust(root.pem, NULL, NULL);
        memcpy(der, node.der, node.len);
        for (size_t i = 0; i < node.len; i++) {
                der[i] ^= 1;
                assert_int_equal(certificate_verify(t, der, node.len, TEST_SEC, &info), 0);
                if (info.result == CERTIFICATE_OK)
                        print_error("byte %zu can be changed\n", i);
                assert_int_not_equal(info.result, CERTIFICATE_OK);
                der[i] ^= 1;
                assert_int_equal(certificate_verify(t, der, i, TEST_SEC, &info), 0);
                assert_int_equal(info.result, CERTIFICATE_MALFORMED);
        }
        assert_int_equal(certificate_verify(t, der, node.len + 1, TEST_SEC, &info), 0);
        assert_int_equal(info.result, CERTIFICATE_MALFORMED);
        assert_int_equal(certificate_verify(t, der, sizeof(der), TEST_SEC, &info), 0);
        assert_int_equal(info.result, CERTIFICATE_MALFORMED);
}

static void a_trust_store_without_a_root_or_with_a_private_key_is_refused(void **state) {
        _cleanup_(test_certificate_done) TestCertificate root = {}, node = {};
        char text[16384];
        const char *fault;
        TrustStore *t;
        const struct {
                const char *first, *second, *fault;
        } cases[] = {
                { "", "", "not certificates in PEM" }, { "hello\n", "", "no self-signed certificate" }, { NULL, "", "no self-signed certificate" }, { "root", "key", "private key" },
        };

        test_issue(&root, NULL, KEY_P256, same_name, true, -DAY, 100 * DAY);
        test_issue(&node, &root, KEY_P256, web_names, false, -DAY, 10 * DAY);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) snprintf(text, sizeof(text), "%s%s", !cases[i].first ? node.pem : streq(cases[i].first, "root") ? root.pem : cases[i].first,
                                streq(cases[i].second, "key") ? root.key : cases[i].second);
                assert_int_equal(trust_store_new(text, strlen(text), &t, &fault), -EINVAL);
                if (!strstr(fault, cases[i].fault) && !(i == 0 && strstr(fault, "no self-signed")))
                        fail_msg("case %zu: %s", i, fault);
        }
}

static void a_signature_holds_for_its_key_and_every_bit_of_its_text(void **state) {
        static const char text[] = "the bytes of a token";

        for (KeyAlgorithm a = KEY_ED25519; a <= KEY_P256; a++) {
                _cleanup_(node_key_freep) NodeKey *key = NULL, *other = NULL;
                _cleanup_(secret_freep) char *pem = NULL, *other_pem = NULL;
                uint8_t signature[SIGNATURE_SIZE];
                char changed[sizeof(text)];
                const char *fault;
                PublicKey none = { .algorithm = a };

                assert_int_equal(private_key_new(a, &pem), 0);
                assert_int_equal(private_key_new(a, &other_pem), 0);
                assert_int_equal(node_key_parse(pem, strlen(pem), &key, &fault), 0);
                assert_int_equal(node_key_parse(other_pem, strlen(other_pem), &other, &fault), 0);
                assert_int_equal(token_sign(key, text, sizeof(text), signature), 0);
                assert_int_equal(token_signature_verify(node_key_public(key), text, sizeof(text), signature), 0);
                assert_int_equal(token_signature_verify(node_key_public(other), text, sizeof(text), signature), -EBADMSG);
                assert_int_equal(token_signature_verify(node_key_public(key), text, sizeof(text) - 1, signature), -EBADMSG);
                assert_true(token_signature_verify(&none, text, sizeof(text), signature) < 0);
                for (size_t i = 0; i < 8 * sizeof(text); i++) {
                        memcpy(changed, text, sizeof(text));
                        changed[i / 8] ^= (char) (1 << i % 8);
                        assert_int_equal(token_signature_verify(node_key_public(key), changed, sizeof(text), signature), -EBADMSG);
                }
                for (size_t i = 0; i < 8 * sizeof(signature); i++) {
                        signature[i / 8] ^= (uint8_t) (1 << i % 8);
                        assert_int_equal(token_signature_verify(node_key_public(key), text, sizeof(text), signature), -EBADMSG);
                        signature[i / 8] ^= (uint8_t) (1 << i % 8);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_certificate_of_a_trusted_ca_tells_its_key_names_serial_and_dates),
                cmocka_unit_test(a_chain_needs_its_intermediate_and_tells_its_names_and_the_earliest_end),
                cmocka_unit_test(clocks_may_differ_by_two_minutes_and_no_more),
                cmocka_unit_test(a_crl_revokes_and_denies_when_it_is_out_of_date),
                cmocka_unit_test(other_kinds_of_keys_are_unfit),
                cmocka_unit_test(a_ca_certificate_may_not_be_a_node),
                cmocka_unit_test(a_changed_cut_or_padded_certificate_is_refused),
                cmocka_unit_test(a_trust_store_without_a_root_or_with_a_private_key_is_refused),
                cmocka_unit_test(a_signature_holds_for_its_key_and_every_bit_of_its_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
