/* SPDX-License-Identifier: GPL-2.0-or-later */

/* No queue has the fail-open flag: without this process packets wait, then are dropped, and TCP sends them again. */

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "datapath/queue.h"
#include "util/fd.h"
#include "util/log.h"

static size_t socket_of(uint16_t queue) {
        return queue == QUEUE_RECORD ? 0 : (size_t) (queue - QUEUE_HANDSHAKE_FIRST) % QUEUE_SOCKETS;
}

/* Sends one configuration message and waits for its acknowledgement. Nothing is bound before, so that no packet can be in between; once a queue is bound
 * packets can, but no rule leads to it before the enforcer has told of a unit. */
static int queue_configure(int fd, const void *message, int len) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        struct {
                struct nlmsghdr header;
                struct nlmsgerr error;
                uint8_t rest[QUEUE_MESSAGE_SIZE];
        } answer;
        ssize_t n;

        if (len < 0)
                return len;
        if (sendto(fd, message, (size_t) len, 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        do {
                n = recv(fd, &answer, sizeof(answer), 0);
                if (n < 0)
                        return -errno;
        } while (n < (ssize_t) (sizeof(answer.header) + sizeof(answer.error)) || answer.header.nlmsg_type != NLMSG_ERROR);
        return answer.error.error;
}

static int queue_bind(int fd, uint16_t queue, uint32_t seq) {
        uint8_t message[256];
        int r;

        r = queue_configure(fd, message, queue_config_write_bind(queue, seq, message, sizeof(message)));
        if (r < 0)
                return log_error_errno(r, "Cannot bind queue %u", queue);
        r = queue_configure(fd, message, queue_config_write_params(queue, QUEUE_COPY_RANGE, QUEUE_LENGTH, seq + 1, message, sizeof(message)));
        return r < 0 ? log_error_errno(r, "Cannot configure queue %u", queue) : 0;
}

static int queue_new_socket(size_t number) {
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
        const struct timeval patience = { .tv_usec = QUEUE_PATIENCE_USEC };
        const int size = QUEUE_SOCKET_BUFFER, send_size = 2 * QUEUE_VERDICTS_SIZE;
        int r;

        if (fd < 0 || bind(fd, (const struct sockaddr *) &any, sizeof(any)) < 0)
                return log_error_errno(errno, "Cannot open a netfilter socket");
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                log_warning_errno(errno, "Cannot enlarge the queue's buffer");
        /* One datagram may be as long as this and no longer, and what the kernel does not take stays in the queue for ever. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_size, sizeof(send_size)) < 0)
                return log_error_errno(errno, "Cannot enlarge the buffer of verdicts");
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                return log_error_errno(errno, "Cannot bound the wait for packets");
        r = queue_bind(fd, (uint16_t) (QUEUE_HANDSHAKE_FIRST + number), 1);
        if (r >= 0 && number == 0)
                r = queue_bind(fd, QUEUE_RECORD, 3);
        if (r < 0)
                return r;
        return TAKE_FD(fd);
}

/* Of the queues that socket number has. */
static uint32_t queues_mask(size_t number) {
        return number == 0 ? 1u << QUEUE_SOCKETS | 1u : 1u << number;
}

int queue_open(Queue *q, size_t number, int fd) {
        q->inherited = fd >= 0 ? queues_mask(number) : 0;
        q->fd = fd >= 0 ? fd : queue_new_socket(number);
        return q->fd < 0 ? q->fd : 0;
}

void queue_close(Queue *q) {
        closep(&q->fd);
        *q = (Queue) QUEUE_INIT;
}

int queue_batch_init(QueueBatch *b) {
        b->messages = calloc(QUEUE_BATCH, QUEUE_MESSAGE_SIZE);
        return b->messages ? 0 : log_error_errno(ENOMEM, "Cannot set up the queue");
}

void queue_batch_done(QueueBatch *b) {
        free(b->messages);
        *b = (QueueBatch) {};
}

int queue_receive(const Queue *q, QueueBatch *b, bool wait) {
        struct mmsghdr headers[QUEUE_BATCH] = {};
        struct iovec iov[QUEUE_BATCH];
        int n;

        for (size_t i = 0; i < QUEUE_BATCH; i++) {
                iov[i] = (struct iovec) { b->messages + i * QUEUE_MESSAGE_SIZE, QUEUE_MESSAGE_SIZE };
                headers[i].msg_hdr = (struct msghdr) { .msg_iov = &iov[i], .msg_iovlen = 1 };
        }
        n = recvmmsg(q->fd, headers, QUEUE_BATCH, wait ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; i++)
                b->sizes[i] = headers[i].msg_len;
        return n;
}

/* What the former process had received but not answered stays in the kernel for ever: ids grow, so all before the first one we see is its. */
static void queue_drop_inherited(Queue *q, const QueueMsg *msg, Verdicts *v) {
        uint32_t bit = 1u << (msg->queue - QUEUE_HANDSHAKE_FIRST) % 32;
        size_t socket = socket_of(msg->queue);
        int n;

        if (!(q->inherited & bit))
                return;
        q->inherited &= ~bit;
        n = queue_drop_batch_write(msg->queue, msg->id - 1, v->bytes[socket] + v->n[socket], QUEUE_VERDICTS_SIZE - v->n[socket]);
        if (n < 0)
                log_warning_errno(n, "Cannot drop what the former process left in queue %u", msg->queue);
        else
                v->n[socket] += (size_t) n;
}

int queue_message(Queue *q, const QueueBatch *b, size_t i, Verdicts *v, QueueMsg *ret) {
        int r;

        *ret = (QueueMsg) {};
        r = queue_msg_parse(b->messages + i * QUEUE_MESSAGE_SIZE, b->sizes[i], ret);
        if (ret->id != 0)
                queue_drop_inherited(q, ret, v);
        return r;
}

int verdicts_init(Verdicts *v, const Queue queues[static QUEUE_SOCKETS]) {
        for (size_t i = 0; i < QUEUE_SOCKETS; i++) {
                v->fds[i] = queues[i].fd;
                v->bytes[i] = malloc(QUEUE_VERDICTS_SIZE);
                if (!v->bytes[i])
                        return log_error_errno(ENOMEM, "Cannot set up the queue");
        }
        return 0;
}

void verdicts_done(Verdicts *v) {
        for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                free(v->bytes[i]);
        *v = (Verdicts) {};
}

static void flush_socket(Verdicts *v, size_t socket) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        ssize_t n;

        if (v->n[socket] == 0)
                return;
        do
                n = sendto(v->fds[socket], v->bytes[socket], v->n[socket], 0, (const struct sockaddr *) &kernel, sizeof(kernel));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                log_warning_errno(errno, "Cannot send verdicts; their packets stay in the queue");
        v->n[socket] = 0;
}

void verdicts_flush(Verdicts *v) {
        for (size_t i = 0; i < QUEUE_SOCKETS; i++)
                flush_socket(v, i);
}

/* When the buffer is full, once more after it was sent. */
static void verdicts_append(Verdicts *v, const QueueVerdict *verdict) {
        size_t socket = socket_of(verdict->queue);
        int n = queue_verdict_write(verdict, v->bytes[socket] + v->n[socket], QUEUE_VERDICTS_SIZE - v->n[socket]);

        if (n == -EMSGSIZE) {
                flush_socket(v, socket);
                n = queue_verdict_write(verdict, v->bytes[socket], QUEUE_VERDICTS_SIZE);
        }
        if (n < 0)
                log_warning_errno(n, "Cannot write a verdict; its packet stays in the queue");
        else
                v->n[socket] += (size_t) n;
}

void verdicts_drop(Verdicts *v, const QueueMsg *msg) {
        verdicts_append(v, &(QueueVerdict) { .id = msg->id, .queue = msg->queue, .drop = 1 });
}

void verdicts_accept(Verdicts *v, const QueueMsg *msg, uint32_t priority, const uint8_t *packet, size_t packet_len) {
        verdicts_append(v, &(QueueVerdict) { .id = msg->id, .queue = msg->queue, .priority = priority, .payload = packet, .payload_len = packet_len });
}
