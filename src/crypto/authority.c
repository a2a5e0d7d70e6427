/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crypto/authority.h"

#include <errno.h>
#include <openssl/pem.h>

#include "crypto/crypto.h"
#include "crypto/openssl.h"

#define SERIAL_BITS 127 /* positive, and within the 20 bytes of RFC 5280 */

DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free);
DEFINE_CLEANUP(X509_REVOKED *, X509_REVOKED_free);

char *secret_free(char *s) {
        if (s)
                crypto_wipe(s, strlen(s));
        free(s);
        return NULL;
}

/* ---- PEM ---- */

static int bio_take(BIO *bio, char **ret) {
        char *data, *text;
        long n = BIO_get_mem_data(bio, &data);

        text = n > 0 ? strndup(data, (size_t) n) : NULL;
        if (n > 0)
                crypto_wipe(data, (size_t) n);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

static EVP_PKEY *read_key(const char *pem) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, -1);

        return bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) "") : NULL;
}

static X509 *read_certificate(const char *pem) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, -1);

        return bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

int private_key_new(KeyAlgorithm algorithm, char **ret) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = algorithm == KEY_P256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
        int r = -EIO;

        if (key && bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
                r = bio_take(bio, ret);
        ERR_clear_error();
        return r;
}

/* ---- parts of a certificate ---- */

static int set_serial(X509 *x) {
        _cleanup_(BN_freep) BIGNUM *n = BN_new();

        return n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) ? 0 : -EIO;
}

static int set_name(X509 *x, const char *name) {
        return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8, (const unsigned char *) name, -1, -1, 0) == 1 ? 0 : -EINVAL;
}

static int set_dates(X509 *x, int64_t from_sec, int64_t until_sec) {
        return ASN1_TIME_set(X509_getm_notBefore(x), (time_t) from_sec) && ASN1_TIME_set(X509_getm_notAfter(x), (time_t) until_sec) ? 0 : -EINVAL;
}

static int add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *e = NULL;
        X509V3_CTX ctx;

        X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
        e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        return e && X509_add_ext(x, e, -1) == 1 ? 0 : -EIO;
}

/* Not by X509V3_EXT_conf_nid(): there a comma in a name would begin the next one. */
static int add_names(X509 *x, const char *const *names) {
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *all = GENERAL_NAMES_new();

        for (; all && names && *names; names++) {
                const char *uri = startswith(*names, "URI:"), *dns = startswith(*names, "DNS:");
                GENERAL_NAME *name = uri || dns ? a2i_GENERAL_NAME(NULL, NULL, NULL, uri ? GEN_URI : GEN_DNS, uri ?: dns, 0) : NULL;

                if (!name)
                        return -EINVAL;
                if (sk_GENERAL_NAME_push(all, name) <= 0) {
                        GENERAL_NAME_free(name);
                        return -ENOMEM;
                }
        }
        if (!all)
                return -ENOMEM;
        return sk_GENERAL_NAME_num(all) == 0 || X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1 ? 0 : -EIO;
}

/* A token has room for some 900 bytes of certificate, so a node's has what is needed and no more. */
static int add_extensions(X509 *x, X509 *issuer, const IssueRequest *request) {
        int r = add_names(x, request->names);

        if (r >= 0)
                r = add_extension(x, issuer, NID_basic_constraints, request->ca ? "critical,CA:TRUE" : "CA:FALSE");
        if (r >= 0)
                r = add_extension(x, issuer, NID_key_usage, request->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
        if (r >= 0 && request->ca)
                r = add_extension(x, issuer, NID_subject_key_identifier, "hash");
        if (r >= 0 && issuer != x)
                r = add_extension(x, issuer, NID_authority_key_identifier, "keyid");
        return r;
}

static const EVP_MD *signature_digest(EVP_PKEY *key) {
        return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static int certificate_fill(X509 *x, EVP_PKEY *key, X509 *issuer, const IssueRequest *request) {
        int r = X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1 ? 0 : -EIO;

        if (r >= 0)
                r = set_serial(x);
        if (r >= 0)
                r = set_name(x, request->name);
        if (r >= 0)
                r = set_dates(x, request->from_sec, request->until_sec);
        if (r >= 0 && X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1)
                r = -EIO;
        return r < 0 ? r : add_extensions(x, issuer, request);
}

static int certificate_sign(X509 *x, EVP_PKEY *issuer_key, char **ret) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());

        if (!bio || X509_sign(x, issuer_key, signature_digest(issuer_key)) <= 0 || PEM_write_bio_X509(bio, x) != 1)
                return -EIO;
        return bio_take(bio, ret);
}

int certificate_issue(const IssueRequest *request, const char *key, const Issuer *issuer, char **ret, const char **ret_fault) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *own = read_key(key), *ca_key = issuer ? read_key(issuer->key) : NULL;
        _cleanup_(X509_freep) X509 *x = X509_new(), *ca = issuer ? read_certificate(issuer->certificate) : NULL;
        int r;

        *ret_fault = "the names cannot be written into a certificate";
        if (!x)
                r = -ENOMEM;
        else if (!own || (issuer && (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1))) {
                *ret_fault = "the CA's certificate and key cannot be read, or do not belong together";
                r = -EINVAL;
        } else {
                r = certificate_fill(x, own, ca ?: x, request);
                if (r >= 0)
                        r = certificate_sign(x, ca_key ?: own, ret);
        }
        ERR_clear_error();
        return r;
}

/* ---- CRLs ---- */

static int crl_add(X509_CRL *crl, const char *serial, size_t n, const ASN1_TIME *time) {
        _cleanup_(X509_REVOKED_freep) X509_REVOKED *revoked = X509_REVOKED_new();
        _cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *number = NULL;
        _cleanup_(BN_freep) BIGNUM *bn = NULL;
        char hex[2 * CERTIFICATE_SERIAL_MAX + 1];

        if (n == 0)
                return 0;
        if (n >= sizeof(hex))
                return -EINVAL;
        memcpy(hex, serial, n);
        hex[n] = '\0';
        if (strspn(hex, "0123456789ABCDEFabcdef") != n || BN_hex2bn(&bn, hex) <= 0)
                return -EINVAL;
        number = BN_to_ASN1_INTEGER(bn, NULL);
        if (!revoked || !number || X509_REVOKED_set_serialNumber(revoked, number) != 1 || X509_REVOKED_set_revocationDate(revoked, (ASN1_TIME *) time) != 1 ||
            X509_CRL_add0_revoked(crl, revoked) != 1)
                return -ENOMEM;
        revoked = NULL;
        return 0;
}

static int crl_set_number(X509_CRL *crl, int64_t number) {
        _cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *n = ASN1_INTEGER_new();

        return n && ASN1_INTEGER_set_int64(n, number) == 1 && X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, X509V3_ADD_DEFAULT) == 1 ? 0 : -EIO;
}

static int crl_fill(X509_CRL *crl, X509 *ca, const char *serials, int64_t from_sec, int64_t until_sec) {
        _cleanup_(ASN1_TIME_freep) ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t) from_sec), *until = ASN1_TIME_set(NULL, (time_t) until_sec);
        int r = 0;

        if (!from || !until || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 || X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) != 1 ||
            X509_CRL_set1_lastUpdate(crl, from) != 1 || X509_CRL_set1_nextUpdate(crl, until) != 1)
                return -ENOMEM;
        while (r >= 0 && *serials) {
                size_t n = strcspn(serials, "\n");

                r = crl_add(crl, serials, n, from);
                serials += n + (serials[n] == '\n');
        }
        return r < 0 || X509_CRL_sort(crl) == 1 ? r : -EIO;
}

int crl_issue(const Issuer *issuer, const char *serials, int64_t number, int64_t from_sec, int64_t until_sec, char **ret, const char **ret_fault) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = read_key(issuer->key);
        _cleanup_(X509_freep) X509 *ca = read_certificate(issuer->certificate);
        _cleanup_(X509_CRL_freep) X509_CRL *crl = X509_CRL_new();
        _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
        int r;

        *ret_fault = "a serial is not in hexadecimal";
        if (!crl || !bio)
                r = -ENOMEM;
        else if (!key || !ca || X509_check_private_key(ca, key) != 1) {
                *ret_fault = "the CA's certificate and key cannot be read, or do not belong together";
                r = -EINVAL;
        } else {
                r = crl_fill(crl, ca, serials, from_sec, until_sec);
                if (r >= 0)
                        r = crl_set_number(crl, number);
                if (r >= 0 && (X509_CRL_sign(crl, key, signature_digest(key)) <= 0 || PEM_write_bio_X509_CRL(bio, crl) != 1))
                        r = -EIO;
                if (r >= 0)
                        r = bio_take(bio, ret);
        }
        ERR_clear_error();
        return r;
}

int certificate_serial(const char *pem, char **ret) {
        _cleanup_(X509_freep) X509 *x = read_certificate(pem);
        _cleanup_(BN_freep) BIGNUM *n = x ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL) : NULL;
        char *hex = n ? BN_bn2hex(n) : NULL;

        ERR_clear_error();
        if (!hex)
                return -EINVAL;
        *ret = strdup(hex);
        OPENSSL_free(hex);
        return *ret ? 0 : -ENOMEM;
}
