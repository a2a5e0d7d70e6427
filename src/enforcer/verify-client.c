/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/verify-client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "enforcer/cut.h"
#include "enforcer/datapath-client.h"
#include "ipc/verify-protocol.h"
#include "util/fd.h"
#include "util/log.h"

typedef struct Waiting {
        Waiting *next;
        uint8_t hash[CRYPTO_HASH_SIZE]; /* of the certificate */
        DatapathResolve question;
} Waiting;

typedef struct Ask {
        uint8_t hash[CRYPTO_HASH_SIZE];
        VerifyCertificate request;
} Ask;

static PeerTime time_now(void) {
        return (PeerTime) { .now_sec = (int64_t) (clock_realtime_usec() / USEC_PER_SEC), .now_usec = clock_boottime_usec() };
}

/* ---- what waits ---- */

static bool is_awaited(const Manager *m, const uint8_t *hash) {
        for (const Waiting *w = m->verify_waiting; w; w = w->next)
                if (memcmp(w->hash, hash, CRYPTO_HASH_SIZE) == 0)
                        return true;
        return false;
}

/* Answers those that waited for this certificate, known now or not; hash NULL: all. */
static void wake(Manager *m, const uint8_t *hash) {
        for (Waiting **p = &m->verify_waiting; *p;) {
                Waiting *w = *p;

                if (hash && memcmp(w->hash, hash, CRYPTO_HASH_SIZE) != 0) {
                        p = &w->next;
                        continue;
                }
                *p = w->next;
                m->n_verify_waiting--;
                datapath_answer(m, &w->question);
                free(w);
        }
}

/* ---- asking ---- */

/* All questions are answered. Certificates that good tokens came with may be refused now: new connections ask again anyhow, live ones are cut. */
static void finish_renewal(Manager *m) {
        bool revoked = m->verify_revoked;

        if (m->verify_renewing && !certificates_any_stale(m->certificates)) { /* else a question is still to be asked, of the next worker */
                m->verify_renewing = false;
                revoked = peer_numbers_judge(m->numbers, m->keys, m->certificates, clock_boottime_usec()) > 0 || revoked;
        }
        m->verify_revoked = false;
        if (!revoked)
                return;
        datapath_forget(m, DATAPATH_FORGET_DECISIONS | DATAPATH_FORGET_KEYS, 0);
        cut_all(m);
}

static void take_info(Manager *m, const Ask *ask, const VerifyInfo *info) {
        const PeerTime time = time_now();
        int r = certificates_store(m->certificates, ask->hash, ask->request.der, ask->request.len, &info->info, &m->config.denied_nodes, &time);
        const Certificate *c;

        if (r < 0)
                log_error_errno(r, "Cannot remember a certificate");
        c = r > 0 ? certificates_find(m->certificates, ask->hash, time.now_usec) : NULL;
        if (!c)
                return;
        log_notice("The certificate of a peer is refused from now on: %s", reason_to_string(c->reason));
        peers_revoke(m->peers, ask->hash, c->reason);
        if (c->reason == REASON_REVOKED)
                peer_numbers_revoke(m->numbers, ask->hash);
        m->verify_revoked = true;
}

static void on_verified(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = link_userdata(l);
        Ask *ask = userdata;

        if (msg) {
                if (msg->header->type == VERIFY_INFO && msg->len == sizeof(VerifyInfo))
                        take_info(m, ask, (const VerifyInfo *) msg->header);
                return;
        }
        if (result < 0 && result != -ECONNRESET)
                log_error_errno(result, "A certificate could not be judged");
        wake(m, ask->hash);
        free(ask);
        if (--m->n_verify_asked == 0)
                finish_renewal(m);
}

static int ask(Manager *m, const uint8_t *hash, const uint8_t *der, size_t len) {
        Ask *a;
        int r;

        if (!m->verify || len > sizeof(a->request.der))
                return -ENOTCONN;
        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        memcpy(a->hash, hash, sizeof(a->hash));
        a->request = (VerifyCertificate) { .header.type = VERIFY_CERTIFICATE, .now_sec = time_now().now_sec, .len = (uint32_t) len };
        memcpy(a->request.der, der, len);
        m->n_verify_asked++;
        r = link_request(m->verify, &a->request, sizeof(a->request), -1, on_verified, a);
        if (r < 0) {
                m->n_verify_asked--;
                free(a);
        }
        return r;
}

static int ask_again(const Certificate *c, void *userdata) {
        int r = ask(userdata, c->hash, c->der, c->len);

        return r == -ENOTCONN ? 0 : r; /* when it is there again, all are asked about again */
}

/* ---- the trust store ---- */

static void on_trust(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg && result < 0 && result != -ECONNRESET)
                log_error_errno(result, "trireme-verify cannot use the CAs");
}

static int trust_memfd(const Keys *keys) {
        _cleanup_close_ int fd = memfd_create("trireme-trust", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = write(fd, keys->trust, keys->trust_len);
        if (n < 0)
                return -errno;
        if ((size_t) n != keys->trust_len)
                return -EIO;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void send_trust(Manager *m) {
        VerifyHeader request = { .type = VERIFY_TRUST };
        _cleanup_close_ int fd = trust_memfd(m->keys);
        int r;

        r = fd < 0 ? fd : link_request(m->verify, &request, sizeof(request), fd, on_trust, NULL);
        if (r < 0)
                log_error_errno(r, "Cannot tell trireme-verify the CAs");
}

void verify_client_renew(Manager *m) {
        certificates_make_stale(m->certificates);
        if (m->keys->mode != KEY_PKI || !m->verify || !link_is_connected(m->verify))
                return;
        m->verify_renewing = true;
        send_trust(m);
        if (certificates_foreach_stale(m->certificates, ask_again, m) < 0)
                log_error("Not all certificates can be judged again; their peers wait");
        if (m->n_verify_asked == 0)
                finish_renewal(m);
}

static void on_link_state(Link *l, bool connected, void *userdata) {
        if (connected)
                verify_client_renew(userdata);
        else
                wake(userdata, NULL);
}

static void on_message(Link *l, const LinkMessage *msg, void *userdata) {
        log_debug("trireme-verify says something nobody asked for (%u)", msg->header->type);
}

int verify_client_start(Manager *m, int fd) {
        const LinkConfig config = {
                .name = "the certificate verifier", .path = VERIFY_SOCKET_PATH, .message_max = sizeof(VerifyInfo), .reply_type = VERIFY_REPLY,
                .on_message = on_message, .on_state = on_link_state, .userdata = m,
        };

        if (m->verify)
                return 0;
        return fd >= 0 ? link_new_fd(m->event, &config, fd, &m->verify) : link_new(m->event, &config, &m->verify);
}

void verify_client_stop(Manager *m) {
        m->verify = link_free(m->verify);
        wake(m, NULL);
}

bool verify_client_wait(Manager *m, const DatapathResolve *question) {
        uint8_t hash[CRYPTO_HASH_SIZE];
        bool asked;
        Waiting *w;
        Token t;

        if (m->keys->mode != KEY_PKI || (question->direction != DATAPATH_ACCEPT && question->direction != DATAPATH_CONNECT) ||
            question->token_len > sizeof(question->token) || token_parse(question->token, question->token_len, &t) < 0 || t.mode != TOKEN_PKI ||
            crypto_sha256(t.certificate, t.certificate_len, hash) < 0 || certificates_find(m->certificates, hash, clock_boottime_usec()))
                return false;
        if (m->n_verify_waiting >= VERIFY_WAITING_MAX)
                return false;
        w = calloc(1, sizeof(*w));
        if (!w)
                return false;
        memcpy(w->hash, hash, sizeof(hash));
        w->question = *question;
        asked = is_awaited(m, hash);
        w->next = m->verify_waiting;
        m->verify_waiting = w; /* before asking: the answer may be there when that returns */
        m->n_verify_waiting++;
        if (asked || ask(m, hash, t.certificate, t.certificate_len) >= 0)
                return true;
        m->verify_waiting = w->next;
        m->n_verify_waiting--;
        free(w);
        return false;
}
