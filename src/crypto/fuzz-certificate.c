/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The certificate of a stranger, against trust stores whose CA did and did not issue it; and a trust store from the same bytes. */

#include "crypto/certificate.h"
#include "crypto/fuzz-trust.h"
#include "util/fuzz.h"

static TrustStore *trust(void) {
        static TrustStore *t;
        const char *fault;

        if (!t)
                CHECK(trust_store_new(fuzz_trust, strlen(fuzz_trust), &t, &fault) == 0);
        return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static CertificateInfo info, zero;
        _cleanup_(trust_store_freep) TrustStore *other = NULL;
        const char *fault = NULL;
        uint8_t der[CERTIFICATE_MAX];
        int n;

        CHECK(certificate_verify(trust(), data, size, FUZZ_TRUST_SEC, &info) == 0);
        CHECK(info.result < _CERTIFICATE_RESULT_MAX && info.n_names <= CERTIFICATE_NAMES_MAX);
        zero.result = info.result;
        CHECK(info.result == CERTIFICATE_OK || memcmp(&info, &zero, sizeof(info)) == 0);
        for (uint32_t i = 0; i < info.n_names; i++)
                CHECK(info.names[i].offset < sizeof(info.text) && memchr(info.text + info.names[i].offset, '\0', sizeof(info.text) - info.names[i].offset));
        n = certificate_from_pem((const char *) data, size, der);
        CHECK(n < 0 || n <= (int) sizeof(der));
        CHECK(trust_store_new((const char *) data, size, &other, &fault) >= 0 || fault);
        return 0;
}
