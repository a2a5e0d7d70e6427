/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sock_diag (linux/inet_diag.h) requests and answers. Pure. Used by the datapath (whose listener is this?) and the helper (sockets of a
 * cgroup, SOCK_DESTROY). */

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

typedef struct DiagSocket {
        uint8_t family, state;         /* AF_*, TCP_* of the kernel */
        uint8_t protocol;              /* IPPROTO_*; 0 from diag_parse(): answers do not name it, the asker knows */
        uint16_t sport, dport;         /* host order; s is the local side */
        struct in6_addr saddr, daddr;  /* IPv4 as ::ffff:a.b.c.d */
        uint32_t cookie[2];
        uint64_t cgroup_id;            /* INET_DIAG_CGROUP_ID, 0 when absent */
        uint32_t inode;
        uint32_t ifindex;              /* the socket is bound to this interface (link-local addresses are), else 0 */
} DiagSocket;

/* Dump sockets of (family, protocol) in the given states (bit set 1 << TCP_*). Connections of a dual-stack socket are AF_INET6, whatever
 * their addresses. cgroup_id != 0: only of that cgroup (INET_DIAG_BC_CGROUP_COND); sport != 0: only with this local port (host order).
 * Returns size or -EMSGSIZE. */
_must_use_ int diag_dump_write(uint8_t family, uint8_t protocol, uint32_t states, uint64_t cgroup_id, uint16_t sport, uint32_t seq,
                               void *buf, size_t size);
/* The one socket that a packet from s->daddr, s->dport to s->saddr, s->sport (arriving on s->ifindex) meets, by the kernel's own look-up;
 * with dport 0 the listener it would meet. One answer, or the error -ENOENT. Returns size, -EMSGSIZE, or -EINVAL without family or protocol. */
_must_use_ int diag_find_write(const DiagSocket *s, uint32_t seq, void *buf, size_t size);
/* SOCK_DESTROY of exactly this socket (cookie included); asks for an ACK. Returns size, -EMSGSIZE, or -EINVAL without family or protocol. */
_must_use_ int diag_destroy_write(const DiagSocket *s, uint32_t seq, void *buf, size_t size);
/* Returns 0; -ENOMSG at the end (NLMSG_DONE, or the ACK of a request); an error message's own negative errno (-ENOENT: the socket is gone);
 * -EBADMSG. */
_must_use_ int diag_parse(const void *nlmsg, size_t len, DiagSocket *ret);
