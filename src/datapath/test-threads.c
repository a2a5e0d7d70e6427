/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All threads of the process at work, between a kernel and an enforcer that the test plays. Worth most under ThreadSanitizer (-Db_sanitize=thread). */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/test-hosts.h"
#include "datapath/datapath.h"
#include "util/fd.h"
#include "wire/netlink.h"

#define BURST 8u   /* packets of a queue at once: more than the main thread keeps to itself */
#define ROUNDS 40u
#define PATIENCE_MSEC 60000

typedef struct Slot { /* one connection, on its way through the server */
        Connection c;
        Wire wire;
        uint32_t id;
        bool answered, dropped;
        uint32_t priority;
} Slot;

typedef struct World {
        Datapath d;
        pthread_t thread;
        int kernel[QUEUE_SOCKETS], enforcer; /* the other ends */
        uint32_t last_id[QUEUE_SOCKETS];
        Host client, server;                 /* the client's whole; of the server its token and what its enforcer answers */
        Slot slots[QUEUE_SOCKETS][BURST];
        uint64_t n_accepted;
        bool spread;
} World;

/* ---- the enforcer ---- */

static void enforcer_send(World *w, const void *message, size_t size) {
        assert_int_equal(send(w->enforcer, message, size, 0), size);
}

static void enforcer_greet(World *w) {
        const Unit *u = unit_table_get(w->server.h.units, HOST_UNIT);
        const DatapathHello hello = { .header.type = DATAPATH_HELLO, .version = DATAPATH_PROTOCOL_VERSION };
        const DatapathConfig config = { .header.type = DATAPATH_CONFIG, .conntrack_mark_mask = CTMARK_DEFAULT_MASK };
        DatapathUnit unit = { .header.type = DATAPATH_UNIT, .index = HOST_UNIT, .cgroup_id = u->cgroup_id, .token_expires_usec = USEC_INFINITY, .token_len = u->token_len };
        const DatapathHeader synced = { .type = DATAPATH_SYNCED };

        memcpy(unit.node_dh, u->node_dh, sizeof(unit.node_dh));
        memcpy(unit.token, u->token, u->token_len);
        enforcer_send(w, &hello, sizeof(hello));
        enforcer_send(w, &config, sizeof(config));
        enforcer_send(w, &unit, sizeof(unit));
        enforcer_send(w, &synced, sizeof(synced));
}

static void enforcer_hear(World *w) {
        union { DatapathHeader header; DatapathResolve resolve; DatapathFlows flows; uint8_t bytes[16384]; } m;
        ssize_t n = recv(w->enforcer, &m, sizeof(m), 0);
        DatapathResolved answer;

        assert_true(n >= (ssize_t) sizeof(m.header));
        if (m.header.type == DATAPATH_RESOLVE) {
                answer = host_answer(&w->server, &m.resolve);
                answer.header = (DatapathHeader) { .type = DATAPATH_RESOLVED, .serial = m.header.serial };
                enforcer_send(w, &answer, sizeof(answer));
        }
        if (m.header.type != DATAPATH_FLOWS)
                return;
        assert_int_equal(m.flows.n_lost, 0);
        for (uint32_t i = 0; i < m.flows.n_flows; i++)
                w->n_accepted += m.flows.flows[i].verdict == DATAPATH_FLOW_ACCEPT;
}

/* ---- the kernel ---- */

static size_t put_attr(uint8_t *buf, size_t at, uint16_t type, const void *data, size_t len) {
        const struct nlattr attr = { .nla_len = (uint16_t) (NLA_HDRLEN + len), .nla_type = type };

        memcpy(buf + at, &attr, sizeof(attr));
        memcpy(buf + at + NLA_HDRLEN, data, len);
        return at + NLA_ALIGN(NLA_HDRLEN + len);
}

static uint32_t kernel_send(World *w, size_t queue, QueueHook hook, uint32_t unit, const void *packet, size_t len) {
        const struct nlmsghdr header = { .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET };
        const struct nfgenmsg gen = { .res_id = htobe16((uint16_t) (QUEUE_HANDSHAKE_FIRST + queue)) };
        const uint32_t id = ++w->last_id[queue], priority = htobe32(PRIO_MAKE(PRIO_REQUEST, REQUEST_HANDSHAKE, unit));
        const struct nfqnl_msg_packet_hdr packet_header = { .packet_id = htobe32(id), .hook = hook };
        uint8_t buf[WIRE_MAX + 128] = {};
        size_t at = sizeof(header) + sizeof(gen);

        memcpy(buf, &header, sizeof(header));
        memcpy(buf + sizeof(header), &gen, sizeof(gen));
        at = put_attr(buf, at, NFQA_PACKET_HDR, &packet_header, sizeof(packet_header));
        at = put_attr(buf, at, NFQA_PRIORITY, &priority, sizeof(priority));
        at = put_attr(buf, at, NFQA_PAYLOAD, packet, len);
        memcpy(buf, &(uint32_t) { (uint32_t) at }, sizeof(uint32_t));
        assert_int_equal(send(w->kernel[queue], buf, at, 0), at);
        return id;
}

static Slot *slot_of(World *w, size_t queue, uint32_t id) {
        for (size_t i = 0; i < BURST; i++)
                if (w->slots[queue][i].id == id)
                        return &w->slots[queue][i];
        return NULL; /* the malformed one */
}

static void take_verdict(World *w, size_t queue, const uint8_t *attrs, size_t len, unsigned *n_open) {
        struct nfqnl_msg_verdict_hdr verdict = {};
        uint32_t priority = 0;
        Reader r = { attrs, len };
        const uint8_t *payload = NULL;
        size_t payload_len = 0;
        NetlinkAttr attr;
        Slot *s;

        while (netlink_next_attr(&r, &attr) > 0) {
                if (attr.type == NFQA_VERDICT_HDR)
                        memcpy(&verdict, attr.data, sizeof(verdict));
                else if (attr.type == NFQA_PRIORITY)
                        priority = load_be32(attr.data);
                else if (attr.type == NFQA_PAYLOAD) {
                        payload = attr.data;
                        payload_len = attr.len;
                }
        }
        --*n_open;
        s = slot_of(w, queue, be32toh(verdict.id));
        if (!s)
                return;
        assert_false(s->answered);
        s->answered = true;
        s->dropped = be32toh(verdict.verdict) == NF_DROP;
        s->priority = priority;
        if (payload) {
                memcpy(s->wire.data, payload, payload_len);
                s->wire.len = payload_len;
        }
}

static void kernel_hear(World *w, size_t queue, unsigned *n_open) {
        static uint8_t buf[QUEUE_VERDICTS_SIZE];
        ssize_t n = recv(w->kernel[queue], buf, sizeof(buf), 0);
        const size_t head = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg);

        assert_true(n > 0);
        for (size_t at = 0; at < (size_t) n;) {
                struct nlmsghdr h;

                memcpy(&h, buf + at, sizeof(h));
                assert_true(h.nlmsg_len >= head && at + h.nlmsg_len <= (size_t) n);
                take_verdict(w, queue, buf + at + head, h.nlmsg_len - head, n_open);
                at += NLMSG_ALIGN(h.nlmsg_len);
        }
}

/* Until each packet that was sent has its verdict. */
static void serve(World *w, unsigned n_open) {
        while (n_open > 0) {
                struct pollfd fds[QUEUE_SOCKETS + 1] = { [QUEUE_SOCKETS] = { .fd = w->enforcer, .events = POLLIN } };

                for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                        fds[i] = (struct pollfd) { .fd = w->kernel[i], .events = POLLIN };
                assert_true(poll(fds, ELEMENTSOF(fds), PATIENCE_MSEC) > 0);
                for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                        if (fds[i].revents)
                                kernel_hear(w, i, &n_open);
                if (fds[QUEUE_SOCKETS].revents)
                        enforcer_hear(w);
        }
}

/* One step of all connections: their packets are there at once, as on a busy host, and something that is no packet with them. */
static void step(World *w, QueueHook hook, uint32_t unit, uint8_t verdict) {
        unsigned n = 0;

        pthread_mutex_lock(&w->d.lock);
        for (size_t i = 0; i < BURST; i++)
                for (size_t queue = 0; queue < QUEUE_SOCKETS; queue++, n++) {
                        Slot *s = &w->slots[queue][i];

                        s->answered = false;
                        s->id = kernel_send(w, queue, hook, unit, s->wire.data, s->wire.len);
                }
        for (size_t queue = 0; queue < QUEUE_SOCKETS; queue++, n++)
                (void) kernel_send(w, queue, hook, unit, "no packet", 9);
        pthread_mutex_unlock(&w->d.lock);
        serve(w, n);
        for (size_t i = 0; i < QUEUE_SOCKETS * BURST; i++) {
                const Slot *s = &w->slots[i / BURST][i % BURST];

                assert_true(s->answered && !s->dropped);
                assert_int_equal(PRIO_FLAGS(s->priority), verdict);
        }
        pthread_mutex_lock(&w->d.lock);
        w->spread |= w->d.spread;
        pthread_mutex_unlock(&w->d.lock);
}

static void client_sends(World *w, Wire (*make)(const Connection *c)) {
        for (size_t i = 0; i < QUEUE_SOCKETS * BURST; i++) {
                Slot *s = &w->slots[i / BURST][i % BURST];

                s->wire = make(&s->c);
                assert_int_equal(host_output(&w->client, &s->wire).type, ACTION_ACCEPT);
        }
}

static Wire bare_ack(const Connection *c) {
        return wire_ack(c, "");
}

/* ---- both ---- */

static void *run(void *userdata) {
        Datapath *d = userdata;

        pthread_mutex_lock(&d->lock);
        if (workers_start(d) >= 0)
                datapath_run(d);
        pthread_mutex_unlock(&d->lock);
        return NULL;
}

/* A service manager that hangs: its socket is full. */
static int full_socket(void) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0); /* the other end stays open as long as we live */
        while (send(fds[0], "x", 1, MSG_DONTWAIT) >= 0)
                ;
        assert_int_equal(errno, EAGAIN);
        return fds[0];
}

static void world_open(World *w) {
        const struct timeval patience = { .tv_usec = QUEUE_PATIENCE_USEC };
        char path[64];
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        (void) snprintf(path, sizeof(path), "/tmp/trireme-test-threads-%d", (int) getpid());
        strcpy(address.sun_path, path);
        assert_int_equal(datapath_init(&w->d), 0);
        for (size_t i = 0; i < QUEUE_SOCKETS; i++) {
                int fds[2];

                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
                assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
                assert_int_equal(queue_open(&w->d.queues[i], i, fds[0]), 0);
                w->d.queues[i].inherited = 0;
                w->kernel[i] = fds[1];
        }
        assert_int_equal(queue_batch_init(&w->d.own_batch), 0);
        assert_int_equal(verdicts_init(&w->d.own_verdicts, w->d.queues), 0);
        w->d.notify.fd = full_socket();
        w->d.control.peer_uid = getuid();
        assert_int_equal(control_listen(&w->d.control, path), 0);
        w->enforcer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(w->enforcer, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(unlink(path), 0);
        enforcer_greet(w);
        assert_int_equal(pthread_create(&w->thread, NULL, run, &w->d), 0);
}

/* A queue whose other end is gone is lost, and with it the process: so the main thread ends. */
static void world_close(World *w) {
        struct pollfd fd = { .fd = w->kernel[0], .events = POLLIN };

        (void) kernel_send(w, 0, QUEUE_HOOK_INPUT, 0, "no packet", 9);
        assert_int_equal(poll(&fd, 1, PATIENCE_MSEC), 1);
        close(w->kernel[0]); /* with an answer unread */
        assert_int_equal(pthread_join(w->thread, NULL), 0);
}

static void connections_on_all_threads_are_authorized_and_recorded_once(void **state) {
        static World w = { .d = DATAPATH_INIT };
        const DatapathForget forget = { .header.type = DATAPATH_FORGET, .flags = DATAPATH_FORGET_DECISIONS };
        const uint64_t n = (uint64_t) ROUNDS * QUEUE_SOCKETS * BURST;

        test_now = clock_boottime_usec();
        host_init(&w.client, "client", "the same secret", 2);
        host_init(&w.server, "server", "the same secret", 2);
        world_open(&w);
        for (unsigned round = 0; round < ROUNDS; round++) {
                test_now = clock_boottime_usec();
                for (size_t i = 0; i < QUEUE_SOCKETS * BURST; i++)
                        w.slots[i / BURST][i % BURST].c = connection_make(round % 2 ? AF_INET : AF_INET6, (uint16_t) (1000 + round * QUEUE_SOCKETS * BURST + i));
                client_sends(&w, wire_syn);
                step(&w, QUEUE_HOOK_INPUT, HOST_UNIT, VERDICT_SERVER_PENDING);
                if (round % 4 == 0) /* a policy changes */
                        enforcer_send(&w, &forget, sizeof(forget));
                for (size_t i = 0; i < QUEUE_SOCKETS * BURST; i++)
                        w.slots[i / BURST][i % BURST].wire = wire_syn_ack(&w.slots[i / BURST][i % BURST].c);
                step(&w, QUEUE_HOOK_OUTPUT, 0, VERDICT_PASS);
                for (size_t i = 0; i < QUEUE_SOCKETS * BURST; i++)
                        assert_int_equal(host_input(&w.client, &w.slots[i / BURST][i % BURST].wire).type, ACTION_ACCEPT);
                client_sends(&w, bare_ack);
                step(&w, QUEUE_HOOK_INPUT, 0, VERDICT_SERVER_AUTHORIZED);
        }
        while (w.n_accepted < n) {
                struct pollfd fd = { .fd = w.enforcer, .events = POLLIN };

                assert_int_equal(poll(&fd, 1, PATIENCE_MSEC), 1);
                enforcer_hear(&w);
        }
        assert_int_equal(w.n_accepted, n);
        assert_true(w.spread || sysconf(_SC_NPROCESSORS_ONLN) == 1);
        world_close(&w);
        host_done(&w.client);
        host_done(&w.server);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(connections_on_all_threads_are_authorized_and_recorded_once) };
        int r = cmocka_run_group_tests(tests, NULL, NULL);

        (void) fflush(stdout);
        _exit(r); /* the workers end with the process, as in the product */
}
