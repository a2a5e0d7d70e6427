/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/packet.h"

/* What was parsed lies within the input, and a TCP segment can be given any payload and is then read as the same segment. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t payload[] = "a payload";
        static uint8_t buf[PACKET_MAX];
        Packet p, q;
        int n;

        if (packet_parse(data, size, &p) < 0)
                return 0;
        CHECK(p.len <= size && p.l4_offset <= p.payload_offset && p.payload_offset + p.payload_len == p.len);
        n = packet_rewrite(&p, payload, sizeof(payload), true, buf, sizeof(buf));
        if (p.protocol != IPPROTO_TCP || p.payload_offset + sizeof(payload) > sizeof(buf)) {
                CHECK(n < 0);
                return 0;
        }
        CHECK(n == (int) (p.payload_offset + sizeof(payload)));
        CHECK(packet_parse(buf, (size_t) n, &q) == 0);
        CHECK(!q.fast_open && q.payload_offset == p.payload_offset && q.payload_len == sizeof(payload));
        CHECK(q.sport == p.sport && q.dport == p.dport && q.seq == p.seq && q.ack == p.ack);
        CHECK(memcmp(buf + q.payload_offset, payload, sizeof(payload)) == 0);
        return 0;
}
