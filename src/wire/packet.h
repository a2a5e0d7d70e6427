/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* IPv4/IPv6 + TCP (and just enough of UDP, ICMP) bytes <-> Packet. Pure: no allocation, no clock, no log. Input is hostile: every
 * length is checked against the buffer before use. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define PACKET_MAX 65535u

enum { /* RFC 9293 3.1 */
        TCP_FLAG_FIN = 0x01, TCP_FLAG_SYN = 0x02, TCP_FLAG_RST = 0x04, TCP_FLAG_PSH = 0x08, TCP_FLAG_ACK = 0x10, TCP_FLAG_URG = 0x20,
};

typedef struct Packet {
        const uint8_t *data;           /* borrowed, the whole IP packet */
        size_t len;                    /* as the IP header says; trailing bytes beyond it are ignored */
        struct in6_addr saddr, daddr;  /* IPv4 as ::ffff:a.b.c.d */
        uint8_t family;                /* AF_INET, AF_INET6 */
        uint8_t protocol;              /* upper layer, behind extension headers */
        uint16_t sport, dport;         /* host order; ICMP: type and code; else 0 */
        /* TCP only */
        uint32_t seq, ack;             /* host order */
        uint8_t flags;                 /* TCP_FLAG_* */
        bool fast_open;                /* carries option 34 (RFC 7413) or its experimental form (254, 0xf989) */
        uint16_t l4_offset;            /* of the TCP/UDP/ICMP header in data */
        uint16_t payload_offset;       /* of the payload in data; == len when empty */
        uint32_t payload_len;
} Packet;

/* Returns: 0; -EBADMSG malformed or truncated; -EPROTONOSUPPORT a fragment other than the only one, a source route (IPv4 option, IPv6 routing
 * header) not yet at its end, or a chain of IPv6 extension headers this parser does not follow (hop-by-hop, routing, destination options,
 * authentication are followed). */
_must_use_ int packet_parse(const uint8_t *data, size_t len, Packet *ret);

/* Writes p (TCP) to buf with its payload replaced by payload[0..payload_len) (may be empty) and, if strip_fast_open, its Fast Open option
 * overwritten by NOPs. Lengths and checksums (always full, whatever the kernel had offloaded) are made right; all else is kept.
 * A packet that is given a payload loses its FIN: it stood behind data that is cut here and that TCP sends again, FIN included.
 * buf may not overlap p->data or payload.
 * Returns the new total length, or -EMSGSIZE (buf too small, or beyond 65535), -EPROTO (not TCP). */
_must_use_ int packet_rewrite(const Packet *p, const uint8_t *payload, size_t payload_len, bool strip_fast_open, uint8_t *buf, size_t size);

/* Writes p (a TCP SYN-ACK or RST) to buf as a reset of the connection it answers: RST and ACK of the given number, without payload (RFC 9293 3.10.7.3). Returns as
 * above. */
_must_use_ int packet_write_reset(const Packet *p, uint32_t ack, uint8_t *buf, size_t size);

/* Writes p (a TCP SYN) to buf as an ACK with the same sequence number, without payload. Returns as above. */
_must_use_ int packet_write_ack(const Packet *p, uint8_t *buf, size_t size);

#define PACKET_OPTIONS_MAX 40u

/* What makes a SYN: enough to make it again out of a later packet of the same connection. */
typedef struct PacketSyn {
        uint32_t seq;
        uint16_t window;
        uint8_t flags;                 /* ECN's too */
        uint8_t options_len;
        uint8_t options[PACKET_OPTIONS_MAX];
} PacketSyn;

void packet_read_syn(const Packet *p, PacketSyn *ret); /* p: a TCP packet */
/* Writes the SYN with the IP header and ports of p, without payload and Fast Open option. Returns as above. */
_must_use_ int packet_write_syn(const Packet *p, const PacketSyn *syn, uint8_t *buf, size_t size);
