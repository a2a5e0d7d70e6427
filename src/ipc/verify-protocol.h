/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* enforcer <-> trireme-verify over a SOCK_SEQPACKET Unix socket, one message a packet, host byte order. Requests are answered in order, each by at most one
 * data message and then one VerifyReply, all with its serial. A packet of another size or type ends the connection, and the worker with it. */

#include <stdint.h>

#include "crypto/certificate.h"

#define VERIFY_SOCKET_PATH "/run/trireme/verify.sock"
#define VERIFY_STALL_SEC 10u /* a worker that one certificate keeps so long ends itself */

typedef enum VerifyType {
        VERIFY_TRUST = 1,   /* VerifyHeader and a descriptor of a memfd: the trust store in PEM, replaces the one before */
        VERIFY_CERTIFICATE, /* VerifyCertificate. data: VERIFY_INFO */
        /* answers */
        VERIFY_INFO,        /* VerifyInfo */
        VERIFY_REPLY,       /* VerifyReply */
} VerifyType;

typedef struct VerifyHeader {
        uint32_t type;
        uint32_t serial;
} VerifyHeader;

typedef struct VerifyCertificate {
        VerifyHeader header;
        int64_t now_sec;                /* the worker has no clock of its own that could differ */
        uint32_t len;
        uint8_t der[CERTIFICATE_MAX];
        uint32_t reserved;
} VerifyCertificate;

typedef struct VerifyInfo {
        VerifyHeader header;
        CertificateInfo info;
} VerifyInfo;

typedef struct VerifyReply {
        VerifyHeader header;
        int32_t result;                 /* 0; -EINVAL: no usable trust store; or what went wrong */
        uint32_t reserved;
} VerifyReply;
