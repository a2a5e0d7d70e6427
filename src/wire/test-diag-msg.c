/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "util/fd.h"
#include "wire/diag-msg.h"
#include "wire/test-random.h"

/* ---- against bytes ---- */

typedef struct Answer {
        struct nlmsghdr header;
        struct inet_diag_msg msg;
        struct nlattr attr;
        uint8_t cgroup_id[8];
} Answer;

static const Answer answer = {
        .header = { .nlmsg_len = sizeof(Answer), .nlmsg_type = SOCK_DIAG_BY_FAMILY },
        .msg = {
                .idiag_family = AF_INET,
                .idiag_state = TCP_LISTEN,
                .id = {
                        .idiag_sport = 0x5000, /* 80 in the wire's order, on a little-endian machine */
                        .idiag_dport = 0x0100,
                        .idiag_src = { 0x0a0200c0 },
                        .idiag_if = 5,
                        .idiag_cookie = { 0x11, 0x22 },
                },
                .idiag_inode = 4711,
        },
        .attr = { .nla_len = 12, .nla_type = INET_DIAG_CGROUP_ID },
        .cgroup_id = { 1, 2, 3, 4, 5, 6, 7, 8 },
};
_Static_assert(sizeof(Answer) == 16 + 72 + 12, "no padding");

static void an_answer_is_read_field_by_field(void **state) {
        uint64_t cgroup_id;
        DiagSocket s;

        assert_int_equal(diag_parse(&answer, sizeof(answer), &s), 0);
        assert_int_equal(s.family, AF_INET);
        assert_int_equal(s.state, TCP_LISTEN);
        assert_int_equal(s.protocol, 0);
        assert_int_equal(s.sport, 80);
        assert_int_equal(s.dport, 1);
        assert_memory_equal(&s.saddr, ((uint8_t[16]) { [10] = 0xff, 0xff, 192, 0, 2, 10 }), 16);
        assert_memory_equal(&s.daddr, ((uint8_t[16]) { [10] = 0xff, 0xff }), 16);
        assert_int_equal(s.ifindex, 5);
        assert_int_equal(s.cookie[0], 0x11);
        assert_int_equal(s.cookie[1], 0x22);
        assert_int_equal(s.inode, 4711);
        memcpy(&cgroup_id, answer.cgroup_id, 8);
        assert_true(s.cgroup_id == cgroup_id);
}

static void an_answer_without_cgroup_has_id_0(void **state) {
        Answer a = answer;
        DiagSocket s;

        a.header.nlmsg_len = sizeof(a) - 12;
        assert_int_equal(diag_parse(&a, sizeof(a), &s), 0);
        assert_true(s.cgroup_id == 0);
}

static void a_malformed_answer_is_refused(void **state) {
        static const struct {
                const char *what;
                size_t offset;
                uint8_t value;
        } cases[] = {
                { "longer than the buffer",          offsetof(Answer, header.nlmsg_len), sizeof(Answer) + 1 },
                { "shorter than its header",         offsetof(Answer, header.nlmsg_len), 15 },
                { "shorter than its body",           offsetof(Answer, header.nlmsg_len), 16 + 71 },
                { "another type",                    offsetof(Answer, header.nlmsg_type), 99 },
                { "another family",                  offsetof(Answer, msg.idiag_family), AF_UNIX },
                { "an attribute of no length",       offsetof(Answer, attr.nla_len), 0 },
                { "an attribute beyond the end",     offsetof(Answer, attr.nla_len), 13 },
                { "a cgroup id of 4 bytes",          offsetof(Answer, attr.nla_len), 8 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DiagSocket s = { .inode = 1 };
                Answer a = answer;

                ((uint8_t *) &a)[cases[i].offset] = cases[i].value;
                if (diag_parse(&a, sizeof(a), &s) != -EBADMSG)
                        fail_msg("%s was not refused", cases[i].what);
                assert_int_equal(s.inode, 1);
        }
}

static void the_end_and_errors_are_told_apart(void **state) {
        static const struct {
                const char *what;
                uint16_t type;
                int error;
                uint32_t len;
                int expected;
        } cases[] = {
                { "done",                     NLMSG_DONE,  0,           20, -ENOMSG },
                { "done with an error",       NLMSG_DONE,  -EINTR,      20, -EINTR },
                { "ACK",                      NLMSG_ERROR, 0,           36, -ENOMSG },
                { "gone",                     NLMSG_ERROR, -ENOENT,     36, -ENOENT },
                { "error without a number",   NLMSG_ERROR, 0,           16, -EBADMSG },
                { "a positive error",         NLMSG_ERROR, 5,           36, -EBADMSG },
                { "MAX_ERRNO",                NLMSG_ERROR, -4095,       36, -4095 },
                { "beyond MAX_ERRNO",         NLMSG_ERROR, -4096,       36, -EBADMSG },
                { "INT_MIN",                  NLMSG_ERROR, INT32_MIN,   36, -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct {
                        struct nlmsghdr header;
                        struct nlmsgerr error;
                } m = { .header = { .nlmsg_len = cases[i].len, .nlmsg_type = cases[i].type }, .error.error = cases[i].error };
                DiagSocket s;
                int r = diag_parse(&m, sizeof(m), &s);

                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
        }
}

static void a_request_needs_family_protocol_and_room(void **state) {
        DiagSocket s = { .family = AF_INET, .protocol = IPPROTO_TCP };
        uint8_t buf[128];

        assert_int_equal(diag_destroy_write(&s, 1, buf, sizeof(buf)), 72);
        assert_int_equal(diag_destroy_write(&s, 1, buf, 71), -EMSGSIZE);
        assert_int_equal(diag_dump_write(AF_INET, IPPROTO_TCP, 1, 0, 0, 1, buf, 71), -EMSGSIZE);
        assert_int_equal(diag_dump_write(AF_INET, IPPROTO_TCP, 1, 7, 0, 1, buf, 87), -EMSGSIZE);
        assert_int_equal(diag_dump_write(AF_INET, IPPROTO_TCP, 1, 7, 0, 1, buf, 88), 88);
        s.protocol = 0;
        assert_int_equal(diag_destroy_write(&s, 1, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(diag_find_write(&s, 1, buf, sizeof(buf)), -EINVAL);
        s = (DiagSocket) { .family = AF_UNIX, .protocol = IPPROTO_TCP };
        assert_int_equal(diag_destroy_write(&s, 1, buf, sizeof(buf)), -EINVAL);
}

static void flipped_bits_never_harm(void **state) {
        Random random = { 9 };

        for (int i = 0; i < 50000; i++) {
                size_t n = random_below(&random, sizeof(answer) + 1);
                _cleanup_free_ uint8_t *bytes = malloc(n + 1);
                DiagSocket s;

                assert_non_null(bytes);
                memcpy(bytes, &answer, n);
                if (n > 0)
                        bytes[random_below(&random, n)] ^= (uint8_t) (1u << random_below(&random, 8));
                (void) !diag_parse(bytes, n, &s);
        }
}

/* ---- against the kernel, on sockets of this process's own, on loopback ---- */

static int open_diag(void) {
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

        if (fd < 0)
                skip(); /* a build sandbox */
        return fd;
}

/* Sends a request, reads all answers of its dump (or the one answer). Returns the last result; ret gets the sockets. */
static int ask(int fd, const void *request, int n, DiagSocket *ret, size_t max, size_t *ret_n) {
        static uint32_t buf[16384];
        int r = 0;

        assert_true(n > 0);
        assert_int_equal(send(fd, request, (size_t) n, 0), n);
        for (*ret_n = 0; r == 0;) {
                ssize_t len = recv(fd, buf, sizeof(buf), 0);
                bool dump = ((struct nlmsghdr *) buf)->nlmsg_flags & NLM_F_MULTI;

                assert_true(len > 0);
                for (struct nlmsghdr *h = (struct nlmsghdr *) buf; r == 0 && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
                        DiagSocket s;

                        r = diag_parse(h, (size_t) len, &s);
                        if (r == 0 && *ret_n < max)
                                ret[(*ret_n)++] = s;
                }
                if (!dump)
                        break;
        }
        return r;
}

typedef struct Connection {
        int listener, client, server;
        uint16_t port, client_port;
} Connection;

static void connection_close(Connection *c) {
        closep(&c->listener);
        closep(&c->client);
        closep(&c->server);
}

static uint16_t local_port(int fd) {
        struct sockaddr_in6 a = {};
        socklen_t n = sizeof(a);

        assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
        return ntohs(a.sin6_port); /* at the same place in sockaddr_in */
}

static Connection connect_to_self(int family) {
        Connection c = { .listener = -1, .client = -1, .server = -1 };
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr *address = family == AF_INET ? (struct sockaddr *) &v4 : (struct sockaddr *) &v6;
        socklen_t n = family == AF_INET ? sizeof(v4) : sizeof(v6);

        c.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c.listener < 0 || bind(c.listener, address, n) < 0) {
                connection_close(&c);
                skip(); /* no such address family here */
        }
        assert_int_equal(listen(c.listener, 1), 0);
        c.port = local_port(c.listener);
        v4.sin_port = v6.sin6_port = htons(c.port);
        c.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(c.client, address, n), 0);
        c.client_port = local_port(c.client);
        c.server = accept(c.listener, NULL, NULL);
        assert_true(c.server >= 0);
        return c;
}

static void the_kernel_finds_cuts_and_lists_our_own_sockets(void **state) {
        _cleanup_close_ int fd = open_diag();
        int family = *(int *) *state;
        _cleanup_(connection_close) Connection c = connect_to_self(family);
        DiagSocket listener, server, found[8], wanted;
        uint8_t request[128];
        size_t n;
        char byte;
        int r;

        /* The listener, among all of its port. */
        assert_int_equal(ask(fd, request, diag_dump_write((uint8_t) family, IPPROTO_TCP, 1u << TCP_LISTEN, 0, c.port, 1, request, sizeof(request)),
                             found, ELEMENTSOF(found), &n), -ENOMSG);
        assert_int_equal(n, 1);
        listener = found[0];
        assert_int_equal(listener.state, TCP_LISTEN);
        assert_int_equal(listener.sport, c.port);
        if (listener.cgroup_id != 0) {
                /* The same by its cgroup; nothing in a cgroup that does not exist. */
                assert_int_equal(ask(fd, request, diag_dump_write((uint8_t) family, IPPROTO_TCP, 1u << TCP_LISTEN, listener.cgroup_id, c.port, 2,
                                                                  request, sizeof(request)), found, ELEMENTSOF(found), &n), -ENOMSG);
                assert_int_equal(n, 1);
                assert_memory_equal(found[0].cookie, listener.cookie, sizeof(listener.cookie));
                assert_int_equal(ask(fd, request, diag_dump_write((uint8_t) family, IPPROTO_TCP, 1u << TCP_LISTEN, UINT64_MAX, c.port, 3,
                                                                  request, sizeof(request)), found, ELEMENTSOF(found), &n), -ENOMSG);
                assert_int_equal(n, 0);
        }

        /* A packet of the connection meets the server's socket; one of another port the listener. */
        wanted = listener;
        wanted.protocol = IPPROTO_TCP;
        wanted.daddr = listener.saddr;
        wanted.dport = c.client_port;
        wanted.ifindex = 1;
        assert_int_equal(ask(fd, request, diag_find_write(&wanted, 4, request, sizeof(request)), &server, 1, &n), 0);
        assert_int_equal(server.state, TCP_ESTABLISHED);
        assert_int_equal(server.dport, c.client_port);
        wanted.dport = 0;
        assert_int_equal(ask(fd, request, diag_find_write(&wanted, 5, request, sizeof(request)), found, 1, &n), 0);
        assert_memory_equal(found[0].cookie, listener.cookie, sizeof(listener.cookie));

        /* Only the socket of the right cookie is destroyed. */
        server.protocol = IPPROTO_TCP;
        server.cookie[0] ^= 1;
        r = ask(fd, request, diag_destroy_write(&server, 6, request, sizeof(request)), found, 1, &n);
        if (r == -EPERM || r == -EOPNOTSUPP)
                return; /* not root, or a kernel without INET_DIAG_DESTROY */
        assert_int_equal(r, -ENOENT);
        server.cookie[0] ^= 1;
        assert_int_equal(ask(fd, request, diag_destroy_write(&server, 7, request, sizeof(request)), found, 1, &n), -ENOMSG);
        assert_int_equal(recv(c.server, &byte, 1, 0), -1);
        assert_int_equal(errno, ECONNABORTED);
}

int main(void) {
        static int ipv4 = AF_INET, ipv6 = AF_INET6;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_is_read_field_by_field),
                cmocka_unit_test(an_answer_without_cgroup_has_id_0),
                cmocka_unit_test(a_malformed_answer_is_refused),
                cmocka_unit_test(the_end_and_errors_are_told_apart),
                cmocka_unit_test(a_request_needs_family_protocol_and_room),
                cmocka_unit_test(flipped_bits_never_harm),
                cmocka_unit_test_prestate(the_kernel_finds_cuts_and_lists_our_own_sockets, &ipv4),
                cmocka_unit_test_prestate(the_kernel_finds_cuts_and_lists_our_own_sockets, &ipv6),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
