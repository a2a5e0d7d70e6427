/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Invariant: a request that link_request() accepted gets exactly one final answer, whatever becomes of the connection. */
#include "enforcer/link.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/clock.h"
#include "util/fd.h"
#include "util/log.h"

#define BACKOFF_FIRST_USEC (20 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (2 * USEC_PER_SEC)
#define RECEIVE_BATCH 64u       /* then the other event sources get their turn */
#define PENDING_BUCKETS 256u

typedef struct Outgoing {
        struct Outgoing *next;
        int fd;
        size_t size;
        uint8_t data[];
} Outgoing;

typedef struct Pending {
        struct Pending *next;
        uint32_t serial;
        link_answer_t answer;
        void *userdata;
} Pending;

struct Link {
        LinkConfig config;
        sd_event *event;
        sd_event_source *io, *retry;
        int fd;
        int given_fd;             /* a socket made by the caller, used for the first and only connection */
        bool fixed;
        usec_t backoff_usec;
        uint32_t serial;
        Outgoing *out_first, **out_last;
        unsigned n_out;
        Pending *pending[PENDING_BUCKETS];
        uint8_t *buffer;
};

static void link_lost(Link *l, int error);

static Outgoing *outgoing_free(Outgoing *o) {
        closep(&o->fd);
        free(o);
        return NULL;
}

static void link_clear_out(Link *l) {
        while (l->out_first) {
                Outgoing *o = l->out_first;

                l->out_first = o->next;
                (void) outgoing_free(o);
        }
        l->out_last = &l->out_first;
        l->n_out = 0;
}

static void link_fail_pending(Link *l) {
        for (size_t i = 0; i < PENDING_BUCKETS; i++)
                while (l->pending[i]) {
                        Pending *p = l->pending[i];

                        l->pending[i] = p->next;
                        p->answer(l, NULL, -ECONNRESET, p->userdata);
                        free(p);
                }
}

static void link_close(Link *l) {
        l->io = sd_event_source_disable_unref(l->io);
        closep(&l->fd);
        l->fd = -1;
        link_clear_out(l);
        link_fail_pending(l);
}

static Pending **link_find(Link *l, uint32_t serial) {
        Pending **p = &l->pending[serial % PENDING_BUCKETS];

        while (*p && (*p)->serial != serial)
                p = &(*p)->next;
        return p;
}

static int message_send(int fd, const void *data, size_t size, int passed_fd) {
        struct iovec iov = { (void *) data, size };
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {};
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (passed_fd >= 0) {
                mh.msg_control = &control;
                mh.msg_controllen = sizeof(control);
                control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.head), &passed_fd, sizeof(int));
        }
        return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int link_flush(Link *l) {
        while (l->out_first) {
                Outgoing *o = l->out_first;
                int r = message_send(l->fd, o->data, o->size, o->fd);

                if (r == -EAGAIN || r == -ENOBUFS)
                        return sd_event_source_set_io_events(l->io, EPOLLIN | EPOLLOUT);
                if (r < 0)
                        return r;
                l->out_first = o->next;
                if (!l->out_first)
                        l->out_last = &l->out_first;
                l->n_out--;
                (void) outgoing_free(o);
        }
        return sd_event_source_set_io_events(l->io, EPOLLIN);
}

static int link_queue(Link *l, const void *message, size_t size, int fd) {
        Outgoing *o;

        if (l->n_out >= LINK_QUEUE_MAX)
                return -ENOBUFS;
        o = malloc(sizeof(*o) + size);
        if (!o)
                return -ENOMEM;
        *o = (Outgoing) { .fd = -1, .size = size };
        memcpy(o->data, message, size);
        if (fd >= 0) {
                o->fd = dup(fd);
                if (o->fd < 0) {
                        int r = -errno;

                        (void) outgoing_free(o);
                        return r;
                }
        }
        *l->out_last = o;
        l->out_last = &o->next;
        l->n_out++;
        return sd_event_source_set_io_events(l->io, EPOLLIN | EPOLLOUT);
}

int link_send(Link *l, const void *message, size_t size, int fd) {
        int r;

        if (l->fd < 0)
                return -ENOTCONN;
        if (!l->out_first) {
                r = message_send(l->fd, message, size, fd);
                if (r != -EAGAIN && r != -ENOBUFS)
                        return r;
        }
        return link_queue(l, message, size, fd);
}

int link_request(Link *l, void *message, size_t size, int fd, link_answer_t answer, void *userdata) {
        LinkHeader *header = message;
        _cleanup_free_ Pending *p = NULL;
        Pending **bucket;
        int r;

        p = malloc(sizeof(*p));
        if (!p)
                return -ENOMEM;
        if (++l->serial == 0) /* 0 is an event's */
                l->serial = 1;
        header->serial = l->serial;
        r = link_send(l, message, size, fd);
        if (r < 0)
                return r;
        bucket = &l->pending[l->serial % PENDING_BUCKETS];
        *p = (Pending) { .next = *bucket, .serial = l->serial, .answer = answer, .userdata = userdata };
        *bucket = TAKE_PTR(p);
        return 0;
}

static void link_dispatch(Link *l, const LinkMessage *m) {
        Pending **slot = NULL;

        if (l->config.reply_type && m->header->serial)
                slot = link_find(l, m->header->serial);
        if (!slot || !*slot) {
                l->config.on_message(l, m, l->config.userdata);
                return;
        }
        if (m->header->type == l->config.reply_type) {
                _cleanup_free_ Pending *p = *slot;
                int32_t result;

                if (m->len < sizeof(*m->header) + sizeof(result))
                        return;
                memcpy(&result, m->header + 1, sizeof(result));
                *slot = p->next;
                p->answer(l, NULL, result, p->userdata);
                return;
        }
        (*slot)->answer(l, m, 0, (*slot)->userdata);
}

/* 1: one message handled, 0: none there */
static int link_receive(Link *l) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)]; } control;
        struct iovec iov = { l->buffer, l->config.message_max };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        int fds[LINK_FDS_MAX];
        LinkMessage m = { .header = (const LinkHeader *) l->buffer, .fds = fds };
        ssize_t n = recvmsg(l->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        m.n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                        memcpy(fds, CMSG_DATA(c), m.n_fds * sizeof(int));
                }
        m.len = (size_t) n;
        if (n > 0 && m.len >= sizeof(LinkHeader) && !(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
                link_dispatch(l, &m);
        for (size_t i = 0; i < m.n_fds; i++)
                closep(&fds[i]);
        if (n == 0)
                return -ECONNRESET;
        return m.len < sizeof(LinkHeader) || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? -EBADMSG : 1;
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        Link *l = userdata;
        int r = 0;

        if (events & EPOLLOUT)
                r = link_flush(l);
        for (unsigned i = 0; r >= 0 && i < RECEIVE_BATCH; i++) {
                r = link_receive(l);
                if (r == 0 || l->fd < 0) /* a callback may have given up the connection */
                        break;
        }
        if (r == 0 && (events & (EPOLLHUP | EPOLLERR)))
                r = -ECONNRESET;
        if (r < 0 && l->fd >= 0)
                link_lost(l, r);
        return 0;
}

static int link_connected(Link *l, int fd) {
        int r = sd_event_add_io(l->event, &l->io, fd, EPOLLIN, on_io, l);

        if (r < 0)
                return r;
        l->fd = fd;
        l->backoff_usec = BACKOFF_FIRST_USEC;
        l->config.on_state(l, true, l->config.userdata);
        return 0;
}

static int link_connect(Link *l) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;
        int r;

        if (l->fixed)
                fd = TAKE_FD(l->given_fd);
        else {
                if (strlen(l->config.path) >= sizeof(sa.sun_path))
                        return -ENAMETOOLONG;
                strcpy(sa.sun_path, l->config.path);
                fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (fd < 0)
                        return -errno;
                if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                        return -errno;
        }
        r = link_connected(l, fd);
        if (r >= 0)
                TAKE_FD(fd);
        return r;
}

static int link_arm_retry(Link *l, usec_t delay_usec) {
        int r = sd_event_source_set_time_relative(l->retry, delay_usec);

        return r < 0 ? r : sd_event_source_set_enabled(l->retry, SD_EVENT_ONESHOT);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        Link *l = userdata;
        int r;

        if (l->fd >= 0)
                return 0;
        r = link_connect(l);
        if (r >= 0)
                return 0;
        log_debug_errno(r, "Cannot connect to %s yet", l->config.name);
        l->backoff_usec = MIN(l->backoff_usec * 2, BACKOFF_MAX_USEC);
        return link_arm_retry(l, l->backoff_usec);
}

static void link_lost(Link *l, int error) {
        log_notice("Connection to %s lost (%s), trying again", l->config.name, strerror(-error));
        link_close(l);
        l->config.on_state(l, false, l->config.userdata);
        if (!l->fixed && link_arm_retry(l, l->backoff_usec) < 0)
                log_error("Cannot arm the timer to connect to %s again", l->config.name);
}

static int link_make(sd_event *event, const LinkConfig *config, Link **ret) {
        _cleanup_(link_freep) Link *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->config = *config;
        l->event = sd_event_ref(event);
        l->fd = l->given_fd = -1;
        l->backoff_usec = BACKOFF_FIRST_USEC;
        l->out_last = &l->out_first;
        l->buffer = malloc(config->message_max);
        if (!l->buffer)
                return -ENOMEM;
        r = sd_event_add_time_relative(event, &l->retry, CLOCK_BOOTTIME, 0, 0, on_retry, l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int link_new(sd_event *event, const LinkConfig *config, Link **ret) {
        return link_make(event, config, ret);
}

int link_new_fd(sd_event *event, const LinkConfig *config, int fd, Link **ret) {
        _cleanup_(link_freep) Link *l = NULL;
        int r = link_make(event, config, &l);

        if (r < 0)
                return r;
        l->fixed = true;
        l->given_fd = fd;
        *ret = TAKE_PTR(l);
        return 0;
}

Link *link_free(Link *l) {
        if (!l)
                return NULL;
        link_close(l);
        closep(&l->given_fd);
        sd_event_source_disable_unref(l->retry);
        sd_event_unref(l->event);
        free(l->buffer);
        free(l);
        return NULL;
}

bool link_is_connected(const Link *l) {
        return l->fd >= 0;
}

void *link_userdata(const Link *l) {
        return l->config.userdata;
}
