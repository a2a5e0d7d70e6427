/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The NFQUEUE socket: messages in batches, verdicts joined into few sends. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"
#include "wire/queue-msg.h"

#define QUEUE_BATCH 16u                /* messages a recvmmsg(); more did not measure faster */
#define QUEUE_MESSAGE_SIZE (64u * 1024 + 4096) /* a whole packet and its attributes: what is cut could not be rewritten */
#define QUEUE_VERDICTS_SIZE (256u * 1024)
#define QUEUE_COPY_RANGE 0xffffu
#define QUEUE_LENGTH 4096u             /* packets the kernel keeps for us before it drops */
#define QUEUE_SOCKET_BUFFER (8 * 1024 * 1024)
#define QUEUE_COUNT 5u                 /* those of ipc/marks.h */

typedef struct Queue {
        int fd;
        uint32_t inherited;            /* bit set of queues whose packets of a former process may still wait for it */
        uint8_t *messages;             /* QUEUE_BATCH buffers */
        uint8_t *verdicts;
        size_t n_verdicts;             /* bytes */
} Queue;

#define QUEUE_INIT { .fd = -1 }

/* fd: a socket of a former process that is bound already, taken over; or -1: open and bind one. */
_must_use_ int queue_open(Queue *q, int fd);
void queue_close(Queue *q);

typedef void (*queue_handler_t)(const QueueMsg *msg, int result, void *userdata); /* result: of queue_msg_parse(), 0 or -EBADMSG */

/* Handles at most one batch and sends the verdicts made meanwhile. Returns messages received, 0 none; -ENOBUFS: the kernel dropped some; other errors: the socket is lost. */
_must_use_ int queue_receive(Queue *q, queue_handler_t handler, void *userdata);

void queue_drop(Queue *q, const QueueMsg *msg);
/* packet NULL: unchanged. */
void queue_accept(Queue *q, const QueueMsg *msg, uint32_t priority, const uint8_t *packet, size_t packet_len);
void queue_flush(Queue *q);
