/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A certificate wins over a PSK, and one that cannot be used never falls back to it. */
#include "enforcer/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"

#define SECRET_MAX 8192u      /* bytes of trireme.key or trireme.cert */

static int keys_set_fault(Keys *k, const char *what, const char *why) {
        char *text;

        if (asprintf(&text, "%s: %s", what, why) < 0)
                return -ENOMEM;
        free(k->fault);
        k->fault = text;
        return 0;
}

/* ---- files ---- */

typedef struct Secret {
        char *text;
        size_t len, size;
} Secret;

static void secret_done(Secret *s) {
        if (s->text)
                crypto_wipe(s->text, s->size);
        free(s->text);
}

/* 1: read; 0: there is none; negative: as errno says, or -EFBIG, -EPERM when others may read it. */
static int secret_read(int directory, const char *name, size_t max, Secret *ret) {
        _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO))
                return -EPERM;
        if (st.st_size > (off_t) max)
                return -EFBIG;
        ret->size = max + 1;
        ret->text = malloc(ret->size);
        if (!ret->text)
                return -ENOMEM;
        n = read(fd, ret->text, ret->size);
        if (n < 0)
                return -errno;
        ret->len = (size_t) n;
        return ret->len > max ? -EFBIG : 1;
}

static int secret_fault(Keys *k, const char *name, int error) {
        if (error == -ENOMEM)
                return error;
        return keys_set_fault(k, name, error == -EPERM ? "it can be read by others; make it mode 0600 and choose a new one" : strerror(-error));
}

/* Ours are copies that PID 1 made. Whether others may read what it copied only root can see. */
static int find_exposed(Keys *k, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        char name[256];
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : keys_set_fault(k, path, strerror(errno));
        n = read(fd, name, sizeof(name) - 1);
        if (n < 0)
                return keys_set_fault(k, path, strerror(errno));
        name[n] = '\0';
        return keys_set_fault(k, name, "it can be read by others; make it mode 0600 and choose a new one");
}

/* ---- PSK ---- */

static int load_psk(Keys *k, const KeySource *source) {
        _cleanup_(secret_done) Secret text = {};
        const char *fault;
        int r = secret_read(source->directory, "trireme.psk", PSK_TEXT_MAX, &text);

        if (r == 0)
                return keys_set_fault(k, "no key", "there is no trireme.psk in /etc/credstore; make one with: triremectl key new");
        if (r < 0)
                return secret_fault(k, "trireme.psk", r);
        r = psk_list_parse(text.text, text.len, k->psks, &fault);
        if (r == -EINVAL)
                return keys_set_fault(k, "trireme.psk", fault);
        if (r < 0)
                return r;
        k->n_psks = (size_t) r;
        k->mode = KEY_PSK;
        k->own.key_id = k->psks[0].key_id;
        memcpy(k->own.node, source->machine, sizeof(k->own.node));
        return 0;
}

/* ---- PKI ---- */

static int load_certificate(Keys *k, const Secret *text) {
        uint8_t hash[CRYPTO_HASH_SIZE];
        int r = certificate_from_pem(text->text, text->len, k->certificate);

        if (r == -EFBIG)
                return keys_set_fault(k, "trireme.cert", "it is too long for a token: use fewer names, an Ed25519 or P-256 key, and a CA with such a key");
        if (r < 0)
                return keys_set_fault(k, "trireme.cert", "it is no certificate in PEM");
        k->certificate_len = (size_t) r;
        r = crypto_sha256(k->certificate, k->certificate_len, hash);
        if (r >= 0)
                memcpy(k->own.node, hash, sizeof(k->own.node));
        return r;
}

/* CAs and CRLs are no secrets, and one text for whoever judges certificates. */
static int load_trust(Keys *k, int directory) {
        _cleanup_(secret_done) Secret ca = {}, crl = {};
        char *end;
        int r;

        r = secret_read(directory, "trireme.ca", TRUST_SIZE_MAX / 2, &ca);
        if (r <= 0)
                return r < 0 ? secret_fault(k, "trireme.ca", r) : keys_set_fault(k, "trireme.ca", "it is missing: the certificates of the CAs that this node trusts");
        r = secret_read(directory, "trireme.crl", TRUST_SIZE_MAX / 2 - 1, &crl);
        if (r < 0)
                return secret_fault(k, "trireme.crl", r);
        k->trust_len = ca.len + 1 + crl.len;
        k->trust = malloc(k->trust_len);
        if (!k->trust)
                return -ENOMEM;
        end = mempcpy(k->trust, ca.text, ca.len);
        *end++ = '\n';
        if (crl.len > 0)
                memcpy(end, crl.text, crl.len);
        return 0;
}

static int load_pki_files(Keys *k, int directory) {
        _cleanup_(secret_done) Secret certificate = {}, key = {};
        const char *fault;
        int r;

        r = secret_read(directory, "trireme.cert", SECRET_MAX, &certificate);
        if (r <= 0)
                return r < 0 ? secret_fault(k, "trireme.cert", r) : keys_set_fault(k, "trireme.cert", "it is missing, but there is a trireme.key");
        r = secret_read(directory, "trireme.key", SECRET_MAX, &key);
        if (r <= 0)
                return r < 0 ? secret_fault(k, "trireme.key", r) : keys_set_fault(k, "trireme.key", "it is missing, but there is a trireme.cert");
        r = node_key_parse(key.text, key.len, &k->key, &fault);
        if (r == -EINVAL)
                return keys_set_fault(k, "trireme.key", fault);
        if (r >= 0)
                r = load_certificate(k, &certificate);
        return r;
}

static int load_pki(Keys *k, int directory) {
        int r = load_pki_files(k, directory);

        if (r >= 0 && !k->fault)
                r = load_trust(k, directory);
        if (r >= 0 && !k->fault)
                k->mode = KEY_PKI;
        return r;
}

/* What is wrong with it, in static text or in *ret_text, which is then yours. */
static int certificate_fault(Keys *k, int64_t now_sec, const char **ret) {
        _cleanup_(trust_store_freep) TrustStore *trust = NULL;
        const char *fault = NULL;
        int r = trust_store_new(k->trust, k->trust_len, &trust, &fault);

        if (r >= 0)
                r = certificate_verify(trust, k->certificate, k->certificate_len, now_sec, &k->info);
        if (r < 0 && r != -EINVAL)
                return r;
        constraints_done(&k->constraints);
        if (r == -EINVAL)
                *ret = fault;
        else if (k->info.result != CERTIFICATE_OK)
                *ret = certificate_result_to_string(k->info.result);
        else if (memcmp(&k->info.key, node_key_public(k->key), sizeof(k->info.key)) != 0)
                *ret = "it is not the certificate of the key in trireme.key";
        else {
                r = constraints_from_certificate(&k->info, &k->constraints);
                *ret = r == -EINVAL ? "it, or a CA above it, has a \"trireme:\" name that cannot be understood" : NULL;
        }
        return r == -EINVAL ? 0 : r;
}

int keys_judge(Keys *k, int64_t now_sec) {
        _cleanup_free_ char *old = NULL;
        const char *fault;
        int r;

        if (k->mode != KEY_PKI)
                return 0;
        r = certificate_fault(k, now_sec, &fault);
        if (r < 0)
                return r;
        old = TAKE_PTR(k->fault);
        if (fault)
                r = keys_set_fault(k, "this node's certificate cannot be used", fault);
        return r < 0 ? r : old && k->fault ? !streq(old, k->fault) : old != k->fault;
}

/* ---- all of it ---- */

static int load_files(Keys *k, const KeySource *source) {
        int r;

        if (source->directory < 0)
                return keys_set_fault(k, "no key", "no credentials were passed to the service (trireme.psk in /etc/credstore)");
        r = find_exposed(k, source->exposed);
        if (r < 0 || k->fault)
                return r;
        if (faccessat(source->directory, "trireme.cert", F_OK, 0) >= 0 || faccessat(source->directory, "trireme.key", F_OK, 0) >= 0)
                return load_pki(k, source->directory);
        return load_psk(k, source);
}

int keys_load(const KeySource *source, int64_t now_sec, usec_t now_usec, Keys **ret) {
        _cleanup_(keys_freep) Keys *k = calloc(1, sizeof(*k));
        int r;

        if (!k)
                return -ENOMEM;
        r = load_files(k, source);
        if (r >= 0)
                r = keys_judge(k, now_sec);
        if (r >= 0)
                r = dh_key_generate(&k->own.dh);
        if (r < 0)
                return r;
        k->dh_made_usec = now_usec;
        *ret = TAKE_PTR(k);
        return 0;
}

Keys *keys_free(Keys *k) {
        if (!k)
                return NULL;
        free(k->fault);
        free(k->trust);
        node_key_free(k->key);
        constraints_done(&k->constraints);
        crypto_wipe(k, sizeof(*k));
        free(k);
        return NULL;
}

bool keys_equal(const Keys *a, const Keys *b) {
        if (a->mode != b->mode || a->n_psks != b->n_psks || a->certificate_len != b->certificate_len || a->trust_len != b->trust_len)
                return false;
        if (!crypto_equal(a->psks, b->psks, sizeof(a->psks)) || memcmp(a->certificate, b->certificate, sizeof(a->certificate)) != 0)
                return false;
        return a->trust_len == 0 || memcmp(a->trust, b->trust, a->trust_len) == 0;
}

KeyTimes key_times(uint32_t token_life_sec, uint32_t key_life_sec) {
        usec_t key = key_life_sec * USEC_PER_SEC, token = MIN(token_life_sec * USEC_PER_SEC, key / 4);

        return (KeyTimes) { .token_usec = token, .tick_usec = token / 2, .rotate_usec = key - 2 * token }; /* one tick late, a token's life, one tick late */
}

int keys_rotate_dh(Keys *k, const KeyTimes *times, usec_t now_usec) {
        DhKey fresh;
        int r;

        if (k->has_previous && now_usec >= k->previous_usec + times->token_usec) {
                crypto_wipe(&k->previous, sizeof(k->previous));
                k->has_previous = false;
        }
        if (now_usec < k->dh_made_usec + times->rotate_usec)
                return 0;
        r = dh_key_generate(&fresh);
        if (r < 0)
                return r;
        k->previous = k->own;
        k->has_previous = true;
        k->previous_usec = now_usec;
        k->own.dh = fresh;
        k->dh_made_usec = now_usec;
        crypto_wipe(&fresh, sizeof(fresh));
        return 1;
}

void keys_succeed(Keys *k, const Keys *old, usec_t now_usec) {
        bool same = k->own.key_id == old->own.key_id && memcmp(k->own.node, old->own.node, sizeof(k->own.node)) == 0;

        if (k->mode != old->mode || (k->mode == KEY_PSK && !keys_find_psk(k, old->own.key_id)))
                return;
        k->own.dh = old->own.dh;
        k->dh_made_usec = old->dh_made_usec;
        k->previous = same ? old->previous : old->own; /* same: only who is trusted has changed */
        k->has_previous = !same || old->has_previous;
        k->previous_usec = same ? old->previous_usec : now_usec;
}

/* Public keys are as good as random, so nothing more than a difference is needed. */
void own_key_name(const OwnKey *own, uint8_t ret[static 32]) {
        memcpy(ret, own->dh.public_key, sizeof(own->dh.public_key));
        for (size_t i = 0; i < sizeof(own->node); i++)
                ret[i] ^= own->node[i];
        for (size_t i = 0; i < sizeof(own->key_id); i++)
                ret[sizeof(own->node) + i] ^= (uint8_t) (own->key_id >> 8 * i);
}

static bool is_named(const OwnKey *own, const uint8_t *name) {
        uint8_t own_name[32];

        own_key_name(own, own_name);
        return memcmp(own_name, name, sizeof(own_name)) == 0;
}

const OwnKey *keys_find_own(const Keys *k, const uint8_t name[static 32]) {
        if (is_named(&k->own, name))
                return &k->own;
        return k->has_previous && is_named(&k->previous, name) ? &k->previous : NULL;
}

const PskKeys *keys_find_psk(const Keys *k, uint32_t key_id) {
        for (size_t i = 0; i < k->n_psks; i++)
                if (k->psks[i].key_id == key_id)
                        return &k->psks[i];
        return NULL;
}

TokenMode keys_token_mode(const Keys *k) {
        return k->mode == KEY_PKI ? TOKEN_PKI : TOKEN_PSK;
}

const char *key_mode_to_string(KeyMode mode) {
        static const char *const names[] = { [KEY_NONE] = "none", [KEY_PSK] = "psk", [KEY_PKI] = "pki" };

        return names[mode];
}
