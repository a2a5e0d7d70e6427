/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/netlink.h"

/* Attributes lie within the message, one behind the other, and written again they read the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t buf[2 * UINT16_MAX];
        const uint8_t *behind = data;
        struct nlmsghdr header;
        NetlinkAttr attr, again;
        NetlinkWriter w;
        Reader r, own;

        if (netlink_open(data, size, &header, &r) < 0)
                return 0;
        while (netlink_next_attr(&r, &attr) > 0) {
                CHECK(attr.data > behind && attr.len <= (size_t) (data + size - attr.data));
                behind = attr.data + attr.len;

                netlink_begin(&w, buf, sizeof(buf), &header);
                netlink_put_attr(&w, attr.type, attr.data, attr.len);
                CHECK(netlink_finish(&w) > 0);
                CHECK(netlink_open(buf, w.len, &header, &own) == 0);
                CHECK(netlink_next_attr(&own, &again) == 1);
                CHECK(again.type == attr.type && again.len == attr.len && memcmp(again.data, attr.data, attr.len) == 0);
                CHECK(netlink_next_attr(&own, &again) == 0);
        }
        return 0;
}
