/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All requests in turn, a piece of each: a long file costs the short ones behind it no more than one piece. */
#include "inspect/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "crypto/digest.h"
#include "inspect/ld-cache.h"
#include "inspect/program.h"
#include "util/fd.h"

#define PIECE_SIZE (256u * 1024)

typedef struct Job {
        bool busy;
        uint32_t serial;
        int fd;
        Digest *digest;
        uint64_t offset;
        struct stat before;
} Job;

typedef struct Server {
        int fd;
        Job jobs[INSPECT_JOBS_MAX];
        unsigned n_jobs;
        uint8_t piece[PIECE_SIZE];
} Server;

static int answer(const Server *s, const void *message, size_t size) {
        return send(s->fd, message, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int reply(const Server *s, uint32_t serial, int result) {
        const InspectReply message = { .header = { INSPECT_REPLY, serial }, .result = result };

        return answer(s, &message, sizeof(message));
}

/* ---- hashes ---- */

static void job_done(Server *s, Job *j) {
        digest_free(j->digest);
        closep(&j->fd);
        *j = (Job) { .fd = -1 };
        s->n_jobs--;
}

static int hash_start(Server *s, uint32_t serial, int fd) {
        struct stat st;
        Job *j = s->jobs;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        if ((uint64_t) st.st_size > INSPECT_FILE_MAX)
                return -EFBIG;
        while (j->busy) /* serve() took no request without a place for it */
                j++;
        *j = (Job) { .serial = serial, .fd = -1, .before = st };
        r = digest_new(&j->digest);
        if (r < 0)
                return r;
        j->busy = true;
        j->fd = fd;
        s->n_jobs++;
        return 0;
}

static bool same_file(const struct stat *a, const struct stat *b) {
        return a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int hash_finish(Server *s, Job *j) {
        InspectHashed data = { .header = { INSPECT_HASHED, j->serial } };
        struct stat after;
        int r;

        if (fstat(j->fd, &after) < 0)
                return -errno;
        if (!same_file(&j->before, &after) || j->offset != (uint64_t) after.st_size)
                return -EAGAIN;
        r = digest_final(j->digest, data.sha256);
        return r < 0 ? r : answer(s, &data, sizeof(data));
}

/* One piece more. Returns 1 while there is more, 0 when done, or why not. */
static int hash_step(Server *s, Job *j) {
        ssize_t n = pread(j->fd, s->piece, sizeof(s->piece), (off_t) j->offset);
        int r;

        if (n < 0)
                return errno == EINTR ? 1 : -errno;
        if (n == 0)
                return hash_finish(s, j);
        j->offset += (uint64_t) n;
        if (j->offset > INSPECT_FILE_MAX)
                return -EFBIG;
        r = digest_update(j->digest, s->piece, (size_t) n);
        return r < 0 ? r : 1;
}

static int jobs_step(Server *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++) {
                Job *j = &s->jobs[i];
                uint32_t serial = j->serial;
                int r;

                if (!j->busy)
                        continue;
                r = hash_step(s, j);
                if (r > 0)
                        continue;
                job_done(s, j);
                r = reply(s, serial, r);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- programs ---- */

static ssize_t file_read(void *userdata, uint64_t offset, void *buf, size_t n) {
        const int *fd = userdata;
        size_t done = 0;

        while (done < n) {
                ssize_t k = offset + done > INT64_MAX ? 0 : pread(*fd, (uint8_t *) buf + done, n - done, (off_t) (offset + done));

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k == 0)
                        break;
                done += k > 0 ? (size_t) k : 0;
        }
        return (ssize_t) done;
}

static int program_answer(const Server *s, uint32_t serial, int fd) {
        const ByteSource source = { file_read, &fd };
        InspectProgramInfo data = { .header = { INSPECT_PROGRAM_INFO, serial } };
        int r = program_read(&source, &data.program);

        return r < 0 ? r : answer(s, &data, sizeof(data));
}

static int library_answer(const Server *s, const InspectRequest *request, int fd) {
        const ByteSource source = { file_read, &fd };
        InspectLibraryPath data = { .header = { INSPECT_LIBRARY_PATH, request->header.serial } };
        int r = memchr(request->name, '\0', sizeof(request->name)) ? ld_cache_find(&source, request->name, data.path) : -EINVAL;

        return r < 0 ? r : answer(s, &data, sizeof(data));
}

/* ---- requests ---- */

static int take_fd(struct msghdr *mh) {
        int fd = -1;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
                        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

static int request_handle(Server *s, const InspectRequest *request, int *fd) {
        const InspectHeader *h = &request->header;
        int r;

        switch (h->type) {
        case INSPECT_HASH:
                r = hash_start(s, h->serial, *fd);
                if (r >= 0) {
                        TAKE_FD(*fd);
                        return 0;
                }
                break;
        case INSPECT_PROGRAM:
                r = program_answer(s, h->serial, *fd);
                break;
        case INSPECT_LIBRARY:
                r = library_answer(s, request, *fd);
                break;
        default:
                r = -EOPNOTSUPP;
        }
        return reply(s, h->serial, r);
}

/* 1: one request handled, 0: the other side has closed. */
static int request_receive(Server *s) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control; /* room for one: the kernel closes what is more */
        InspectRequest h;
        struct iovec iov = { &h, sizeof(h) };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(s->fd, &mh, MSG_CMSG_CLOEXEC);
        _cleanup_close_ int fd = -1;
        int r;

        if (n < 0)
                return errno == EINTR ? 1 : -errno;
        if (n == 0)
                return 0;
        fd = take_fd(&mh);
        if ((size_t) n != sizeof(h) || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || fd < 0)
                return -EPROTO;
        r = request_handle(s, &h, &fd);
        return r < 0 ? r : 1;
}

static int serve(Server *s) {
        for (;;) {
                struct pollfd p = { .fd = s->fd, .events = s->n_jobs < INSPECT_JOBS_MAX ? POLLIN : 0 };
                int r;

                alarm(s->n_jobs > 0 ? INSPECT_STALL_SEC : 0);
                if (poll(&p, 1, s->n_jobs > 0 ? 0 : -1) < 0 && errno != EINTR)
                        return -errno;
                alarm(INSPECT_STALL_SEC);
                r = p.revents ? request_receive(s) : 1;
                if (r <= 0)
                        return r;
                r = jobs_step(s);
                if (r < 0)
                        return r;
        }
}

int inspect_serve(int fd) {
        _cleanup_free_ Server *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->fd = fd;
        r = serve(s);
        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++)
                if (s->jobs[i].busy)
                        job_done(s, &s->jobs[i]);
        return r;
}
