/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The path is libcrypto's to find and to judge (RFC 5280); here it is told what a CRL that is missing means, and how far clocks may differ. */
#include "crypto/certificate.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <time.h>

#include "crypto/crypto.h"
#include "crypto/openssl.h"

#define DEPTH_MAX 8
#define AUTH_LEVEL 2 /* SSL_CTX_set_security_level(3): 112 bits, so no SHA-1, no RSA below 2048 bits */
#define URI_PREFIX "trireme:"

DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free);

struct TrustStore {
        X509_STORE *store;              /* self-signed certificates and CRLs */
        STACK_OF(X509) *intermediates;
        STACK_OF(X509_CRL) *crls;
};

typedef struct Check { /* one verification, for its callback */
        const TrustStore *trust;
        int64_t now_sec;
        bool out_of_memory;
} Check;

const char *certificate_result_to_string(CertificateResult result) {
        static const char *const names[_CERTIFICATE_RESULT_MAX] = {
                [CERTIFICATE_OK] = "valid",
                [CERTIFICATE_MALFORMED] = "malformed",
                [CERTIFICATE_UNFIT] = "of a kind that is refused (Ed25519 or P-256 key that may sign, nothing weaker than SHA-256 and RSA 2048 above)",
                [CERTIFICATE_UNKNOWN_CA] = "not issued by a CA of trireme.ca",
                [CERTIFICATE_EXPIRED] = "outside of its validity, or a CA above it is",
                [CERTIFICATE_REVOKED] = "revoked",
                [CERTIFICATE_CRL_EXPIRED] = "not covered by a CRL in date",
        };

        return result < _CERTIFICATE_RESULT_MAX ? names[result] : "unknown";
}

int certificate_prepare(void) {
        tzset(); /* gmtime(3) would */
        if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 || RAND_status() != 1)
                return -EIO;
        return 0;
}

/* ---- the trust store ---- */

TrustStore *trust_store_free(TrustStore *t) {
        if (!t)
                return NULL;
        X509_STORE_free(t->store);
        sk_X509_pop_free(t->intermediates, X509_free);
        sk_X509_CRL_pop_free(t->crls, X509_CRL_free);
        free(t);
        return NULL;
}

static int trust_add(TrustStore *t, X509_INFO *info, const char **ret_fault) {
        if (info->x_pkey || info->enc_data) {
                *ret_fault = "it contains a private key; a CA's key must not be on a node";
                return -EINVAL;
        }
        if (info->crl) {
                if (X509_STORE_add_crl(t->store, info->crl) != 1 || sk_X509_CRL_push(t->crls, info->crl) <= 0)
                        return -ENOMEM;
                info->crl = NULL;
        }
        if (!info->x509)
                return 0;
        if (X509_self_signed(info->x509, 1) == 1)
                return X509_STORE_add_cert(t->store, info->x509) == 1 ? 1 : -ENOMEM;
        if (sk_X509_push(t->intermediates, info->x509) <= 0)
                return -ENOMEM;
        info->x509 = NULL;
        return 0;
}

static void infos_free(STACK_OF(X509_INFO) **infos) {
        sk_X509_INFO_pop_free(*infos, X509_INFO_free);
}

static int trust_fill(TrustStore *t, const char *pem, size_t n, const char **ret_fault) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, (int) n);
        _cleanup_(infos_free) STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
        int n_roots = 0, r = 0;

        if (!bio)
                return -ENOMEM;
        for (int i = 0; infos && r >= 0 && i < sk_X509_INFO_num(infos); i++) {
                r = trust_add(t, sk_X509_INFO_value(infos, i), ret_fault);
                n_roots += r > 0;
        }
        if (r < 0)
                return r;
        if (n_roots > 0)
                return 0;
        *ret_fault = infos ? "it has no self-signed certificate, so there is no CA to trust" : "it is not certificates in PEM";
        return -EINVAL;
}

int trust_store_new(const char *pem, size_t n, TrustStore **ret, const char **ret_fault) {
        _cleanup_(trust_store_freep) TrustStore *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        if (n > TRUST_SIZE_MAX) {
                *ret_fault = "it is too long";
                return -EINVAL;
        }
        t->store = X509_STORE_new();
        t->intermediates = sk_X509_new_null();
        t->crls = sk_X509_CRL_new_null();
        r = t->store && t->intermediates && t->crls ? trust_fill(t, pem, n, ret_fault) : -ENOMEM;
        ERR_clear_error();
        if (r >= 0)
                *ret = TAKE_PTR(t);
        return r;
}

/* ---- the path ---- */

static bool before(const ASN1_TIME *a, int64_t sec) {
        time_t t = (time_t) sec;

        return X509_cmp_time(a, &t) < 0; /* 0 is an error, and a malformed time is neither before nor behind anything */
}

static bool behind(const ASN1_TIME *a, int64_t sec) {
        time_t t = (time_t) sec;

        return X509_cmp_time(a, &t) > 0;
}

static bool has_crl(const TrustStore *t, const X509_NAME *issuer) {
        for (int i = 0; i < sk_X509_CRL_num(t->crls); i++)
                if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(t->crls, i)), issuer) == 0)
                        return true;
        return false;
}

/* Which of libcrypto's objections are none: a CA that publishes no CRL at all, and clocks that differ a little. */
static int on_verify(int ok, X509_STORE_CTX *ctx) {
        Check *check = X509_STORE_CTX_get_app_data(ctx);
        X509 *x = X509_STORE_CTX_get_current_cert(ctx);
        X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);

        if (ok)
                return ok;
        switch (X509_STORE_CTX_get_error(ctx)) {
        case X509_V_ERR_UNABLE_TO_GET_CRL:
                return x && !has_crl(check->trust, X509_get_issuer_name(x));
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return x && before(X509_get0_notBefore(x), check->now_sec + CERTIFICATE_SKEW_SEC);
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return x && behind(X509_get0_notAfter(x), check->now_sec - CERTIFICATE_SKEW_SEC);
        case X509_V_ERR_CRL_NOT_YET_VALID:
                return crl && before(X509_CRL_get0_lastUpdate(crl), check->now_sec + CERTIFICATE_SKEW_SEC);
        case X509_V_ERR_CRL_HAS_EXPIRED:
                return crl && behind(X509_CRL_get0_nextUpdate(crl), check->now_sec - CERTIFICATE_SKEW_SEC);
        case X509_V_ERR_OUT_OF_MEM:
                check->out_of_memory = true;
                return 0;
        default:
                return 0;
        }
}

static CertificateResult result_of_error(int error) {
        switch (error) {
        case X509_V_OK:
                return CERTIFICATE_OK;
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return CERTIFICATE_EXPIRED;
        case X509_V_ERR_CERT_REVOKED:
                return CERTIFICATE_REVOKED;
        case X509_V_ERR_UNABLE_TO_GET_CRL: /* there is one of that name, but it does not fit */
        case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_CRL_HAS_EXPIRED:
                return CERTIFICATE_CRL_EXPIRED;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
                return CERTIFICATE_UNKNOWN_CA;
        default:
                return CERTIFICATE_UNFIT;
        }
}

static int path_verify(Check *check, X509_STORE_CTX *ctx, X509 *x, CertificateResult *ret) {
        X509_VERIFY_PARAM *param;

        if (X509_STORE_CTX_init(ctx, check->trust->store, x, check->trust->intermediates) != 1)
                return -ENOMEM;
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, (time_t) check->now_sec);
        X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
        X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
        if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
                return -ENOMEM;
        X509_STORE_CTX_set_app_data(ctx, check);
        X509_STORE_CTX_set_verify_cb(ctx, on_verify);
        if (X509_verify_cert(ctx) == 1) {
                *ret = CERTIFICATE_OK;
                return 0;
        }
        *ret = result_of_error(X509_STORE_CTX_get_error(ctx));
        if (*ret == CERTIFICATE_OK) /* libcrypto failed without an objection */
                return -EIO;
        return check->out_of_memory ? -ENOMEM : 0;
}

/* ---- what it says ---- */

static int64_t time_to_sec(const ASN1_TIME *t) {
        struct tm tm;

        return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t) timegm(&tm) : 0;
}

static int64_t chain_until(const TrustStore *t, const STACK_OF(X509) *chain) {
        int64_t until = INT64_MAX;

        for (int i = 0; i < sk_X509_num(chain); i++) {
                const X509 *x = sk_X509_value(chain, i);

                until = MIN(until, time_to_sec(X509_get0_notAfter(x)));
                for (int k = 0; k < sk_X509_CRL_num(t->crls); k++) {
                        const X509_CRL *crl = sk_X509_CRL_value(t->crls, k);

                        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(x)) == 0 && X509_CRL_get0_nextUpdate(crl))
                                until = MIN(until, time_to_sec(X509_CRL_get0_nextUpdate(crl)));
                }
        }
        return until;
}

static int names_add(CertificateInfo *info, size_t *used, CertificateNameKind kind, int depth, const ASN1_IA5STRING *s) {
        const char *text = (const char *) ASN1_STRING_get0_data(s);
        size_t n = (size_t) ASN1_STRING_length(s);

        if (info->n_names >= CERTIFICATE_NAMES_MAX || n >= CERTIFICATE_TEXT_MAX - *used)
                return -E2BIG;
        for (size_t i = 0; i < n; i++)
                if (text[i] < 0x20 || text[i] >= 0x7f)
                        return -EBADMSG;
        info->names[info->n_names++] = (CertificateName) { .kind = (uint8_t) kind, .depth = (uint8_t) depth, .offset = (uint16_t) *used };
        memcpy(info->text + *used, text, n);
        *used += n + 1;
        return 0;
}

static bool is_ours(const ASN1_IA5STRING *uri) { /* schemes know no case: RFC 3986 section 3.1 */
        return ASN1_STRING_length(uri) >= (int) sizeof(URI_PREFIX) - 1 &&
               strncasecmp((const char *) ASN1_STRING_get0_data(uri), URI_PREFIX, sizeof(URI_PREFIX) - 1) == 0;
}

static int names_of(CertificateInfo *info, size_t *used, int depth, const X509 *x) {
        int critical, r = 0;
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);

        if (!names && critical != -1) /* not absent but unreadable: of a CA that must not look like no limit */
                return -EBADMSG;
        for (int i = 0; r >= 0 && names && i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

                if (name->type == GEN_DNS && depth == 0)
                        r = names_add(info, used, CERTIFICATE_DNS, depth, name->d.dNSName);
                else if (name->type == GEN_URI && is_ours(name->d.uniformResourceIdentifier))
                        r = names_add(info, used, CERTIFICATE_URI, depth, name->d.uniformResourceIdentifier);
        }
        return r;
}

static int serial_take(CertificateInfo *info, const X509 *x) {
        _cleanup_(BN_freep) BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);

        if (!n || BN_is_negative(n) || BN_num_bytes(n) > (int) sizeof(info->serial))
                return -EBADMSG;
        info->serial_len = (uint32_t) BN_bn2bin(n, info->serial);
        return 0;
}

/* -EBADMSG, -E2BIG, -EINVAL: unfit. */
static int info_fill(const TrustStore *t, X509 *x, const STACK_OF(X509) *chain, CertificateInfo *info) {
        EVP_PKEY *key = X509_get0_pubkey(x);
        size_t used = 0;
        int r;

        if (!key || !(X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE)) /* all bits when the extension is absent */
                return -EINVAL;
        r = public_key_from_openssl(key, &info->key);
        if (r >= 0)
                r = serial_take(info, x);
        for (int i = 0; r >= 0 && i < sk_X509_num(chain); i++)
                r = names_of(info, &used, i, sk_X509_value(chain, i));
        info->own_until_sec = time_to_sec(X509_get0_notAfter(x));
        info->valid_until_sec = chain_until(t, chain);
        return r;
}

/* The node is its certificate's hash, so no other spelling of the same certificate may pass. */
static bool is_canonical(X509 *x, const uint8_t *der, size_t n) {
        uint8_t *again = NULL;
        int len = i2d_X509(x, &again);
        bool same = len >= 0 && (size_t) len == n && memcmp(again, der, n) == 0;

        OPENSSL_free(again);
        return same;
}

static int verify(const TrustStore *t, X509 *x, int64_t now_sec, CertificateInfo *info) {
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        Check check = { .trust = t, .now_sec = now_sec };
        CertificateResult result;
        int r;

        if (!ctx)
                return -ENOMEM;
        r = path_verify(&check, ctx, x, &result);
        if (r < 0)
                return r;
        if (result == CERTIFICATE_OK && info_fill(t, x, X509_STORE_CTX_get0_chain(ctx), info) < 0)
                result = CERTIFICATE_UNFIT;
        if (result != CERTIFICATE_OK)
                *info = (CertificateInfo) {};
        info->result = result;
        return 0;
}

int certificate_verify(const TrustStore *t, const uint8_t *der, size_t n, int64_t now_sec, CertificateInfo *ret) {
        const uint8_t *end = der;
        _cleanup_(X509_freep) X509 *x = n <= CERTIFICATE_MAX ? d2i_X509(NULL, &end, (long) n) : NULL;
        _cleanup_free_ CertificateInfo *info = calloc(1, sizeof(*info));
        int r = 0;

        if (!info)
                return -ENOMEM;
        if (!x || end != der + n || !is_canonical(x, der, n))
                info->result = CERTIFICATE_MALFORMED;
        else
                r = verify(t, x, now_sec, info);
        ERR_clear_error();
        if (r >= 0)
                *ret = *info;
        return r;
}

int certificate_from_pem(const char *pem, size_t n, uint8_t ret[static CERTIFICATE_MAX]) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, (int) n);
        _cleanup_(X509_freep) X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
        int len = x ? i2d_X509(x, NULL) : -1;

        ERR_clear_error();
        if (len < 0)
                return -EINVAL;
        if (len > (int) CERTIFICATE_MAX)
                return -EFBIG;
        return i2d_X509(x, &ret);
}
