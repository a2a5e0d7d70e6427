/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* trireme-attach -> helper over a SOCK_SEQPACKET Unix socket (ATTACH_SOCKET_PATH): one request, one reply. Which unit is meant is not said: the
 * helper reads it from the cgroup of its peer, .../trireme-attach@UNIT.service. */

#include <stdint.h>

#define ATTACH_PROTOCOL_VERSION 1u

typedef struct AttachRequest {
        uint32_t version;
        uint32_t reserved;
} AttachRequest;

typedef struct AttachReply {
        int32_t result;   /* 0, or -errno: the unit must not start */
        uint32_t reserved;
        char reason[256]; /* printable ASCII, NUL-terminated; empty when there is nothing to say */
} AttachReply;
