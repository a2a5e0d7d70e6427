/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* NFQUEUE netlink messages <-> structs (linux/netfilter/nfnetlink_queue.h). Pure: no socket. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

typedef enum QueueHook { QUEUE_HOOK_INPUT = 1, QUEUE_HOOK_OUTPUT = 3 } QueueHook; /* NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT */

typedef struct QueueMsg {
        uint32_t id;             /* NFQA_PACKET_HDR */
        uint16_t queue;
        uint8_t hook;            /* QueueHook; others are refused */
        uint32_t mark, priority; /* NFQA_MARK, NFQA_PRIORITY: 0 when absent */
        uint32_t iif, oif;       /* interface index, 0 when absent */
        const uint8_t *payload;  /* borrowed */
        size_t payload_len;
        uint32_t cap_len;        /* original length when the copy was cut, else 0 */
} QueueMsg;

/* One netlink message (nlmsghdr at data). Returns 0; -EBADMSG malformed; -ENOMSG something else (error, done, config answer);
 * with -EBADMSG, ret->id and ret->queue are the packet's if they could still be read, else 0 (no packet has id 0), so that it can be dropped. */
_must_use_ int queue_msg_parse(const void *data, size_t len, QueueMsg *ret);

typedef struct QueueVerdict {
        uint32_t id;
        uint16_t queue;
        int drop;                /* NF_DROP, else NF_ACCEPT */
        uint32_t priority;       /* NFQA_PRIORITY, always sent with ACCEPT */
        const uint8_t *payload;  /* replaced packet, or NULL */
        size_t payload_len;
} QueueVerdict;

/* Appends one verdict message to buf. Returns bytes written (aligned), or -EMSGSIZE. */
_must_use_ int queue_verdict_write(const QueueVerdict *v, void *buf, size_t size);

/* Configuration messages for the start: bind, copy packet with range, queue length. Same return. Each asks for an ACK. */
_must_use_ int queue_config_write_bind(uint16_t queue, uint32_t seq, void *buf, size_t size);
_must_use_ int queue_config_write_params(uint16_t queue, uint32_t copy_range, uint32_t max_len, uint32_t seq, void *buf, size_t size);
/* Drops all packets of the queue up to id (NFQNL_MSG_VERDICT_BATCH). */
_must_use_ int queue_drop_batch_write(uint16_t queue, uint32_t id, void *buf, size_t size);
