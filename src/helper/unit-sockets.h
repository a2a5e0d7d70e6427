/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which sockets are a unit's. Of each the kernel tells one control group (INET_DIAG_CGROUP_ID), the one in which it was opened: that may be below the unit's (a slice,
 * Delegate=), and no more. The unit is the innermost of the table above it, as in the rules. A connection whose handshake the server's kernel has not finished, or
 * for which its program has no room, is no socket yet ("request sock") and has none: it is the unit's whose listener it will be accepted from. */

#include <stdbool.h>
#include <stdint.h>

#include "helper/sockets.h"
#include "helper/table.h"
#include "util/macro.h"

/* Where a control group is. That never changes, and no id is ever used again. */
typedef struct CgroupLine {
        uint64_t id;                      /* 0: empty */
        uint64_t ids[HELPER_LEVEL_MAX];   /* of the groups from the root to it, without the root; of one deeper than that the first */
} CgroupLine;

#define CGROUP_LINES_MAX 64u

typedef struct SocketOwners {
        const Table *table;               /* borrowed, as */
        int cgroup_root_fd;
        CgroupLine lines[CGROUP_LINES_MAX]; /* a ring of what was looked for last */
        unsigned next_line;
        int conntrack_fd;                 /* or -1 */
} SocketOwners;

void socket_owners_done(SocketOwners *o);

/* NULL: no unit's, or its control group is gone and nothing is known of it. */
const TableUnit *socket_owner(SocketOwners *o, const DiagSocket *s);
/* What conntrack says of a TCP connection, with the bits of our mark from the lowest on. -ENOENT: not one of ours, or none. */
_must_use_ int socket_flow(SocketOwners *o, const DiagSocket *s, KernelFlow *ret);
/* The unit may cut it: it is its, or that of a group which is no more, and authorized at this end. */
bool socket_may_be_of(SocketOwners *o, const DiagSocket *s, uint64_t cgroup_id);
/* All TCP sockets of the unit with this control group, listeners first. cgroup: where it is, or "" if it is no more; then those of groups below it are left out. */
_must_use_ int unit_sockets(SocketOwners *o, uint64_t cgroup_id, const char *cgroup, SocketCallback callback, void *userdata);
/* Is there any socket of a control group that is neither there nor a unit's, which lets strangers in or was authorized at its end? 1, 0, or a negative errno. */
_must_use_ int sockets_any_lost(SocketOwners *o);
