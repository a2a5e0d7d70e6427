/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One socket for all queues: the kernel hands out packets of one connection in order, whichever queue they took. No queue has the fail-open flag: without this
 * process packets wait, then are dropped, and TCP sends them again. */

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "datapath/queue.h"
#include "ipc/marks.h"
#include "util/fd.h"
#include "util/log.h"

static const uint16_t queues[QUEUE_COUNT] = {
        QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_FIRST + 1, QUEUE_HANDSHAKE_FIRST + 2, QUEUE_HANDSHAKE_FIRST + 3, QUEUE_RECORD,
};

_Static_assert(QUEUE_HANDSHAKE_COUNT + 1 == QUEUE_COUNT, "each queue is bound");

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

static int queue_bind(int fd) {
        uint8_t message[256];

        for (size_t i = 0; i < QUEUE_COUNT; i++) {
                int r = queue_configure(fd, message, queue_config_write_bind(queues[i], (uint32_t) (2 * i + 1), message, sizeof(message)));

                if (r < 0)
                        return log_error_errno(r, "Cannot bind queue %u", queues[i]);
                r = queue_configure(fd, message, queue_config_write_params(queues[i], QUEUE_COPY_RANGE, QUEUE_LENGTH, (uint32_t) (2 * i + 2),
                                                                           message, sizeof(message)));
                if (r < 0)
                        return log_error_errno(r, "Cannot configure queue %u", queues[i]);
        }
        return 0;
}

static int queue_new_socket(void) {
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
        const int size = QUEUE_SOCKET_BUFFER;
        int r;

        if (fd < 0 || bind(fd, (const struct sockaddr *) &any, sizeof(any)) < 0)
                return log_error_errno(errno, "Cannot open a netfilter socket");
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                log_warning_errno(errno, "Cannot enlarge the queue's buffer");
        r = queue_bind(fd);
        if (r < 0)
                return r;
        return TAKE_FD(fd);
}

int queue_open(Queue *q, int fd) {
        q->messages = calloc(QUEUE_BATCH, QUEUE_MESSAGE_SIZE);
        q->verdicts = malloc(QUEUE_VERDICTS_SIZE);
        if (!q->messages || !q->verdicts)
                return log_error_errno(ENOMEM, "Cannot set up the queue");
        if (fd >= 0) {
                q->fd = fd;
                q->inherited = (1u << QUEUE_COUNT) - 1;
                return 0;
        }
        q->fd = queue_new_socket();
        return q->fd < 0 ? q->fd : 0;
}

void queue_close(Queue *q) {
        closep(&q->fd);
        free(q->messages);
        free(q->verdicts);
        *q = (Queue) QUEUE_INIT;
}

void queue_flush(Queue *q) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        ssize_t n;

        if (q->n_verdicts == 0)
                return;
        do
                n = sendto(q->fd, q->verdicts, q->n_verdicts, 0, (const struct sockaddr *) &kernel, sizeof(kernel));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                log_warning_errno(errno, "Cannot send verdicts; their packets stay in the queue");
        q->n_verdicts = 0;
}

/* Appends with write(); when the buffer is full, once more after it was sent. */
static void queue_append(Queue *q, const QueueVerdict *v) {
        int n = queue_verdict_write(v, q->verdicts + q->n_verdicts, QUEUE_VERDICTS_SIZE - q->n_verdicts);

        if (n == -EMSGSIZE) {
                queue_flush(q);
                n = queue_verdict_write(v, q->verdicts, QUEUE_VERDICTS_SIZE);
        }
        if (n < 0)
                log_warning_errno(n, "Cannot write a verdict; its packet stays in the queue");
        else
                q->n_verdicts += (size_t) n;
}

void queue_drop(Queue *q, const QueueMsg *msg) {
        queue_append(q, &(QueueVerdict) { .id = msg->id, .queue = msg->queue, .drop = 1 });
}

void queue_accept(Queue *q, const QueueMsg *msg, uint32_t priority, const uint8_t *packet, size_t packet_len) {
        queue_append(q, &(QueueVerdict) { .id = msg->id, .queue = msg->queue, .priority = priority, .payload = packet, .payload_len = packet_len });
}

/* What the former process had received but not answered stays in the kernel for ever: ids grow, so all before the first one we see is its. */
static void queue_drop_inherited(Queue *q, const QueueMsg *msg) {
        uint32_t bit = 0;
        int n;

        for (size_t i = 0; i < QUEUE_COUNT; i++)
                if (queues[i] == msg->queue)
                        bit = 1u << i;
        if (!(q->inherited & bit))
                return;
        q->inherited &= ~bit;
        n = queue_drop_batch_write(msg->queue, msg->id - 1, q->verdicts + q->n_verdicts, QUEUE_VERDICTS_SIZE - q->n_verdicts);
        if (n < 0)
                log_warning_errno(n, "Cannot drop what the former process left in queue %u", msg->queue);
        else
                q->n_verdicts += (size_t) n;
}

static void queue_handle(Queue *q, const uint8_t *message, size_t len, queue_handler_t handler, void *userdata) {
        QueueMsg msg = {};
        int r = queue_msg_parse(message, len, &msg);

        if (r == -ENOMSG) /* the kernel's word on a verdict for a packet that is gone */
                return;
        if (msg.id != 0)
                queue_drop_inherited(q, &msg);
        handler(&msg, r, userdata);
}

int queue_receive(Queue *q, queue_handler_t handler, void *userdata) {
        struct mmsghdr headers[QUEUE_BATCH] = {};
        struct iovec iov[QUEUE_BATCH];
        int n;

        for (size_t i = 0; i < QUEUE_BATCH; i++) {
                iov[i] = (struct iovec) { q->messages + i * QUEUE_MESSAGE_SIZE, QUEUE_MESSAGE_SIZE };
                headers[i].msg_hdr = (struct msghdr) { .msg_iov = &iov[i], .msg_iovlen = 1 };
        }
        n = recvmmsg(q->fd, headers, QUEUE_BATCH, MSG_DONTWAIT, NULL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; i++)
                queue_handle(q, iov[i].iov_base, headers[i].msg_len, handler, userdata);
        queue_flush(q);
        return n;
}
