/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verify/serve.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/verify-protocol.h"
#include "util/fd.h"

typedef struct Server {
        int fd;
        TrustStore *trust; /* NULL: none yet, or none that can be used */
} Server;

typedef union Request {
        VerifyHeader header;
        VerifyCertificate certificate;
} Request;

static int answer(const Server *s, const void *message, size_t size) {
        return send(s->fd, message, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int reply(const Server *s, uint32_t serial, int result) {
        const VerifyReply message = { .header = { VERIFY_REPLY, serial }, .result = result };

        return answer(s, &message, sizeof(message));
}

static int trust_take(Server *s, int fd) {
        const char *fault;
        struct stat st;
        void *text;
        int r;

        s->trust = trust_store_free(s->trust);
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size <= 0 || st.st_size > (off_t) TRUST_SIZE_MAX)
                return -EINVAL;
        text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0); /* sealed by its sender: it does not shrink */
        if (text == MAP_FAILED)
                return -errno;
        r = trust_store_new(text, (size_t) st.st_size, &s->trust, &fault);
        (void) munmap(text, (size_t) st.st_size);
        return r;
}

static int certificate_answer(const Server *s, const VerifyCertificate *q) {
        VerifyInfo data = { .header = { VERIFY_INFO, q->header.serial } };
        int r;

        if (!s->trust || q->len > sizeof(q->der))
                return -EINVAL;
        r = certificate_verify(s->trust, q->der, q->len, q->now_sec, &data.info);
        return r < 0 ? r : answer(s, &data, sizeof(data));
}

static int take_fd(struct msghdr *mh) {
        int fd = -1;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
                        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

static int request_handle(Server *s, const Request *q, size_t n, int fd) {
        if (q->header.type == VERIFY_TRUST && n == sizeof(q->header) && fd >= 0)
                return reply(s, q->header.serial, trust_take(s, fd));
        if (q->header.type == VERIFY_CERTIFICATE && n == sizeof(q->certificate) && fd < 0)
                return reply(s, q->header.serial, certificate_answer(s, &q->certificate));
        return -EPROTO;
}

/* 1: one request handled, 0: the other side has closed. */
static int request_receive(Server *s) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control; /* room for one: the kernel closes what is more */
        Request q = {};
        struct iovec iov = { &q, sizeof(q) };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(s->fd, &mh, MSG_CMSG_CLOEXEC);
        _cleanup_close_ int fd = -1;
        int r;

        if (n < 0)
                return errno == EINTR ? 1 : -errno;
        if (n == 0)
                return 0;
        fd = take_fd(&mh);
        if ((size_t) n < sizeof(q.header) || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
                return -EPROTO;
        alarm(VERIFY_STALL_SEC);
        r = request_handle(s, &q, (size_t) n, fd);
        alarm(0);
        return r < 0 ? r : 1;
}

int verify_serve(int fd) {
        Server s = { .fd = fd };
        int r;

        do
                r = request_receive(&s);
        while (r > 0);
        trust_store_free(s.trust);
        return r;
}
