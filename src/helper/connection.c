/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The enforcer's connection: who it is, requests in, messages out. */
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "helper/cgroup.h"
#include "helper/manager.h"
#include "helper/request.h"
#include "util/fd.h"
#include "util/log.h"

#define PACKET_SIZE_MAX sizeof(HelperUnitFiles) /* the largest message of the protocol */
#define FDS_MAX 253u                            /* SCM_MAX_FD */
#define WAITING_MAX 32768u                      /* messages; a few for each unit of a very large machine */
#define ROOM_WAIT_MSEC 5000
#define SEND_BUFFER (4 * 1024 * 1024)

typedef struct Waiting {
        struct Waiting *next;
        size_t size, n_fds;
        int *fds;
        uint8_t message[];
} Waiting;

struct Connection {
        Manager *manager;
        int fd;
        pid_t pid;
        bool greeted;
        bool broken;                 /* to be closed from the event loop, not under the feet of who sends */
        sd_event_source *source;
        Waiting *first, **last;
        size_t n_waiting;
};

static void waiting_free(Waiting *w) {
        for (size_t i = 0; i < w->n_fds; i++)
                close(w->fds[i]);
        free(w->fds);
        free(w);
}

void connection_close(Manager *m) {
        Connection *c = TAKE_PTR(m->enforcer);

        if (!c)
                return;
        while (c->first) {
                Waiting *w = c->first;

                c->first = w->next;
                waiting_free(w);
        }
        sd_event_source_disable_unref(c->source);
        close(c->fd);
        free(c);
        manager_enforcer_changed(m);
}

bool connection_ready(const Manager *m) {
        return m->enforcer && m->enforcer->greeted && !m->enforcer->broken;
}

/* ---- out ---- */

static int packet_send(int fd, const void *message, size_t size, const int *fds, size_t n_fds) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = { 0 };
        struct iovec iov = { (void *) message, size };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                struct cmsghdr *cmsg;

                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                cmsg = CMSG_FIRSTHDR(&msg);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        }
        return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static Waiting *waiting_new(const void *message, size_t size, const int *fds, size_t n_fds) {
        Waiting *w = calloc(1, sizeof(*w) + size);

        if (!w)
                return NULL;
        w->size = size;
        memcpy(w->message, message, size);
        w->fds = calloc(n_fds + 1, sizeof(int));
        for (; w->fds && w->n_fds < n_fds; w->n_fds++) {
                w->fds[w->n_fds] = fcntl(fds[w->n_fds], F_DUPFD_CLOEXEC, 3);
                if (w->fds[w->n_fds] < 0)
                        break;
        }
        if (!w->fds || w->n_fds < n_fds) {
                waiting_free(w);
                return NULL;
        }
        return w;
}

static int connection_want_out(Connection *c, bool out) {
        return sd_event_source_set_io_events(c->source, EPOLLIN | (out ? EPOLLOUT : 0));
}

static int connection_flush(Connection *c) {
        while (c->first) {
                Waiting *w = c->first;
                int k = packet_send(c->fd, w->message, w->size, w->fds, w->n_fds);

                if (k == -EAGAIN)
                        return 0;
                if (k < 0)
                        return k;
                c->first = w->next;
                if (!c->first)
                        c->last = &c->first;
                c->n_waiting--;
                waiting_free(w);
        }
        return connection_want_out(c, false);
}

/* All connections of a unit are told of at once, and they may be more than there is room for: then an enforcer that reads is waited for. */
static int connection_make_room(Connection *c) {
        struct pollfd p = { .fd = c->fd, .events = POLLOUT };

        while (c->n_waiting >= WAITING_MAX) {
                int k = poll(&p, 1, ROOM_WAIT_MSEC);

                if (k <= 0)
                        return k < 0 ? -errno : -ENOBUFS;
                k = connection_flush(c);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int connection_keep(Connection *c, const void *message, size_t size, const int *fds, size_t n_fds) {
        int k = connection_make_room(c);
        Waiting *w = k >= 0 ? waiting_new(message, size, fds, n_fds) : NULL;

        if (!w)
                return k < 0 ? k : -ENOMEM;
        *c->last = w;
        c->last = &w->next;
        c->n_waiting++;
        return connection_want_out(c, true);
}

void connection_send(Manager *m, const void *message, size_t size, const int *fds, size_t n_fds) {
        Connection *c = m->enforcer;
        int k = -EAGAIN;

        if (!c || c->broken)
                return;
        if (!c->first)
                k = packet_send(c->fd, message, size, fds, n_fds);
        if (k == -EAGAIN)
                k = connection_keep(c, message, size, fds, n_fds);
        if (k >= 0)
                return;
        log_warning_errno(k, "Cannot send to the enforcer, closing its connection");
        c->broken = true;
        (void) shutdown(c->fd, SHUT_RDWR); /* wakes the event loop */
}

void connection_reply(Manager *m, uint32_t serial, int result) {
        const HelperReply reply = { .header = { HELPER_REPLY, serial }, .result = MIN(result, 0) };

        connection_send(m, &reply, sizeof(reply), NULL, 0);
}

/* ---- in ---- */

/* Takes the descriptors out of a message: returns their number, ret_fd is the first one; the others are closed, no request has more. */
static size_t message_take_fds(struct msghdr *msg, int *ret_fd) {
        size_t n = 0;

        for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
                if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
                        if (n++ == 0)
                                *ret_fd = fd;
                        else
                                close(fd);
                }
        }
        return n;
}

static void hello(Manager *m, const HelperHeader *request) {
        const HelperHello answer = { .header = { HELPER_HELLO, request->serial }, .version = HELPER_PROTOCOL_VERSION };

        int k = table_forget_unused_profiles(m->table);

        if (k < 0)
                log_warning_errno(k, "Cannot clear the access lists of the enforcer before this one");
        box_list_done(&m->networks);
        m->enforcer->greeted = true;
        connection_send(m, &answer, sizeof(answer), NULL, 0);
        m->last_state = (HelperState) { 0 };
        log_info("The enforcer (process %d) is connected", (int) m->enforcer->pid);
        manager_tell_state(m);
        manager_enforcer_changed(m);
        attach_announce(m);
}

static int packet_handle(Manager *m, const void *packet, size_t size, int fd, size_t n_fds) {
        const HelperHeader *h = packet;
        const RequestShape *shape = size >= sizeof(*h) ? request_shape(h->type) : NULL;
        int k = request_check(packet, size, n_fds);

        if (k < 0) {
                log_warning_errno(k, "Refusing a packet of %zu bytes and %zu descriptors from the enforcer (%s)", size, n_fds, shape ? shape->name : "unknown type");
                if (!shape || h->serial == 0)
                        return k;
                connection_reply(m, h->serial, k);
                return 0;
        }
        if (h->type == HELPER_HELLO) {
                hello(m, h);
                return 0;
        }
        if (!m->enforcer->greeted)
                return log_warning_errno(-EPROTO, "Refusing a request ahead of the greeting");
        request_handle(m, h, fd);
        return 0;
}

/* One packet. 1, 0 at the end, or a negative errno. */
static int packet_receive(Manager *m) {
        _Alignas(8) static uint8_t buf[PACKET_SIZE_MAX + 1]; /* static for its size; one packet is handled at a time */
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { buf, sizeof(buf) };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        _cleanup_close_ int fd = -1;
        ssize_t n = recvmsg(m->enforcer->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        size_t n_fds;
        int k;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        n_fds = message_take_fds(&msg, &fd);
        if (n == 0)
                return 0;
        k = packet_handle(m, buf, (size_t) n, fd, n_fds);
        return k < 0 ? k : 1;
}

static int on_enforcer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Manager *m = userdata;
        int k = 1;

        if (revents & EPOLLOUT)
                k = connection_flush(m->enforcer);
        if (k >= 0 && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                k = packet_receive(m);
        else if (k >= 0)
                k = 1;
        if (k > 0 && !m->enforcer->broken)
                return 0;
        log_notice("The enforcer's connection ended");
        connection_close(m);
        return 0;
}

/* ---- who ---- */

static int peer_check(const Manager *m, int fd, pid_t *ret_pid) {
        char cgroup[HELPER_CGROUP_MAX];
        struct ucred peer;
        socklen_t len = sizeof(peer);
        int k;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        if (peer.uid != m->options.enforcer_uid)
                return -EPERM;
        if (m->options.enforcer_unit) {
                k = cgroup_of_pid(peer.pid, cgroup);
                if (k < 0)
                        return k;
                if (!streq(cgroup_unit_of_path(cgroup), m->options.enforcer_unit))
                        return -EPERM;
        }
        *ret_pid = peer.pid;
        return 0;
}

static int connection_new(Manager *m, int fd, pid_t pid) {
        const int size = SEND_BUFFER;
        Connection *c = calloc(1, sizeof(*c));
        int k;

        if (!c)
                return -ENOMEM;
        *c = (Connection) { .manager = m, .fd = fd, .pid = pid };
        c->last = &c->first;
        k = sd_event_add_io(m->event, &c->source, fd, EPOLLIN, on_enforcer, m);
        if (k < 0) {
                free(c);
                return k;
        }
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                log_debug_errno(errno, "Cannot enlarge a send buffer");
        connection_close(m);
        m->enforcer = c;
        m->n_connections++;
        return 0;
}

static int on_connection(sd_event_source *s, int listener, uint32_t revents, void *userdata) {
        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        Manager *m = userdata;
        pid_t pid = 0;
        int k;

        if (fd < 0)
                return 0;
        k = peer_check(m, fd, &pid);
        if (k >= 0)
                k = connection_new(m, fd, pid);
        if (k < 0) {
                log_warning_errno(k, "Refusing a connection that is not the enforcer's");
                return 0;
        }
        (void) TAKE_FD(fd);
        return 0;
}

int connection_listen(Manager *m) {
        return sd_event_add_io(m->event, &m->helper_source, m->options.helper_fd, EPOLLIN, on_connection, m);
}
