/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The NFQUEUE sockets: messages in batches, verdicts joined into few sends. One socket for each queue that the table spreads handshakes over by processor; the
 * records come by the first. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/marks.h"
#include "util/macro.h"
#include "wire/queue-msg.h"

#define QUEUE_BATCH 16u                /* messages a recvmmsg(); more did not measure faster */
#define QUEUE_MESSAGE_SIZE (64u * 1024 + 4096) /* a whole packet and its attributes: what is cut could not be rewritten */
#define QUEUE_VERDICTS_SIZE (128u * 1024)
#define QUEUE_COPY_RANGE 0xffffu
#define QUEUE_LENGTH 4096u             /* packets the kernel keeps for us before it drops */
#define QUEUE_SOCKET_BUFFER (8 * 1024 * 1024)
#define QUEUE_SOCKETS QUEUE_HANDSHAKE_COUNT
#define QUEUE_PATIENCE_USEC 50000u

typedef struct Queue {
        int fd;
        uint32_t inherited;            /* bit set of its queues that may still hold packets of a former process */
} Queue;

typedef struct QueueBatch { /* what one thread has received */
        uint8_t *messages;             /* QUEUE_BATCH buffers */
        size_t sizes[QUEUE_BATCH];     /* of what is in them */
} QueueBatch;

/* Verdicts that one thread has made and not sent yet, by the socket that their packets came from: the kernel takes them from no other. */
typedef struct Verdicts {
        int fds[QUEUE_SOCKETS];        /* borrowed */
        uint8_t *bytes[QUEUE_SOCKETS];
        size_t n[QUEUE_SOCKETS];
} Verdicts;

#define QUEUE_INIT { .fd = -1 }

/* fd: a socket of a former process that is bound already, taken over; or -1: open and bind one. number: below QUEUE_SOCKETS. */
_must_use_ int queue_open(Queue *q, size_t number, int fd);
void queue_close(Queue *q);

_must_use_ int queue_batch_init(QueueBatch *b);
void queue_batch_done(QueueBatch *b);
/* Takes one batch of messages; wait: for up to QUEUE_PATIENCE_USEC. Returns how many, 0: none; -ENOBUFS: the kernel dropped some; other errors: the socket is lost. */
_must_use_ int queue_receive(const Queue *q, QueueBatch *b, bool wait);
/* The i-th of them, valid until the next batch. Returns as queue_msg_parse(). */
_must_use_ int queue_message(Queue *q, const QueueBatch *b, size_t i, Verdicts *v, QueueMsg *ret);

_must_use_ int verdicts_init(Verdicts *v, const Queue queues[static QUEUE_SOCKETS]);
void verdicts_done(Verdicts *v);
void verdicts_drop(Verdicts *v, const QueueMsg *msg);
/* packet NULL: unchanged. */
void verdicts_accept(Verdicts *v, const QueueMsg *msg, uint32_t priority, const uint8_t *packet, size_t packet_len);
void verdicts_flush(Verdicts *v);
