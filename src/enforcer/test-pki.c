/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens with certificates, each refusal with its reason; keys from files; what a change of keys does to peers that are known. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/test-authority.h"
#include "enforcer/peer.h"
#include "util/fd.h"

static const PeerTime now = { .now_sec = TEST_SEC, .now_usec = 1000 * USEC_PER_SEC };
static const char *const web[] = { "URI:trireme:app=web", "DNS:h", NULL };
static const char *const no_labels[] = { "DNS:h", NULL };
static const char *const broken[] = { "URI:trireme:app", NULL };
static const char *const nothing[] = { NULL };

typedef struct Pki {
        TestCertificate root, foreign, peer, own;
        Certificates *certificates;
        Peers *peers;
        Keys *keys;
        DenyList denied;
        char directory[32];
} Pki;

static void put(const Pki *p, const char *name, const char *text, mode_t mode) {
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", p->directory, name);
        (void) unlink(path);
        if (!text)
                return;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_int_equal(fchmod(fd, mode), 0);
        close(fd);
}

static Keys *load_at(const Pki *p, int64_t sec) {
        static const uint8_t machine[16] = { 9 };
        _cleanup_close_ int fd = open(p->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char exposed[64];
        const KeySource source = { .directory = fd, .exposed = exposed, .machine = machine };
        Keys *k;

        (void) snprintf(exposed, sizeof(exposed), "%s/exposed", p->directory);
        assert_int_equal(keys_load(&source, sec, now.now_usec, &k), 0);
        return k;
}

static int setup(void **state) {
        Pki *p = calloc(1, sizeof(*p));

        strcpy(p->directory, "/tmp/trireme-pki-XXXXXX");
        assert_non_null(mkdtemp(p->directory));
        test_issue(&p->root, NULL, KEY_P256, nothing, true, -DAY, 100 * DAY);
        test_issue(&p->foreign, NULL, KEY_P256, nothing, true, -DAY, 100 * DAY);
        test_issue(&p->own, &p->root, KEY_ED25519, web, false, -DAY, 10 * DAY);
        test_issue(&p->peer, &p->root, KEY_P256, web, false, -DAY, 10 * DAY);
        put(p, "trireme.key", p->own.key, 0400);
        put(p, "trireme.cert", p->own.pem, 0400);
        put(p, "trireme.ca", p->root.pem, 0400);
        p->keys = load_at(p, TEST_SEC);
        assert_int_equal(certificates_new(NULL, &p->certificates), 0);
        assert_int_equal(peers_new(&p->peers), 0);
        *state = p;
        return 0;
}

static int teardown(void **state) {
        static const char *const names[] = { "trireme.key", "trireme.cert", "trireme.ca", "trireme.crl", "trireme.psk", "exposed" };
        Pki *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                put(p, names[i], NULL, 0);
        assert_int_equal(rmdir(p->directory), 0);
        test_certificate_done(&p->root);
        test_certificate_done(&p->foreign);
        test_certificate_done(&p->own);
        test_certificate_done(&p->peer);
        certificates_free(p->certificates);
        peers_free(p->peers);
        keys_free(p->keys);
        free(p);
        return 0;
}

/* What trireme-verify would say, kept. */
static int learn(Pki *p, const TestCertificate *c, int64_t sec, const char *pem) {
        _cleanup_(trust_store_freep) TrustStore *t = NULL;
        const PeerTime time = { .now_sec = sec, .now_usec = now.now_usec };
        uint8_t hash[CRYPTO_HASH_SIZE];
        CertificateInfo info;
        const char *fault;

        assert_int_equal(trust_store_new(pem, strlen(pem), &t, &fault), 0);
        assert_int_equal(certificate_verify(t, c->der, c->len, sec, &info), 0);
        assert_int_equal(crypto_sha256(c->der, c->len, hash), 0);
        return certificates_store(p->certificates, hash, c->der, c->len, &info, &p->denied, &time);
}

typedef struct Claim {
        const char *key, *value;        /* NULL: no tag */
        TagFamily family;
} Claim;

static const Claim app_web = { "@usr:app", "web", TAG_FAMILY_LABELS };

/* A token of a node with this certificate, signed by the key of signer. */
static size_t make_token(const TestCertificate *c, const TestCertificate *signer, const Claim *claim, uint8_t ret[static TOKEN_SIZE_MAX]) {
        _cleanup_(node_key_freep) NodeKey *key = NULL;
        Token t = { .mode = TOKEN_PKI, .valid_from_sec = TEST_SEC, .valid_until_sec = TEST_SEC + 600, .certificate = c->der, .certificate_len = c->len, .node_dh = { 9 } };
        uint8_t hash[CRYPTO_HASH_SIZE];
        const char *fault;
        int n;

        assert_int_equal(crypto_sha256(c->der, c->len, hash), 0);
        memcpy(t.node, hash, sizeof(t.node));
        if (claim->key) {
                t.families = (uint16_t) (1u << claim->family);
                t.tags[t.n_tags++] = (TokenTag) { claim->key, claim->value, (uint8_t) strlen(claim->key), (uint8_t) strlen(claim->value) };
        }
        n = token_write(&t, SIGNATURE_SIZE, ret, TOKEN_SIZE_MAX);
        assert_true(n > 0);
        assert_int_equal(node_key_parse(signer->key, strlen(signer->key), &key, &fault), 0);
        assert_int_equal(token_sign(key, ret, (size_t) n, ret + n), 0);
        return (size_t) n + SIGNATURE_SIZE;
}

static Reason judge(const Pki *p, const uint8_t *token, size_t len) {
        const TokenContext context = { .keys = p->keys, .certificates = p->certificates, .time = now };
        TokenJudgement j;

        assert_int_equal(token_judge(&context, token, len, &j), 0);
        tag_set_done(&j.tags);
        return j.reason;
}

static void a_token_is_judged_by_its_certificate(void **state) {
        static const struct {
                Claim claim;
                const char *const *names;
                int64_t until;              /* of the certificate, from TEST_SEC */
                bool foreign_ca, foreign_signer;
                Reason reason;
        } cases[] = {
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, web, DAY, false, false, REASON_NONE },
                { { NULL, NULL, 0 }, web, DAY, false, false, REASON_NONE },
                { { NULL, NULL, 0 }, nothing, DAY, false, false, REASON_NONE },
                { { "@sys:uid", "0", TAG_FAMILY_UID }, nothing, DAY, false, false, REASON_NONE },
                { { "@sys:host", "h", TAG_FAMILY_HOST }, web, DAY, false, false, REASON_NONE },
                { { "@sys:host", "g", TAG_FAMILY_HOST }, web, DAY, false, false, REASON_CERT_HOST },
                { { "@sys:host", "h", TAG_FAMILY_HOST }, nothing, DAY, false, false, REASON_CERT_HOST },
                { { "@usr:app", "db", TAG_FAMILY_LABELS }, web, DAY, false, false, REASON_CERT_TAGS },
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, no_labels, DAY, false, false, REASON_CERT_NO_TAGS },
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, web, DAY, true, false, REASON_UNKNOWN_CA },
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, web, DAY, false, true, REASON_UNVERIFIED },
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, web, -DAY / 2, false, false, REASON_CERT_EXPIRED },
                { { "@usr:app", "web", TAG_FAMILY_LABELS }, broken, DAY, false, false, REASON_BAD_CERTIFICATE },
        };
        Pki *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(test_certificate_done) TestCertificate c = {};
                uint8_t token[TOKEN_SIZE_MAX];
                Reason reason;
                size_t n;

                test_issue(&c, cases[i].foreign_ca ? &p->foreign : &p->root, i % 2 ? KEY_ED25519 : KEY_P256, cases[i].names, false, -DAY, cases[i].until);
                n = make_token(&c, cases[i].foreign_signer ? &p->peer : &c, &cases[i].claim, token);
                assert_int_equal(judge(p, token, n), REASON_NO_ANSWER); /* nobody has looked at the certificate yet */
                assert_int_equal(learn(p, &c, TEST_SEC, p->root.pem), 0);
                reason = judge(p, token, n);
                if (reason != cases[i].reason)
                        fail_msg("case %zu: %s", i, reason_to_string(reason));
        }
}

static void each_changed_bit_of_a_token_is_noticed(void **state) {
        Pki *p = *state;
        uint8_t token[TOKEN_SIZE_MAX];
        size_t n = make_token(&p->peer, &p->peer, &app_web, token);

        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->root.pem), 0);
        assert_int_equal(judge(p, token, n), REASON_NONE);
        for (size_t i = 0; i < n; i++) {
                TokenContext context = { .keys = p->keys, .certificates = p->certificates, .time = now };
                TokenJudgement j;

                token[i] ^= 1;
                context.time.now_usec += i * USEC_PER_SEC; /* the budget of failures */
                assert_int_equal(token_judge(&context, token, n, &j), 0);
                assert_int_not_equal(j.reason, REASON_NONE);
                assert_int_not_equal(j.reason, REASON_OVERLOAD);
                tag_set_done(&j.tags);
                token[i] ^= 1;
        }
}

static void a_flood_of_bad_signatures_is_checked_under_a_budget(void **state) {
        Pki *p = *state;
        uint8_t token[TOKEN_SIZE_MAX];
        size_t n = make_token(&p->peer, &p->own, &app_web, token);
        unsigned n_checked = 0;

        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->root.pem), 0);
        for (unsigned i = 0; i < 1000; i++)
                n_checked += judge(p, token, n) == REASON_UNVERIFIED;
        assert_in_range(n_checked, 100, 300);
}

static void a_shared_key_and_a_certificate_refuse_each_other(void **state) {
        Pki *p = *state;
        Token psk = { .mode = TOKEN_PSK, .valid_from_sec = TEST_SEC, .valid_until_sec = TEST_SEC + 60 };
        uint8_t token[TOKEN_SIZE_MAX] = {}, key[32] = { 1 };
        int n = token_write(&psk, TOKEN_MAC_SIZE, token, sizeof(token));

        assert_int_equal(judge(p, token, (size_t) n + TOKEN_MAC_SIZE), REASON_WRONG_MODE);
        n = (int) make_token(&p->peer, &p->peer, &app_web, token);
        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->root.pem), 0);
        p->keys->mode = KEY_PSK;
        assert_int_equal(psk_keys_derive(key, &p->keys->psks[0]), 0);
        assert_int_equal(judge(p, token, (size_t) n), REASON_WRONG_MODE);
        p->keys->mode = KEY_PKI;
        assert_int_equal(judge(p, token, (size_t) n), REASON_NONE);
}

static void a_known_peer_ends_with_its_certificate(void **state) {
        Pki *p = *state;
        TokenContext context = { .keys = p->keys, .certificates = p->certificates, .time = now };
        uint8_t token[TOKEN_SIZE_MAX], hash[CRYPTO_HASH_SIZE];
        size_t n = make_token(&p->peer, &p->peer, &app_web, token);
        uint64_t id;
        Peer *peer;

        assert_int_equal(crypto_sha256(p->peer.der, p->peer.len, hash), 0);
        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->root.pem), 0);
        assert_int_equal(peers_get(p->peers, &context, token, n, &peer), 0);
        assert_true(peer->verified);
        id = peer->id;
        certificates_make_stale(p->certificates);
        assert_null(certificates_find(p->certificates, hash, now.now_usec));
        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->root.pem), 0); /* still good */
        assert_int_equal(peers_get(p->peers, &context, token, n, &peer), 0);
        assert_int_equal(peer->id, id);
        assert_int_equal(learn(p, &p->peer, TEST_SEC, p->foreign.pem), 1); /* its CA is trusted no more */
        peers_revoke(p->peers, hash, REASON_UNKNOWN_CA);
        assert_false(peers_find_id(p->peers, id)->verified);
        assert_int_equal(peers_get(p->peers, &context, token, n, &peer), 0);
        assert_false(peer->verified);
        assert_int_equal(peer->reason, REASON_UNKNOWN_CA);
}

static void a_peer_is_not_known_longer_than_its_certificate_holds(void **state) {
        Pki *p = *state;
        _cleanup_(test_certificate_done) TestCertificate brief = {};
        const TokenContext context = { .keys = p->keys, .certificates = p->certificates, .time = now };
        uint8_t token[TOKEN_SIZE_MAX];
        size_t n;
        Peer *peer;

        test_issue(&brief, &p->root, KEY_P256, web, false, -DAY, 60);
        assert_int_equal(learn(p, &brief, TEST_SEC, p->root.pem), 0);
        n = make_token(&brief, &brief, &app_web, token);
        assert_int_equal(peers_get(p->peers, &context, token, n, &peer), 0);
        assert_true(peer->verified);
        assert_int_equal(peer->expires_usec, now.now_usec + (60 + CERTIFICATE_SKEW_SEC) * USEC_PER_SEC);
}

static void keys_of_files_are_refused_with_a_message(void **state) {
        Pki *p = *state;
        static const char weak[] = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n"; /* X25519 */
        const struct {
                const char *key, *certificate, *ca;
                int64_t sec;
                mode_t mode;
                const char *fault;
                KeyMode key_mode;
        } cases[] = {
                { p->own.key, p->own.pem, p->root.pem, TEST_SEC, 0400, NULL, KEY_PKI },
                { p->own.key, p->own.pem, p->root.pem, TEST_SEC, 0404, "read by others", KEY_NONE },
                { p->peer.key, p->own.pem, p->root.pem, TEST_SEC, 0400, "not the certificate of the key", KEY_PKI },
                { p->own.key, p->own.pem, p->foreign.pem, TEST_SEC, 0400, "not issued by a CA", KEY_PKI },
                { p->own.key, p->own.pem, p->root.pem, TEST_SEC + 11 * DAY, 0400, "outside of its validity", KEY_PKI },
                { p->own.key, p->own.pem, p->own.pem, TEST_SEC, 0400, "no self-signed certificate", KEY_PKI },
                { p->own.key, p->own.pem, p->own.key, TEST_SEC, 0400, "private key", KEY_PKI },
                { p->own.key, p->own.pem, NULL, TEST_SEC, 0400, "trireme.ca: it is missing", KEY_NONE },
                { p->own.key, NULL, p->root.pem, TEST_SEC, 0400, "trireme.cert: it is missing", KEY_NONE },
                { NULL, p->own.pem, p->root.pem, TEST_SEC, 0400, "trireme.key: it is missing", KEY_NONE },
                { p->own.key, "nonsense", p->root.pem, TEST_SEC, 0400, "no certificate in PEM", KEY_NONE },
                { "nonsense", p->own.pem, p->root.pem, TEST_SEC, 0400, "no private key in PEM", KEY_NONE },
                { weak, p->own.pem, p->root.pem, TEST_SEC, 0400, "neither an Ed25519 nor a P-256 key", KEY_NONE },
        };

        put(p, "trireme.psk", "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg=\n", 0400); /* never the way out */
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(keys_freep) Keys *k = NULL;

                put(p, "trireme.key", cases[i].key, cases[i].mode);
                put(p, "trireme.cert", cases[i].certificate, 0400);
                put(p, "trireme.ca", cases[i].ca, 0400);
                k = load_at(p, cases[i].sec);
                if (!cases[i].fault != !k->fault || (k->fault && !strstr(k->fault, cases[i].fault)))
                        fail_msg("case %zu: %s", i, k->fault ?: "accepted");
                assert_int_equal(k->mode, cases[i].key_mode);
        }
}

static void a_note_that_a_secret_lies_open_is_believed(void **state) {
        Pki *p = *state;
        _cleanup_(keys_freep) Keys *k = NULL;

        put(p, "exposed", "/etc/credstore/trireme.key", 0644);
        k = load_at(p, TEST_SEC);
        assert_int_equal(k->mode, KEY_NONE);
        assert_non_null(strstr(k->fault, "/etc/credstore/trireme.key: it can be read by others"));
}

static void a_certificate_comes_of_age_and_grows_too_old(void **state) {
        Pki *p = *state;

        assert_int_equal(keys_judge(p->keys, TEST_SEC + DAY), 0);
        assert_int_equal(keys_judge(p->keys, TEST_SEC + 11 * DAY), 1);
        assert_non_null(p->keys->fault);
        assert_int_equal(keys_judge(p->keys, TEST_SEC + 12 * DAY), 0);
        assert_int_equal(keys_judge(p->keys, TEST_SEC), 1);
        assert_null(p->keys->fault);
        assert_int_equal(p->keys->constraints.n_patterns, 1);
}

static void new_trust_keeps_the_own_key_and_a_new_certificate_keeps_the_old_one_for_a_while(void **state) {
        Pki *p = *state;
        _cleanup_(keys_freep) Keys *same = NULL, *trusting = NULL, *renewed = NULL;
        uint8_t name[32];
        char both[4096];

        same = load_at(p, TEST_SEC);
        assert_true(keys_equal(same, p->keys));
        assert_memory_not_equal(same->own.dh.public_key, p->keys->own.dh.public_key, 32); /* new at each start */
        (void) snprintf(both, sizeof(both), "%s%s", p->root.pem, p->foreign.pem);
        put(p, "trireme.ca", both, 0400);
        trusting = load_at(p, TEST_SEC);
        assert_false(keys_equal(trusting, p->keys));
        keys_succeed(trusting, p->keys, now.now_usec);
        assert_memory_equal(trusting->own.dh.public_key, p->keys->own.dh.public_key, 32);
        put(p, "trireme.key", p->peer.key, 0400);
        put(p, "trireme.cert", p->peer.pem, 0400);
        renewed = load_at(p, TEST_SEC);
        keys_succeed(renewed, trusting, now.now_usec);
        assert_memory_equal(renewed->own.dh.public_key, p->keys->own.dh.public_key, 32); /* by which peers know it again */
        own_key_name(&p->keys->own, name);
        assert_memory_equal(keys_find_own(renewed, name)->node, p->keys->own.node, 16);
        own_key_name(&renewed->own, name);
        assert_ptr_equal(keys_find_own(renewed, name), &renewed->own);
}

/* ---- several shared keys ---- */

#define PSK_A "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg=\n"
#define PSK_B "pJ3sGJQ0uS1bTNRW9v1dXkQ6qCmM3p8yX0Q2m1zv7uA=\n"
#define PSK_C "0mM4o2tq8G0b8H8dYkz9Yw4h2Jm6u3sQ1Wn5r7ZxLpE=\n"

static void a_list_of_shared_keys_has_one_to_four_different_ones(void **state) {
        static const struct {
                const char *text, *fault;
                int n;
        } cases[] = {
                { PSK_A, NULL, 1 }, { PSK_A PSK_B, NULL, 2 }, { PSK_B PSK_A PSK_C, NULL, 3 }, { PSK_A PSK_A, "twice", 0 }, { PSK_A "\n" PSK_B, "not 32 bytes", 0 },
                { PSK_A "x", "not 32 bytes", 0 }, { "", "not 32 bytes", 0 }, { PSK_A PSK_B PSK_C PSK_A PSK_A, "twice", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                PskKeys keys[PSK_LINES_MAX] = {};
                const char *fault = NULL;
                int r = psk_list_parse(cases[i].text, strlen(cases[i].text), keys, &fault);

                assert_int_equal(r, cases[i].fault ? -EINVAL : cases[i].n);
                if (cases[i].fault)
                        assert_non_null(strstr(fault, cases[i].fault));
                else
                        assert_int_not_equal(keys[cases[i].n - 1].key_id, 0);
        }
}

static Keys *psk_keys(const char *text, uint8_t node) {
        Keys *k = calloc(1, sizeof(*k));
        const char *fault;
        int n = psk_list_parse(text, strlen(text), k->psks, &fault);

        assert_true(n > 0);
        k->n_psks = (size_t) n;
        k->mode = KEY_PSK;
        k->own.key_id = k->psks[0].key_id;
        k->own.node[0] = node;
        assert_int_equal(dh_key_generate(&k->own.dh), 0);
        return k;
}

static size_t make_psk_token(const Keys *k, uint8_t ret[static TOKEN_SIZE_MAX]) {
        Token t = { .mode = TOKEN_PSK, .key_id = k->own.key_id, .valid_from_sec = TEST_SEC, .valid_until_sec = TEST_SEC + 600 };
        int n;

        memcpy(t.node, k->own.node, sizeof(t.node));
        memcpy(t.node_dh, k->own.dh.public_key, sizeof(t.node_dh));
        n = token_write(&t, TOKEN_MAC_SIZE, ret, TOKEN_SIZE_MAX);
        assert_int_equal(token_mac(k->psks[0].token_key, ret, (size_t) n, ret + n), 0);
        return (size_t) n + TOKEN_MAC_SIZE;
}

/* Keys that mine derives for its pair with theirs, or the reason why not. */
static Reason pair(Pki *p, const Keys *mine, const Keys *theirs, PairKeys *ret) {
        const TokenContext context = { .keys = mine, .certificates = p->certificates, .time = now };
        _cleanup_(peers_freep) Peers *peers = NULL;
        uint8_t token[TOKEN_SIZE_MAX];
        const PairKeys *keys;
        Peer *peer;

        assert_int_equal(peers_new(&peers), 0);
        assert_int_equal(peers_get(peers, &context, token, make_psk_token(theirs, token), &peer), 0);
        if (!peer->verified)
                return peer->reason;
        assert_int_equal(peer_keys(peer, mine, &mine->own, &keys), 0);
        *ret = *keys;
        return REASON_NONE;
}

static void both_ends_derive_the_same_keys_in_each_step_of_a_change(void **state) {
        static const struct {
                const char *a, *b;
                bool meet;
        } cases[] = {
                { PSK_A, PSK_A, true },
                { PSK_A, PSK_A PSK_B, true },
                { PSK_A PSK_B, PSK_A PSK_B, true },
                { PSK_A PSK_B, PSK_B PSK_A, true },
                { PSK_B PSK_A, PSK_B PSK_A, true },
                { PSK_B PSK_A, PSK_B, true },
                { PSK_A, PSK_B PSK_A, false }, /* a step was left out */
                { PSK_A, PSK_B, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(keys_freep) Keys *a = psk_keys(cases[i].a, 1), *b = psk_keys(cases[i].b, 2);
                PairKeys ab = {}, ba = {};
                Reason of_a = pair(*state, a, b, &ab), of_b = pair(*state, b, a, &ba);

                if (!cases[i].meet) {
                        assert_true(of_a == REASON_UNVERIFIED || of_b == REASON_UNVERIFIED);
                        continue;
                }
                assert_int_equal(of_a, REASON_NONE);
                assert_int_equal(of_b, REASON_NONE);
                assert_memory_equal(ab.out_syn, ba.in_syn, 32);
                assert_memory_equal(ab.in_ack, ba.out_ack, 32);
        }
}

static void peers_of_a_key_that_is_dropped_are_refused(void **state) {
        Pki *p = *state;
        _cleanup_(keys_freep) Keys *both = psk_keys(PSK_B PSK_A, 1), *fresh = psk_keys(PSK_B, 1), *old = psk_keys(PSK_A, 2);
        const TokenContext context = { .keys = both, .certificates = p->certificates, .time = now };
        uint8_t token[TOKEN_SIZE_MAX];
        Peer *peer;

        assert_int_equal(peers_get(p->peers, &context, token, make_psk_token(old, token), &peer), 0);
        assert_true(peer->verified);
        assert_int_equal(peers_revoke_unknown(p->peers, both), 0);
        assert_int_equal(peers_revoke_unknown(p->peers, fresh), 1);
        assert_int_equal(peers_find_id(p->peers, peer->id)->reason, REASON_UNVERIFIED);
}

static void two_nodes_that_show_one_public_key_are_two_pairs_and_so_is_one_with_two_shared_keys(void **state) {
        Pki *p = *state;
        _cleanup_(keys_freep) Keys *mine = psk_keys(PSK_A PSK_B, 1), *victim = psk_keys(PSK_A, 2), *thief = psk_keys(PSK_A, 3), *rotated = psk_keys(PSK_B, 2);
        const TokenContext context = { .keys = mine, .certificates = p->certificates, .time = now };
        uint8_t token[TOKEN_SIZE_MAX], first[32];
        Peer *peer;

        memcpy(thief->own.dh.public_key, victim->own.dh.public_key, 32);
        memcpy(rotated->own.dh.public_key, victim->own.dh.public_key, 32);
        assert_int_equal(peers_get(p->peers, &context, token, make_psk_token(victim, token), &peer), 0);
        memcpy(first, peer->pair, 32);
        assert_int_equal(peers_get(p->peers, &context, token, make_psk_token(thief, token), &peer), 0);
        assert_true(peer->verified);
        assert_memory_not_equal(first, peer->pair, 32);
        assert_int_equal(peers_get(p->peers, &context, token, make_psk_token(rotated, token), &peer), 0);
        assert_true(peer->verified);
        assert_memory_not_equal(first, peer->pair, 32);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_token_is_judged_by_its_certificate, setup, teardown),
                cmocka_unit_test_setup_teardown(each_changed_bit_of_a_token_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(a_flood_of_bad_signatures_is_checked_under_a_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(a_shared_key_and_a_certificate_refuse_each_other, setup, teardown),
                cmocka_unit_test_setup_teardown(a_known_peer_ends_with_its_certificate, setup, teardown),
                cmocka_unit_test_setup_teardown(a_peer_is_not_known_longer_than_its_certificate_holds, setup, teardown),
                cmocka_unit_test_setup_teardown(keys_of_files_are_refused_with_a_message, setup, teardown),
                cmocka_unit_test_setup_teardown(a_note_that_a_secret_lies_open_is_believed, setup, teardown),
                cmocka_unit_test_setup_teardown(a_certificate_comes_of_age_and_grows_too_old, setup, teardown),
                cmocka_unit_test_setup_teardown(new_trust_keeps_the_own_key_and_a_new_certificate_keeps_the_old_one_for_a_while, setup, teardown),
                cmocka_unit_test_setup_teardown(a_list_of_shared_keys_has_one_to_four_different_ones, setup, teardown),
                cmocka_unit_test_setup_teardown(both_ends_derive_the_same_keys_in_each_step_of_a_change, setup, teardown),
                cmocka_unit_test_setup_teardown(peers_of_a_key_that_is_dropped_are_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(two_nodes_that_show_one_public_key_are_two_pairs_and_so_is_one_with_two_shared_keys, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
