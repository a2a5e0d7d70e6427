/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kernel's sockets, by sock_diag, and its flows, by ctnetlink: which there are, and ending one. Synchronous: the kernel answers at once. */

#include <stdbool.h>
#include <stdint.h>

#include "util/macro.h"
#include "wire/diag-msg.h"

/* Called for each socket; a return value other than 0 ends the walk and becomes its result. */
typedef int (*SocketCallback)(const DiagSocket *s, void *userdata);

_must_use_ int sockets_of_cgroup(uint64_t cgroup_id, uint8_t protocol, uint32_t states, SocketCallback callback, void *userdata);
/* All of a family's, whatever their group, that have this local port; 0: any. */
_must_use_ int sockets_of_port(uint8_t protocol, uint32_t states, uint16_t port, SocketCallback callback, void *userdata);
/* Does any TCP or UDP socket, in whatever state, bear this cgroup id? 1, 0, or a negative errno. */
_must_use_ int sockets_any(uint64_t cgroup_id);
_must_use_ int sockets_any_listener(uint64_t cgroup_id);
/* -EPERM for a listener, -ENOENT when it is gone. */
_must_use_ int socket_destroy(const DiagSocket *s);
/* The socket at the local end (s->saddr, s->sport) of a connection; -ENOENT. */
_must_use_ int socket_find(const DiagSocket *s, DiagSocket *ret);

/* The conntrack entry of a connection. */
typedef struct KernelFlow {
        uint32_t mark;
        bool client; /* the entry was opened from s->saddr, s->sport */
} KernelFlow;

/* By its tuple in either direction; -ENOENT. *fd: a netlink socket kept for further questions, or -1; the caller closes it. */
_must_use_ int flow_find(int *fd, const DiagSocket *s, KernelFlow *ret);
