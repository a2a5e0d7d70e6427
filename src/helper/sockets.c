/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "util/clock.h"
#include "util/fd.h"

#define ALL_STATES UINT32_MAX
#define ANSWER_MAX (32u * 1024)

static int netlink_open_socket(int protocol) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        const struct timeval timeout = { .tv_sec = 1 };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

        if (fd < 0 || connect(fd, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Sends one request and hands every answer to callback, until -ENOMSG (the end), an error, or a callback's result. */
static int diag_transact(const void *request, size_t size, uint8_t protocol, SocketCallback callback, void *userdata) {
        _cleanup_close_ int fd = netlink_open_socket(NETLINK_SOCK_DIAG);
        _cleanup_free_ uint8_t *buf = malloc(ANSWER_MAX);

        if (fd < 0)
                return fd;
        if (!buf)
                return -ENOMEM;
        if (send(fd, request, size, 0) < 0)
                return -errno;
        for (;;) {
                ssize_t n = recv(fd, buf, ANSWER_MAX, 0);
                int len = (int) n;

                if (n < 0)
                        return -errno;
                for (const struct nlmsghdr *nlh = (const void *) buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
                        DiagSocket s;
                        int k = diag_parse(nlh, nlh->nlmsg_len, &s);

                        if (k == -ENOMSG)
                                return 0;
                        s.protocol = protocol;
                        if (k == 0 && callback)
                                k = callback(&s, userdata);
                        if (k != 0)
                                return k;
                }
        }
}

static int dump(uint64_t cgroup_id, uint16_t port, uint8_t protocol, uint32_t states, SocketCallback callback, void *userdata) {
        static const uint8_t families[] = { AF_INET, AF_INET6 };

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                uint8_t request[256];
                int k = diag_dump_write(families[i], protocol, states, cgroup_id, port, 1, request, sizeof(request));

                if (k >= 0)
                        k = diag_transact(request, (size_t) k, protocol, callback, userdata);
                if (k != 0)
                        return k;
        }
        return 0;
}

int sockets_of_cgroup(uint64_t cgroup_id, uint8_t protocol, uint32_t states, SocketCallback callback, void *userdata) {
        return dump(cgroup_id, 0, protocol, states, callback, userdata);
}

int sockets_of_port(uint8_t protocol, uint32_t states, uint16_t port, SocketCallback callback, void *userdata) {
        return dump(0, port, protocol, states, callback, userdata);
}

static int on_any(const DiagSocket *s, void *userdata) {
        return 1;
}

int sockets_any(uint64_t cgroup_id) {
        int k = sockets_of_cgroup(cgroup_id, IPPROTO_TCP, ALL_STATES, on_any, NULL);

        return k != 0 ? k : sockets_of_cgroup(cgroup_id, IPPROTO_UDP, ALL_STATES, on_any, NULL);
}

int sockets_any_listener(uint64_t cgroup_id) {
        int k = sockets_of_cgroup(cgroup_id, IPPROTO_TCP, 1u << TCP_LISTEN, on_any, NULL);

        return k != 0 ? k : sockets_of_cgroup(cgroup_id, IPPROTO_UDP, ALL_STATES, on_any, NULL);
}

int socket_destroy(const DiagSocket *s) {
        uint8_t request[256];
        int k;

        if (s->state == TCP_LISTEN)
                return -EPERM;
        k = diag_destroy_write(s, 1, request, sizeof(request));
        return k < 0 ? k : diag_transact(request, (size_t) k, s->protocol, NULL, NULL);
}

static int on_found(const DiagSocket *s, void *userdata) {
        *(DiagSocket *) userdata = *s;
        return 1;
}

int socket_find(const DiagSocket *s, DiagSocket *ret) {
        uint8_t request[256];
        DiagSocket found;
        int k = diag_find_write(s, 1, request, sizeof(request));

        if (k >= 0)
                k = diag_transact(request, (size_t) k, s->protocol, on_found, &found);
        if (k < 0)
                return k;
        if (k == 0 || found.dport == 0) /* a listener is not the connection */
                return -ENOENT;
        *ret = found;
        return 0;
}

/* ---- conntrack ---- */

static bool is_v4(const struct in6_addr *a) {
        return IN6_IS_ADDR_V4MAPPED(a);
}

static struct nlmsghdr *tuple_request(const DiagSocket *s, void *buf) {
        struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
        struct nfgenmsg *nfg;
        struct nlattr *tuple, *nest;
        bool v4 = is_v4(&s->saddr);

        nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        nlh->nlmsg_seq = 1;
        nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
        *nfg = (struct nfgenmsg) { .nfgen_family = v4 ? AF_INET : AF_INET6, .version = NFNETLINK_V0 };
        tuple = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG); /* the kernel looks a tuple up in either direction */
        nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
        mnl_attr_put(nlh, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, v4 ? 4 : 16, v4 ? &s->saddr.s6_addr[12] : s->saddr.s6_addr);
        mnl_attr_put(nlh, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, v4 ? 4 : 16, v4 ? &s->daddr.s6_addr[12] : s->daddr.s6_addr);
        mnl_attr_nest_end(nlh, nest);
        nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
        mnl_attr_put_u8(nlh, CTA_PROTO_NUM, s->protocol);
        mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(s->sport));
        mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(s->dport));
        mnl_attr_nest_end(nlh, nest);
        mnl_attr_nest_end(nlh, tuple);
        return nlh;
}

typedef struct FlowAnswer {
        const DiagSocket *asked;
        KernelFlow flow;
} FlowAnswer;

static int on_ports(const struct nlattr *attr, void *userdata) {
        FlowAnswer *a = userdata;

        if (mnl_attr_get_type(attr) == CTA_PROTO_SRC_PORT && mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
                a->flow.client = a->flow.client && ntohs(mnl_attr_get_u16(attr)) == a->asked->sport;
        return MNL_CB_OK;
}

static int on_addresses(const struct nlattr *attr, void *userdata) {
        FlowAnswer *a = userdata;
        uint16_t type = mnl_attr_get_type(attr), len = mnl_attr_get_payload_len(attr);

        if ((type == CTA_IP_V4_SRC && len == 4) || (type == CTA_IP_V6_SRC && len == 16))
                a->flow.client = memcmp(mnl_attr_get_payload(attr), &a->asked->saddr.s6_addr[16 - len], len) == 0;
        return MNL_CB_OK;
}

static int on_tuple(const struct nlattr *attr, void *userdata) {
        switch (mnl_attr_get_type(attr)) {
        case CTA_TUPLE_IP: /* before CTA_TUPLE_PROTO (ctnetlink_dump_tuples()) */
                return mnl_attr_parse_nested(attr, on_addresses, userdata);
        case CTA_TUPLE_PROTO:
                return mnl_attr_parse_nested(attr, on_ports, userdata);
        default:
                return MNL_CB_OK;
        }
}

static int on_flow_attr(const struct nlattr *attr, void *userdata) {
        FlowAnswer *a = userdata;

        if (mnl_attr_get_type(attr) == CTA_MARK && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
                a->flow.mark = ntohl(mnl_attr_get_u32(attr));
        if (mnl_attr_get_type(attr) == CTA_TUPLE_ORIG)
                return mnl_attr_parse_nested(attr, on_tuple, userdata);
        return MNL_CB_OK;
}

static int on_flow(const struct nlmsghdr *nlh, void *userdata) {
        return mnl_attr_parse(nlh, sizeof(struct nfgenmsg), on_flow_attr, userdata) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

int flow_find(int *fd, const DiagSocket *s, KernelFlow *ret) {
        uint8_t buf[4096]; /* an entry without extensions is a tenth of that */
        FlowAnswer answer = { .asked = s };
        struct nlmsghdr *nlh;
        int k = MNL_CB_OK;

        if (*fd < 0)
                *fd = netlink_open_socket(NETLINK_NETFILTER);
        if (*fd < 0)
                return *fd;
        nlh = tuple_request(s, buf);
        if (send(*fd, nlh, nlh->nlmsg_len, 0) < 0)
                return -errno;
        while (k > MNL_CB_STOP) { /* up to the ACK */
                ssize_t n = recv(*fd, buf, sizeof(buf), 0);
                int r = -errno;

                if (n < 0) { /* what comes later would be taken for the answer to another question */
                        closep(fd);
                        *fd = -1;
                        return r;
                }
                k = mnl_cb_run(buf, (size_t) n, 1, 0, on_flow, &answer);
        }
        if (k < 0)
                return -errno;
        *ret = answer.flow;
        return 0;
}
