/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Netlink messages and their attributes (linux/netlink.h), read and written with every length checked. */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"
#include "wire/bytes.h"

/* The message at data as its header says: *ret_payload gets what is behind the header. Returns 0 or -EBADMSG. */
_must_use_ int netlink_open(const void *data, size_t len, struct nlmsghdr *ret, Reader *ret_payload);

typedef struct NetlinkAttr {
        uint16_t type;
        const uint8_t *data; /* borrowed */
        size_t len;
} NetlinkAttr;

/* The next attribute: 1, 0 at the end, -EBADMSG. */
_must_use_ int netlink_next_attr(Reader *r, NetlinkAttr *ret);

/* One message under construction. Writing on after the buffer is full does nothing; netlink_finish() tells. */
typedef struct NetlinkWriter {
        uint8_t *buf;
        size_t size, len;
        bool full;
} NetlinkWriter;

void netlink_begin(NetlinkWriter *w, void *buf, size_t size, const struct nlmsghdr *header);
void netlink_put(NetlinkWriter *w, const void *data, size_t n);  /* padded to NLMSG_ALIGNTO */
void netlink_put_attr(NetlinkWriter *w, uint16_t type, const void *data, size_t n);
_must_use_ int netlink_finish(NetlinkWriter *w);                 /* fixes nlmsg_len. Returns the size, -EMSGSIZE */
