/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/nft-batch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include "util/log.h"

#define ANSWER_MAX (256u * 1024)

static bool batch_reserve(NftBatch *b, size_t n) {
        uint8_t *p;

        if (b->error < 0)
                return false;
        if (b->size - b->len >= n)
                return true;
        p = realloc(b->buf, 2 * b->size + n);
        if (!p) {
                b->error = -ENOMEM;
                return false;
        }
        b->size = 2 * b->size + n;
        b->buf = p;
        return true;
}

void nft_batch_init(NftBatch *b) {
        *b = (NftBatch) { .first_seq = 1, .seq = 1 };
        if (batch_reserve(b, NFT_MESSAGE_MAX))
                b->len += nftnl_batch_begin((char *) b->buf, b->seq++)->nlmsg_len;
}

void nft_batch_done(NftBatch *b) {
        free(b->buf);
        b->buf = NULL;
}

struct nlmsghdr *nft_batch_begin(NftBatch *b, uint16_t type, uint16_t flags) {
        if (!batch_reserve(b, 2 * NFT_MESSAGE_MAX))
                return NULL;
        return nftnl_nlmsg_build_hdr((char *) b->buf + b->len, type, NFPROTO_INET, flags, b->seq++);
}

void nft_batch_end(NftBatch *b, const struct nlmsghdr *nlh) {
        b->len += NLMSG_ALIGN(nlh->nlmsg_len);
}

/* Answers of one datagram. Returns 1 when the one to last_seq was among them. */
static int answers_read(const uint8_t *buf, ssize_t n, const NftBatch *b, uint32_t last_seq, int *error) {
        int len = (int) n, found = 0;

        for (const struct nlmsghdr *nlh = (const void *) buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
                const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

                if (nlh->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
                        continue;
                if (nlh->nlmsg_seq < b->first_seq || nlh->nlmsg_seq > last_seq)
                        continue;
                if (e->error < 0 && *error == 0) {
                        log_debug("nftables refuses message %u of %u, type 0x%x: %s", nlh->nlmsg_seq, last_seq, e->msg.nlmsg_type, strerror(-e->error));
                        *error = e->error;
                }
                if (nlh->nlmsg_seq == last_seq)
                        found = 1;
        }
        return found;
}

/* The kernel works a batch off inside sendmsg(), so that its answers are there already. */
static int batch_receive(const NftBatch *b, int fd, uint32_t last_seq) {
        _cleanup_free_ uint8_t *buf = malloc(ANSWER_MAX);
        int error = 0, found = 0;

        if (!buf)
                return -ENOMEM;
        while (!found) {
                ssize_t n = recv(fd, buf, ANSWER_MAX, MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) /* with no answer to the last message, only an error may be believed */
                        return error < 0 ? error : errno == EAGAIN ? -EIO : -errno;
                found = answers_read(buf, n, b, last_seq, &error);
        }
        return error;
}

static void socket_drain(int fd) {
        uint8_t buf[4096];

        while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC) >= 0)
                ;
}

int nft_batch_send(NftBatch *b, int fd) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        struct nlmsghdr *last = NULL;
        uint32_t last_seq = b->seq - 1;
        size_t end = b->len;

        if (b->error < 0)
                return b->error;
        for (size_t i = 0; i < end; i += NLMSG_ALIGN(last->nlmsg_len))
                last = (struct nlmsghdr *) (b->buf + i);
        /* Errors are always answered; one ACK, the last message's, tells that all were seen. */
        last->nlmsg_flags |= NLM_F_ACK;
        if (!batch_reserve(b, NFT_MESSAGE_MAX))
                return b->error;
        b->len += nftnl_batch_end((char *) b->buf + b->len, b->seq++)->nlmsg_len;
        socket_drain(fd);
        if (sendto(fd, b->buf, b->len, 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        return batch_receive(b, fd, last_seq);
}
