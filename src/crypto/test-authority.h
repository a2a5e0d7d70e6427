/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: a CA with what it issues, at a date of their choosing. */

#include "crypto/authority.h"

#define DAY ((int64_t) 86400)
#define TEST_SEC INT64_C(1800000000)

typedef struct TestCertificate {
        char *key, *pem;
        uint8_t der[CERTIFICATE_MAX];
        size_t len;
} TestCertificate;

static inline Issuer issuer_of(const TestCertificate *c) {
        return (Issuer) { .key = c->key, .certificate = c->pem };
}

static inline void test_certificate_done(TestCertificate *c) {
        secret_free(c->key);
        free(c->pem);
}

/* issuer NULL: signed by itself. from, until: days from TEST_SEC. */
static inline void test_issue(TestCertificate *c, const TestCertificate *issuer, KeyAlgorithm algorithm, const char *const *names, bool ca, int64_t from, int64_t until) {
        const IssueRequest request = { .name = ca ? "test ca" : "node", .names = names, .ca = ca, .from_sec = TEST_SEC + from, .until_sec = TEST_SEC + until };
        const Issuer by = issuer ? issuer_of(issuer) : (Issuer) {};
        const char *fault;
        int n;

        assert_int_equal(private_key_new(algorithm, &c->key), 0);
        assert_int_equal(certificate_issue(&request, c->key, issuer ? &by : NULL, &c->pem, &fault), 0);
        n = certificate_from_pem(c->pem, strlen(c->pem), c->der);
        assert_true(n > 0);
        c->len = (size_t) n;
}
