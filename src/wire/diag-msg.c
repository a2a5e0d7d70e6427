/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "wire/diag-msg.h"
#include "wire/netlink.h"

#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO */

static void diag_begin(NetlinkWriter *w, uint16_t type, uint16_t flags, uint32_t seq, const struct inet_diag_req_v2 *request,
                       void *buf, size_t size) {
        const struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = seq };

        netlink_begin(w, buf, size, &header);
        netlink_put(w, request, sizeof(*request));
}

/* A program of one condition. "yes" and "no" are jumps in bytes from the operation's start: to the end, and beyond it, which rejects. */
static void put_cgroup_condition(NetlinkWriter *w, uint64_t cgroup_id) {
        struct {
                struct inet_diag_bc_op op;
                uint8_t cgroup_id[sizeof(uint64_t)];
        } program = {
                .op = { .code = INET_DIAG_BC_CGROUP_COND, .yes = sizeof(program), .no = sizeof(program) + 4 },
        };

        memcpy(program.cgroup_id, &cgroup_id, sizeof(cgroup_id));
        netlink_put_attr(w, INET_DIAG_REQ_BYTECODE, &program, sizeof(program));
}

int diag_dump_write(uint8_t family, uint8_t protocol, uint32_t states, uint64_t cgroup_id, uint16_t sport, uint32_t seq,
                    void *buf, size_t size) {
        const struct inet_diag_req_v2 request = {
                .sdiag_family = family,
                .sdiag_protocol = protocol,
                .idiag_states = states,
                .id.idiag_sport = htons(sport),
        };
        NetlinkWriter w;

        diag_begin(&w, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, seq, &request, buf, size);
        if (cgroup_id != 0)
                put_cgroup_condition(&w, cgroup_id);
        return netlink_finish(&w);
}

static void address_to_diag(uint8_t family, const struct in6_addr *a, __be32 ret[static 4]) {
        if (family == AF_INET)
                memcpy(ret, a->s6_addr + 12, 4);
        else
                memcpy(ret, a->s6_addr, 16);
}

static struct in6_addr address_from_diag(uint8_t family, const __be32 id[static 4]) {
        struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        if (family == AF_INET)
                memcpy(a.s6_addr + 12, id, 4);
        else
                memcpy(a.s6_addr, id, 16);
        return a;
}

static int diag_socket_write(const DiagSocket *s, uint16_t type, uint16_t flags, const uint32_t cookie[static 2], uint32_t seq,
                             void *buf, size_t size) {
        struct inet_diag_req_v2 request = {
                .sdiag_family = s->family,
                .sdiag_protocol = s->protocol,
                .idiag_states = UINT32_MAX,
                .id = {
                        .idiag_sport = htons(s->sport),
                        .idiag_dport = htons(s->dport),
                        .idiag_if = s->ifindex,
                        .idiag_cookie = { cookie[0], cookie[1] },
                },
        };
        NetlinkWriter w;

        if ((s->family != AF_INET && s->family != AF_INET6) || s->protocol == 0)
                return -EINVAL;
        address_to_diag(s->family, &s->saddr, request.id.idiag_src);
        address_to_diag(s->family, &s->daddr, request.id.idiag_dst);
        diag_begin(&w, type, flags, seq, &request, buf, size);
        return netlink_finish(&w);
}

int diag_find_write(const DiagSocket *s, uint32_t seq, void *buf, size_t size) {
        static const uint32_t any[2] = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE };

        return diag_socket_write(s, SOCK_DIAG_BY_FAMILY, 0, any, seq, buf, size);
}

int diag_destroy_write(const DiagSocket *s, uint32_t seq, void *buf, size_t size) {
        return diag_socket_write(s, SOCK_DESTROY, NLM_F_ACK, s->cookie, seq, buf, size);
}

/* NLMSG_ERROR and NLMSG_DONE both begin with an errno; 0 is the end without one. */
static int diag_parse_end(Reader *r) {
        const uint8_t *p = reader_take(r, sizeof(int));
        int error;

        if (!p)
                return -EBADMSG;
        memcpy(&error, p, sizeof(error));
        if (error > 0 || error < -ERRNO_MAX)
                return -EBADMSG;
        return error == 0 ? -ENOMSG : error;
}

static int diag_parse_socket(Reader *r, DiagSocket *ret) {
        const uint8_t *p = reader_take(r, sizeof(struct inet_diag_msg));
        struct inet_diag_msg msg;
        NetlinkAttr attr;
        DiagSocket s;
        int more;

        if (!p)
                return -EBADMSG;
        memcpy(&msg, p, sizeof(msg));
        if (msg.idiag_family != AF_INET && msg.idiag_family != AF_INET6)
                return -EBADMSG;
        s = (DiagSocket) {
                .family = msg.idiag_family,
                .state = msg.idiag_state,
                .sport = ntohs(msg.id.idiag_sport),
                .dport = ntohs(msg.id.idiag_dport),
                .saddr = address_from_diag(msg.idiag_family, msg.id.idiag_src),
                .daddr = address_from_diag(msg.idiag_family, msg.id.idiag_dst),
                .cookie = { msg.id.idiag_cookie[0], msg.id.idiag_cookie[1] },
                .inode = msg.idiag_inode,
                .ifindex = msg.id.idiag_if,
        };
        while ((more = netlink_next_attr(r, &attr)) > 0) {
                if (attr.type != INET_DIAG_CGROUP_ID)
                        continue;
                if (attr.len != sizeof(s.cgroup_id))
                        return -EBADMSG;
                memcpy(&s.cgroup_id, attr.data, sizeof(s.cgroup_id));
        }
        if (more < 0)
                return -EBADMSG;
        *ret = s;
        return 0;
}

int diag_parse(const void *nlmsg, size_t len, DiagSocket *ret) {
        struct nlmsghdr header;
        Reader r;

        if (netlink_open(nlmsg, len, &header, &r) < 0)
                return -EBADMSG;
        switch (header.nlmsg_type) {
        case NLMSG_ERROR:
        case NLMSG_DONE:
                return diag_parse_end(&r);
        case SOCK_DIAG_BY_FAMILY:
                return diag_parse_socket(&r, ret);
        default:
                return -EBADMSG;
        }
}
