/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the nft table (helper) and the packet loop (datapath) say to each other on the packets themselves. docs/architecture.md draws it. */

#include <stdint.h>

/* Units are known by an index, 1 to UNIT_INDEX_MAX, unique while the unit's cgroup id is in the maps. 0: not known. */
#define UNIT_INDEX_MAX 0xffffu

/* ---- meta priority (skb->priority), valid between two chains of one hook and in NFQA_PRIORITY only ---- */
#define PRIO_MAGIC_MASK 0xff000000u
#define PRIO_REQUEST 0x73000000u /* table -> datapath */
#define PRIO_VERDICT 0x74000000u /* datapath -> table; sanitized to 0 on entry of each hook, so that SO_PRIORITY forges nothing */
#define PRIO_INDEX(p) ((uint32_t) (p) & 0xffffu)
#define PRIO_FLAGS(p) (((uint32_t) (p) >> 16) & 0xffu)
#define PRIO_MAKE(magic, flags, index) ((magic) | ((uint32_t) (flags) << 16) | ((index) & 0xffffu))

/* Bits 16-23 of a request. The low four say what the maps know of the unit, the high four why the packet is queued. */
enum {
        REQUEST_UNIT_OBSERVE = 1 << 0, /* TriremeMode=observe */
        REQUEST_UNIT_CLOSED = 1 << 1,  /* attached but not (or no longer) decided: everything is denied */
        REQUEST_KIND_MASK = 0xf0,
        REQUEST_HANDSHAKE = 0x00,      /* SYN to or from a unit, or any packet of a flow whose end is pending */
        REQUEST_UNKNOWN_LISTENER = 0x10, /* INPUT SYN that met a socket that is not a full one (TIME_WAIT, request), or whose conntrack entry bears the authorized
                                      * bits of our end (a forged SYN on a live connection must not stop it): find socket and listener by sock_diag. Instead
                                      * of an index REQUEST_UNKNOWN_PEER or 0. On lo from a local unit nfmark is as in REQUEST_LOCAL, else 0 */
        REQUEST_STRIP = 0x20,          /* accepted by an ACL as a stranger, but carries SYN data or a Fast Open option: strip, then VERDICT_SET_* */
        REQUEST_RECORD_ACL = 0x30,     /* record queue: denied, no ACL allows this stranger */
        REQUEST_RECORD_UNMARKED = 0x40, /* record queue: packet of a unit's socket in a flow that was never authorized */
        REQUEST_RECORD_CLOSED = 0x50,  /* record queue: the unit is closed */
        REQUEST_RECORD_LOGGED = 0x90,  /* record queue: accepted by an ACL whose action is to log: answer VERDICT_PASS */
        REQUEST_RECORD_OBSERVED = 0x60, /* record queue: would have been denied, let pass by observe: answer VERDICT_PASS */
        REQUEST_LOCAL = 0x70,          /* SYN on lo at INPUT from a local unit: nfmark holds the whole conntrack mark with the client's index */
        REQUEST_REPEAT = 0x80,         /* INPUT packet of an authorized flow that repeats the handshake: flags SYN|ACK in the reply direction where the client end is
                                      * authorized (our ACK was lost and must be said again), or payload that begins with HANDSHAKE_MAGIC in the original
                                      * direction where the server end is authorized (the peer said it twice; a program must never read it) */
};

#define REQUEST_UNKNOWN_PEER 1u /* the packet comes from TargetNetworks=: a token in it is read */

#define HANDSHAKE_MAGIC 0x54524901u /* first 4 bytes of a message, docs/protocol.md; big-endian */

/* Bits 16-23 of a verdict; always sent with NF_ACCEPT. NF_DROP drops without a word. Bits 0-15 name the unit, but those of CLIENT_AUTHORIZED and SERVER_AUTHORIZED
 * the peer: its number goes into the conntrack mark, so that what the flow was authorized for can be judged again as long as it lives. */
enum {
        VERDICT_PASS = 0,          /* let it through here, mark untouched. A denied SYN-ACK is passed to INPUT as a reset to our own client: refusing it would tell
                                    * the peer and leave the client waiting */
        VERDICT_CLIENT_PENDING = 1,
        VERDICT_CLIENT_AUTHORIZED = 2,
        VERDICT_SERVER_PENDING = 3,
        VERDICT_SERVER_AUTHORIZED = 4,
        VERDICT_BOTH_AUTHORIZED = 5, /* both ends on this host */
        VERDICT_DENY = 6,          /* reject with a TCP reset (ICMP for the rest) */
        VERDICT_STRANGER = 7,      /* bare SYN-ACK: the table's ConnectTo ACL decides, then CLIENT_AUTHORIZED or DENY */
        VERDICT_STRANGER_SYN = 8,  /* INPUT SYN whose identity is not to be read: the table's AcceptFrom ACL decides */
        VERDICT_CLEAR = 9,         /* forget our bits (SYN of an unlabelled socket on a tuple we once marked), go on */
};

/* ---- conntrack mark, relative to the lowest bit of ConntrackMarkMask= ---- */
#define CTMARK_BITS 20
#define CTMARK_DEFAULT_MASK 0xfffff000u
#define CTMARK_CLIENT_MASK 0x3u
#define CTMARK_CLIENT_PENDING 0x1u
#define CTMARK_CLIENT_AUTHORIZED 0x2u
#define CTMARK_SERVER_MASK 0xcu
#define CTMARK_SERVER_PENDING 0x4u
#define CTMARK_SERVER_AUTHORIZED 0x8u
#define CTMARK_CLIENT_STRANGER 0x3u     /* authorized by an ACL: no message ever repeats on this flow. Test "authorized" by its bit, not the field */
#define CTMARK_SERVER_STRANGER 0xcu
#define CTMARK_INDEX_SHIFT 4 /* on lo the client's index until INPUT has decided; of a flow with an identity elsewhere its peer number */

/* ---- queues ---- */
#define QUEUE_HANDSHAKE_FIRST 7340u /* 7340 .. 7343: handshakes, spread by CPU */
#define QUEUE_HANDSHAKE_COUNT 4u
#define QUEUE_RECORD 7344u          /* denials decided by the table, rate limited there */
