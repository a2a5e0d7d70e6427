/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker itself, in its sandbox, behind a socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/test-authority.h"
#include "ipc/verify-protocol.h"
#include "util/sanitizer.h"
#include "util/try-calls.h"
#include "verify/serve.h"

typedef struct Worker {
        int fd;
        pid_t pid;
} Worker;

static Worker start(void) {
        Worker w;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        w.pid = fork();
        if (w.pid == 0) {
                close(fds[0]);
                if (certificate_prepare() < 0 || verify_sandbox_enter() < 0)
                        _exit(99);
                _exit(-verify_serve(fds[1]));
        }
        close(fds[1]);
        w.fd = fds[0];
        return w;
}

/* Exit status, or TRY_KILLED. */
static int stop(Worker *w) {
        int status;

        close(w->fd);
        assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : TRY_KILLED;
}

static void send_with(const Worker *w, const void *message, size_t n, int fd) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {
                .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) },
        };
        struct iovec iov = { (void *) message, n };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = fd >= 0 ? &control : NULL, .msg_controllen = fd >= 0 ? sizeof(control) : 0 };

        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
        assert_int_equal(sendmsg(w->fd, &mh, MSG_NOSIGNAL), n);
}

static int reply(const Worker *w, uint32_t serial) {
        VerifyReply r;

        assert_int_equal(recv(w->fd, &r, sizeof(r), 0), sizeof(r));
        assert_int_equal(r.header.type, VERIFY_REPLY);
        assert_int_equal(r.header.serial, serial);
        return r.result;
}

static int trust(const Worker *w, uint32_t serial, const char *pem) {
        const VerifyHeader h = { VERIFY_TRUST, serial };
        int fd = memfd_create("trust", MFD_CLOEXEC);

        assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
        send_with(w, &h, sizeof(h), fd);
        close(fd);
        return reply(w, serial);
}

static int ask(const Worker *w, uint32_t serial, const TestCertificate *c, VerifyInfo *ret) {
        VerifyCertificate q = { .header = { VERIFY_CERTIFICATE, serial }, .now_sec = TEST_SEC, .len = (uint32_t) c->len };

        memcpy(q.der, c->der, c->len);
        send_with(w, &q, sizeof(q), -1);
        if (!ret)
                return reply(w, serial);
        assert_int_equal(recv(w->fd, ret, sizeof(*ret), 0), sizeof(*ret));
        assert_int_equal(ret->header.type, VERIFY_INFO);
        assert_int_equal(ret->header.serial, serial);
        return reply(w, serial);
}

static void the_worker_judges_by_the_last_trust_store_it_was_given(void **state) {
        static const char *const names[] = { "URI:trireme:app=web", NULL };
        _cleanup_(test_certificate_done) TestCertificate root = {}, other = {}, node = {};
        Worker w = start();
        VerifyInfo info;

        test_issue(&root, NULL, KEY_P256, NULL, true, -DAY, 100 * DAY);
        test_issue(&other, NULL, KEY_ED25519, NULL, true, -DAY, 100 * DAY);
        test_issue(&node, &root, KEY_ED25519, names, false, -DAY, DAY);
        assert_int_equal(ask(&w, 1, &node, NULL), -EINVAL); /* it trusts nobody yet */
        assert_int_equal(trust(&w, 2, root.pem), 0);
        assert_int_equal(ask(&w, 3, &node, &info), 0);
        assert_int_equal(info.info.result, CERTIFICATE_OK);
        assert_string_equal(info.info.text, "trireme:app=web");
        assert_int_equal(trust(&w, 4, other.pem), 0);
        assert_int_equal(ask(&w, 5, &node, &info), 0);
        assert_int_equal(info.info.result, CERTIFICATE_UNKNOWN_CA);
        assert_int_equal(trust(&w, 6, "nonsense"), -EINVAL);
        assert_int_equal(ask(&w, 7, &node, NULL), -EINVAL); /* no longer the one before */
        assert_int_equal(stop(&w), 0);
}

static void whoever_speaks_otherwise_is_left(void **state) {
        static const struct {
                size_t size;
                uint32_t type;
        } cases[] = {
                { sizeof(VerifyHeader), VERIFY_CERTIFICATE }, { sizeof(VerifyHeader), VERIFY_TRUST }, { sizeof(VerifyCertificate) - 8, VERIFY_CERTIFICATE },
                { 4, VERIFY_TRUST }, { sizeof(VerifyHeader), 99 }, { sizeof(VerifyCertificate), VERIFY_TRUST }, { sizeof(VerifyCertificate) + 8, VERIFY_CERTIFICATE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t message[sizeof(VerifyCertificate) + 8] = {};
                Worker w = start();

                memcpy(message, &(VerifyHeader) { cases[i].type, 1 }, sizeof(VerifyHeader));
                send_with(&w, message, cases[i].size, -1);
                assert_int_equal(stop(&w), EPROTO);
        }
}

static void a_length_beyond_the_message_is_refused(void **state) {
        VerifyCertificate q = { .header = { VERIFY_CERTIFICATE, 1 }, .len = UINT32_MAX };
        _cleanup_(test_certificate_done) TestCertificate root = {};
        Worker w = start();

        test_issue(&root, NULL, KEY_P256, NULL, true, -DAY, 100 * DAY);
        assert_int_equal(trust(&w, 1, root.pem), 0);
        send_with(&w, &q, sizeof(q), -1);
        assert_int_equal(reply(&w, 1), -EINVAL);
        assert_int_equal(stop(&w), 0);
}

static void the_sandbox_lets_no_forbidden_call_through(void **state) {
        assert_int_equal(try_names(verify_sandbox_enter, try_never), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_worker_judges_by_the_last_trust_store_it_was_given),
                cmocka_unit_test(whoever_speaks_otherwise_is_left),
                cmocka_unit_test(a_length_beyond_the_message_is_refused),
                cmocka_unit_test(the_sandbox_lets_no_forbidden_call_through),
        };

        return sanitizer_skip() ?: cmocka_run_group_tests(tests, NULL, NULL);
}
