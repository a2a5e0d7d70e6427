/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which sockets are a unit's. Of each the kernel tells one control group (INET_DIAG_CGROUP_ID), the one in which it was opened: that may be below the unit's (a slice,
 * Delegate=), and no more. The unit is the innermost of the table above it, as in the rules. A connection whose handshake the server's kernel has not finished, or
 * for which its program has no room, is no socket yet ("request sock") and has none: it is the unit's whose listener it will be accepted from.
 *
 * A socket of a group that is no more, and is not itself in the table, is lost: whose it was nobody can tell any more. It may have been of each unit whose own group is
 * older: the kernel numbers control groups in the order in which they are made (kernfs_new_node()), and uses no number twice. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "helper/sockets.h"
#include "helper/table.h"
#include "util/macro.h"

typedef struct CgroupNode {
        uint64_t id, parent;              /* parent 0: below the root */
} CgroupNode;

#define CGROUPS_MISSING_MAX 256u

typedef struct SocketOwners {
        const Table *table;               /* borrowed, as */
        int cgroup_root_fd;
        CgroupNode *nodes;                /* all control groups as last read, by id. Where one is never changes, so an old copy says nothing wrong */
        size_t n_nodes;
        uint64_t missing[CGROUPS_MISSING_MAX]; /* a ring of those that were not there: they never will be */
        size_t n_missing;
        int conntrack_fd;                 /* or -1 */
} SocketOwners;

void socket_owners_done(SocketOwners *o);

/* The innermost unit above a control group. NULL: no unit's, or it is no more and nothing is known of it. */
const TableUnit *cgroup_owner(SocketOwners *o, uint64_t cgroup_id);
/* Of a request the owner of its listener. NULL also where several that share a port are not all one unit's: which of them the kernel chose it does not tell. */
const TableUnit *socket_owner(SocketOwners *o, const DiagSocket *s);
/* What conntrack says of a TCP connection, with the bits of our mark from the lowest on. -ENOENT: not one of ours, or none. */
_must_use_ int socket_flow(SocketOwners *o, const DiagSocket *s, KernelFlow *ret);
/* The unit may cut it: it is its, or nobody's and authorized at this end. */
bool socket_may_be_of(SocketOwners *o, const DiagSocket *s, uint64_t cgroup_id);
/* All TCP sockets of the unit with this control group, listeners first. cgroup: where it is or was. tree: it may have had groups below it that are no more. */
_must_use_ int unit_sockets(SocketOwners *o, uint64_t cgroup_id, const char *cgroup, bool tree, SocketCallback callback, void *userdata);
/* Is there a lost socket that may have been of this unit, and that lets strangers in or was authorized, or to be, at its end? 1, 0, or a negative errno. */
_must_use_ int sockets_any_lost(SocketOwners *o, uint64_t cgroup_id);
