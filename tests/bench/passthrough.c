/* SPDX-License-Identifier: GPL-2.0-or-later */

/* passthrough QUEUES: the least that anything can do which has the three packets of a TCP handshake from NFQUEUE. Accepts all, and marks
 * what is not a SYN or SYN-ACK with 1, so that a rule behind it can release the connection. Each queue, from 0 on, has a socket and a
 * thread of its own; messages are received and verdicts sent in batches. What the product costs more than this is the product's own. */

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/macro.h"

#define QUEUES_MAX 16u
#define BATCH 16u
#define MESSAGE_MAX (68u * 1024)    /* 64 KiB of packet: the kernel does not segment it for us (NFQA_CFG_F_GSO) */
#define QUEUE_LENGTH 8192u
#define SOCKET_BUFFER (4 * 1024 * 1024)
#define MARK_RELEASED 1u

typedef struct Queue {
        uint16_t number;
        struct mnl_socket *socket;
        pthread_t thread;
} Queue;

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint16_t queue) {
        struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
        struct nfgenmsg *nfg;

        nlh->nlmsg_type = (uint16_t) (NFNL_SUBSYS_QUEUE << 8 | type);
        nlh->nlmsg_flags = NLM_F_REQUEST;
        nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
        nfg->nfgen_family = AF_UNSPEC;
        nfg->version = NFNETLINK_V0;
        nfg->res_id = htons(queue);
        return nlh;
}

static int queue_configure(const Queue *q) {
        struct nfqnl_msg_config_params params = { .copy_range = htonl(0xffff), .copy_mode = NFQNL_COPY_PACKET };
        struct nfqnl_msg_config_cmd bind = { .command = NFQNL_CFG_CMD_BIND };
        char buffer[MNL_NLMSG_HDRLEN * 8], answer[8192];
        struct nlmsghdr *nlh;
        ssize_t n;

        nlh = put_header(buffer, NFQNL_MSG_CONFIG, q->number);
        nlh->nlmsg_flags |= NLM_F_ACK;
        mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(bind), &bind);
        mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
        mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
        mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
        mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LENGTH));
        if (mnl_socket_sendto(q->socket, nlh, nlh->nlmsg_len) < 0)
                return -errno;
        n = mnl_socket_recvfrom(q->socket, answer, sizeof(answer));
        if (n < 0 || mnl_cb_run(answer, (size_t) n, 0, mnl_socket_get_portid(q->socket), NULL, NULL) < 0)
                return -errno;
        return 0;
}

static bool is_syn(const uint8_t *packet, size_t len) {
        size_t header = len > 0 && packet[0] >> 4 == 4 ? (packet[0] & 0xfu) * 4u : 40; /* no IPv6 extension headers here */

        return len > header + 13 && packet[header + 13] & TH_SYN;
}

/* Appends the verdict on one message to out. Returns its size, 0 when the message was no packet. */
static size_t answer(const struct nlmsghdr *nlh, size_t len, uint16_t queue, void *out) {
        struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_ACCEPT) };
        const struct nfqnl_msg_packet_hdr *header = NULL;
        const uint8_t *payload = NULL;
        size_t payload_len = 0;
        struct nlattr *attr;
        struct nlmsghdr *reply;

        if (!mnl_nlmsg_ok(nlh, (int) len) || NFNL_MSG_TYPE(nlh->nlmsg_type) != NFQNL_MSG_PACKET)
                return 0;
        mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
                if (mnl_attr_get_type(attr) == NFQA_PACKET_HDR)
                        header = mnl_attr_get_payload(attr);
                else if (mnl_attr_get_type(attr) == NFQA_PAYLOAD) {
                        payload = mnl_attr_get_payload(attr);
                        payload_len = mnl_attr_get_payload_len(attr);
                }
        }
        if (!header)
                return 0;
        reply = put_header(out, NFQNL_MSG_VERDICT, queue);
        verdict.id = header->packet_id;
        mnl_attr_put(reply, NFQA_VERDICT_HDR, sizeof(verdict), &verdict);
        if (!is_syn(payload, payload_len))
                mnl_attr_put_u32(reply, NFQA_MARK, htonl(MARK_RELEASED));
        return reply->nlmsg_len;
}

static void *queue_run(void *arg) {
        _cleanup_free_ char *buffers = malloc(BATCH * MESSAGE_MAX);
        struct mmsghdr messages[BATCH] = {};
        struct iovec vectors[BATCH];
        char out[BATCH * 64];
        Queue *q = arg;

        if (!buffers)
                abort();
        for (size_t i = 0; i < BATCH; i++) {
                vectors[i] = (struct iovec) { .iov_base = buffers + i * MESSAGE_MAX, .iov_len = MESSAGE_MAX };
                messages[i].msg_hdr = (struct msghdr) { .msg_iov = &vectors[i], .msg_iovlen = 1 };
        }
        for (;;) {
                size_t size = 0;
                int n;

                n = recvmmsg(mnl_socket_get_fd(q->socket), messages, BATCH, MSG_WAITFORONE, NULL);
                for (int i = 0; i < n; i++)
                        size += answer(vectors[i].iov_base, messages[i].msg_len, q->number, out + size);
                if (size > 0 && mnl_socket_sendto(q->socket, out, size) < 0)
                        perror("passthrough: verdicts");
        }
        return NULL;
}

static int queue_start(Queue *q, uint16_t number) {
        int one = 1, size = SOCKET_BUFFER, r;

        q->number = number;
        q->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        if (!q->socket || mnl_socket_bind(q->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
            setsockopt(mnl_socket_get_fd(q->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
            mnl_socket_setsockopt(q->socket, NETLINK_NO_ENOBUFS, &one, sizeof(one)) < 0)
                return -errno;
        r = queue_configure(q);
        if (r < 0)
                return r;
        return -pthread_create(&q->thread, NULL, queue_run, q);
}

int main(int argc, char **argv) {
        unsigned long n_queues = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
        Queue queues[QUEUES_MAX] = {};

        if (n_queues < 1 || n_queues > QUEUES_MAX) {
                fprintf(stderr, "usage: passthrough QUEUES\n");
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < n_queues; i++) {
                int r = queue_start(&queues[i], (uint16_t) i);

                if (r < 0) {
                        fprintf(stderr, "passthrough: queue %zu: %s\n", i, strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        printf("ready\n");
        fflush(stdout);
        for (size_t i = 0; i < n_queues; i++)
                pthread_join(queues[i].thread, NULL);
        return EXIT_SUCCESS;
}
