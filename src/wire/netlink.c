/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "wire/netlink.h"

int netlink_open(const void *data, size_t len, struct nlmsghdr *ret, Reader *ret_payload) {
        struct nlmsghdr header;

        if (len < sizeof(header))
                return -EBADMSG;
        memcpy(&header, data, sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > len)
                return -EBADMSG;
        *ret = header;
        *ret_payload = (Reader) { .at = (const uint8_t *) data + sizeof(header), .left = header.nlmsg_len - sizeof(header) };
        return 0;
}

int netlink_next_attr(Reader *r, NetlinkAttr *ret) {
        const uint8_t *header, *data;
        struct nlattr attr;

        if (r->left == 0)
                return 0;
        header = reader_take(r, sizeof(attr));
        if (!header)
                return -EBADMSG;
        memcpy(&attr, header, sizeof(attr));
        if (attr.nla_len < sizeof(attr))
                return -EBADMSG;
        data = reader_take(r, attr.nla_len - sizeof(attr));
        if (!data)
                return -EBADMSG;
        /* The last attribute of a message may lack its padding: nfnetlink_queue does not pad the packet. */
        (void) reader_take(r, MIN(r->left, (size_t) (NLA_ALIGN(attr.nla_len) - attr.nla_len)));
        *ret = (NetlinkAttr) { .type = attr.nla_type & NLA_TYPE_MASK, .data = data, .len = attr.nla_len - sizeof(attr) };
        return 1;
}

void netlink_begin(NetlinkWriter *w, void *buf, size_t size, const struct nlmsghdr *header) {
        *w = (NetlinkWriter) { .buf = buf, .size = size };
        netlink_put(w, header, sizeof(*header));
}

void netlink_put(NetlinkWriter *w, const void *data, size_t n) {
        size_t padded = NLMSG_ALIGN(n);

        if (w->full || padded > w->size - w->len) {
                w->full = true;
                return;
        }
        if (n > 0)
                memcpy(w->buf + w->len, data, n);
        memset(w->buf + w->len + n, 0, padded - n);
        w->len += padded;
}

void netlink_put_attr(NetlinkWriter *w, uint16_t type, const void *data, size_t n) {
        struct nlattr attr = { .nla_type = type, .nla_len = (uint16_t) (sizeof(attr) + n) };

        if (n > UINT16_MAX - sizeof(attr)) {
                w->full = true;
                return;
        }
        netlink_put(w, &attr, sizeof(attr));
        netlink_put(w, data, n);
}

int netlink_finish(NetlinkWriter *w) {
        uint32_t len = (uint32_t) w->len;

        if (w->full)
                return -EMSGSIZE;
        memcpy(w->buf + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
        return (int) w->len;
}
