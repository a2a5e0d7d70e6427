/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* enforcer <-> datapath over a SOCK_SEQPACKET Unix socket (/run/trireme/datapath.sock, peer checked: the enforcer's uid), one message a
 * packet, host byte order. The enforcer connects; on each new connection it sends HELLO, CONFIG, every UNIT, then SYNCED; units not named
 * before SYNCED are dropped. A lost connection changes nothing in the datapath: known pairs go on, unknown ones wait and then fail. */

#include <netinet/in.h>
#include <stdint.h>

#define DATAPATH_PROTOCOL_VERSION 2u
#define DATAPATH_SOCKET_PATH "/run/trireme/datapath.sock"
#define DATAPATH_TOKEN_MAX 1096u   /* docs/protocol.md: 1,180 bytes of SYN payload less the fixed 84 of a message */
#define DATAPATH_KEY_SIZE 32u
#define DATAPATH_HASH_SIZE 32u     /* SHA-256 of a whole token */

typedef enum DatapathType {
        DATAPATH_HELLO = 1,  /* both ways. DatapathHello */
        /* enforcer -> datapath */
        DATAPATH_CONFIG,     /* DatapathConfig */
        DATAPATH_UNIT,       /* DatapathUnit: add or replace */
        DATAPATH_UNIT_GONE,  /* DatapathUnit(index) */
        DATAPATH_SYNCED,     /* DatapathHeader */
        DATAPATH_RESOLVED,   /* DatapathResolved: answer to RESOLVE */
        DATAPATH_FORGET,     /* DatapathForget: drop cached decisions and/or keys */
        /* datapath -> enforcer */
        DATAPATH_RESOLVE,    /* DatapathResolve */
        DATAPATH_FLOWS,      /* DatapathFlows: records, batched */
        DATAPATH_COUNTERS,   /* DatapathCounters, at most once a second when something changed */
        _DATAPATH_TYPE_MAX,
} DatapathType;

typedef struct DatapathHeader {
        uint32_t type;
        uint32_t serial; /* RESOLVE/RESOLVED pair up by it */
} DatapathHeader;

typedef struct DatapathHello {
        DatapathHeader header;
        uint32_t version;
        uint32_t reserved;
} DatapathHello;

#define DATAPATH_TRANSLATED_MAX 64u

typedef struct DatapathRange {
        struct in6_addr address;       /* IPv4 as ::ffff:a.b.c.d */
        uint16_t port_first, port_last; /* host order, inclusive */
        uint32_t prefix_len;           /* of address, 0 to 128 */
} DatapathRange;

typedef struct DatapathConfig {
        DatapathHeader header;
        uint32_t conntrack_mark_mask;
        uint32_t deny_drop;            /* DenyAction=drop: remote peers get silence instead of a reset */
        uint32_t require_direct_path;
        uint32_t n_translated;
        DatapathRange translated[DATAPATH_TRANSLATED_MAX]; /* AcceptTranslatedTo=, TCP: destinations that the path may translate */
} DatapathConfig;

/* A local unit. token is what its SYNs and SYN-ACKs carry, opaque to the datapath. */
typedef struct DatapathUnit {
        DatapathHeader header;
        uint64_t cgroup_id;
        uint32_t index;
        uint32_t flags;                /* REQUEST_UNIT_* */
        uint64_t token_expires_usec;   /* CLOCK_BOOTTIME; not sent after it */
        uint8_t node_dh[32];           /* names our node and DH key inside the token: picks the pair keys */
        uint32_t token_len;
        uint32_t reserved;
        uint8_t token[DATAPATH_TOKEN_MAX];
} DatapathUnit;

typedef enum DatapathDirection {
        DATAPATH_ACCEPT = 1,  /* the peer's SYN came in: our accept rules over its tags */
        DATAPATH_CONNECT = 2, /* the peer's SYN-ACK came in: our connect rules over its tags */
        DATAPATH_LOCAL = 3,   /* both ends here: client's connect and server's accept rules; no token */
        DATAPATH_PLAIN_SYN = 4, /* may this destination be reached as a stranger (ConnectTo)? no token */
} DatapathDirection;

typedef struct DatapathResolve {
        DatapathHeader header;
        uint32_t direction;
        uint32_t unit;                 /* local unit index (LOCAL: the server's, 0 when it is a stranger) */
        uint32_t client;               /* LOCAL: the client's index */
        uint16_t port;                 /* server's port, host order */
        uint8_t family, protocol;      /* PLAIN_SYN, LOCAL: destination below; where the server is a stranger, ConnectTo is about it */
        struct in6_addr address;       /* IPv4 as ::ffff:a.b.c.d */
        uint8_t our_dh[32];            /* ACCEPT, CONNECT: node_dh of our token in this exchange */
        uint32_t token_len;
        uint32_t reserved;
        uint8_t token[DATAPATH_TOKEN_MAX];
} DatapathResolve;

/* Reasons travel as numbers; policy/reason.h names them. rule is the enforcer's id of the deciding rule, 0 none. */
typedef struct DatapathDecision {
        uint32_t allow;                /* the verdict of this end's rules */
        uint32_t observed;             /* allow is 1 only because this end observes: would-reject */
        uint32_t reason;               /* Reason of policy/reason.h */
        uint32_t rule;
        uint32_t log;                  /* what is allowed is to be recorded in the journal, too */
} DatapathDecision;

/* One key a message and direction (docs/protocol.md, key schedule). "out": we are the initiator; "in": we are the responder. */
typedef struct DatapathPairKeys {
        uint8_t out_syn[DATAPATH_KEY_SIZE], out_syn_ack[DATAPATH_KEY_SIZE], out_ack[DATAPATH_KEY_SIZE];
        uint8_t in_syn[DATAPATH_KEY_SIZE], in_syn_ack[DATAPATH_KEY_SIZE], in_ack[DATAPATH_KEY_SIZE];
} DatapathPairKeys;

typedef struct DatapathResolved {
        DatapathHeader header;         /* serial of the RESOLVE */
        uint32_t verified;             /* the token is authentic, in date and well-formed (LOCAL, PLAIN_SYN: 1) */
        uint32_t port_dependent;       /* the decision holds for this port only */
        DatapathDecision decision;     /* ACCEPT, PLAIN_SYN: ours; CONNECT: ours; LOCAL: the server's */
        DatapathDecision client;       /* LOCAL: the client's */
        uint64_t expires_usec;         /* CLOCK_BOOTTIME: keys and decision hold until then */
        uint8_t token_hash[DATAPATH_HASH_SIZE];
        uint8_t peer_dh[32];           /* SHA-256 of the peer's key id, node id and DH public key: equal only where the pair keys are */
        uint64_t peer;                 /* enforcer's id of this token, for records */
        uint32_t peer_number;          /* what the peer says it is, in 16 bits for the conntrack mark of its flows (ipc/marks.h); 0: none */
        uint32_t reserved;
        DatapathPairKeys keys;         /* valid if verified and a token was asked about */
} DatapathResolved;

typedef enum DatapathForgetFlags {
        DATAPATH_FORGET_DECISIONS = 1 << 0, /* policy, labels or mode changed */
        DATAPATH_FORGET_KEYS = 1 << 1,      /* keys changed: all peers must be verified again */
} DatapathForgetFlags;

typedef struct DatapathForget {
        DatapathHeader header;
        uint32_t flags;
        uint32_t unit; /* decisions of this unit only; 0: all */
} DatapathForget;

typedef enum DatapathFlowVerdict { DATAPATH_FLOW_ACCEPT = 1, DATAPATH_FLOW_REJECT, DATAPATH_FLOW_WOULD_REJECT } DatapathFlowVerdict;

typedef struct DatapathFlow {
        uint64_t time_usec;            /* CLOCK_REALTIME, for people */
        uint64_t peer;                 /* id of RESOLVED; 0: a stranger or unproven */
        uint32_t unit;                 /* local unit's index */
        uint32_t peer_unit;            /* the other local unit's index, 0: not on this host */
        uint8_t verdict;               /* DatapathFlowVerdict */
        uint8_t direction;             /* DATAPATH_ACCEPT: the unit is the server; DATAPATH_CONNECT: the client */
        uint8_t family, protocol;
        uint16_t sport, dport;         /* host order; ICMP: type, code */
        uint32_t reason, rule;
        uint32_t flags;                /* DATAPATH_FLOW_* */
        struct in6_addr saddr, daddr;  /* the client's and the server's address as seen here */
} DatapathFlow;

enum {
        DATAPATH_FLOW_TRANSLATED = 1 << 0, /* the peer saw another source address: NAT on the path */
        DATAPATH_FLOW_CLAIMED = 1 << 1,    /* peer identity not proven when this was decided */
        DATAPATH_FLOW_LOG = 1 << 2,        /* accepted by a rule whose action is to log */
};

#define DATAPATH_FLOWS_MAX 64u

typedef struct DatapathFlows {
        DatapathHeader header;
        uint32_t n_flows;              /* only so many entries are sent */
        uint32_t n_lost;               /* records dropped since the last message because the socket was full */
        DatapathFlow flows[DATAPATH_FLOWS_MAX];
} DatapathFlows;

typedef enum DatapathCounter {
        DATAPATH_COUNTER_PACKETS,          /* received from the queues */
        DATAPATH_COUNTER_MALFORMED,        /* not parseable as IP/TCP or as a netlink message: dropped */
        DATAPATH_COUNTER_OVERRUN,          /* ENOBUFS: the kernel dropped, peers resend */
        DATAPATH_COUNTER_PENDING_FULL,     /* more questions under way than the bound: dropped */
        DATAPATH_COUNTER_FLOWS_FULL,       /* more half-open handshakes than the bound: dropped */
        DATAPATH_COUNTER_AUTHENTICATED,    /* handshakes proven */
        DATAPATH_COUNTER_REJECTED,
        DATAPATH_COUNTER_BAD_MAC,
        DATAPATH_COUNTER_BAD_ACK_NUMBER,   /* SYN-ACK, ACK, RST whose ack number is not ours plus one */
        DATAPATH_COUNTER_NO_STATE,         /* packet of a pending flow we know nothing of */
        DATAPATH_COUNTER_NO_ANSWER,        /* the enforcer did not answer in time */
        _DATAPATH_COUNTER_MAX,
} DatapathCounter;

typedef struct DatapathCounters {
        DatapathHeader header;
        uint64_t values[_DATAPATH_COUNTER_MAX];
        uint32_t n_flows, n_peers, n_decisions, n_pending;
} DatapathCounters;
