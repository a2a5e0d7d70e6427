/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Sequences of packets against one machine with an enforcer that says yes to everything. Input: steps of
 *   1 byte  0-4 bits: hook, kind and how the packet is made; see below
 *   2 bytes length (big-endian), then so many bytes
 * Whatever comes, what the machine lets through must be a packet, without our message on its way in. */

#include <stdlib.h>

#include "core/test-hosts.h"
#include "wire/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_OUTPUT = 1 << 0, STEP_MESSAGE = 1 << 1, STEP_TIME = 1 << 2, STEP_KIND_SHIFT = 3 };

static const uint8_t kinds[] = { REQUEST_HANDSHAKE, REQUEST_REPEAT, REQUEST_STRIP, REQUEST_LOCAL, REQUEST_RECORD_ACL, REQUEST_HANDSHAKE, REQUEST_HANDSHAKE, REQUEST_REPEAT };

/* TCP flags, sequence and ack number, payload: the rest of a packet that belongs to one connection. */
static bool step_packet(Reader *r, size_t len, bool from_client, Wire *ret) {
        const Connection c = connection_make(AF_INET, 1000);
        const uint8_t *head = len >= 9 ? reader_take(r, 9) : NULL, *payload = head ? reader_take(r, len - 9) : NULL;

        if (!payload || len - 9 > WIRE_MAX - 40)
                return false;
        *ret = wire_make(&c, from_client, head[0], load_be32(head + 1), load_be32(head + 5), payload, len - 9);
        return true;
}

static bool step_raw(Reader *r, size_t len, Wire *ret) {
        const uint8_t *p = reader_take(r, len);
        Packet packet;

        if (!p || len > WIRE_MAX)
                return false;
        memcpy(ret->data, p, len);
        ret->len = len;
        return packet_parse(p, len, &packet) == 0;
}

static void check(const Action *a, bool output, const Wire *w) {
        Packet p;

        if (a->type != ACTION_ACCEPT)
                return;
        if (packet_parse(w->data, w->len, &p) < 0)
                abort();
        if (!output && p.protocol == IPPROTO_TCP && (p.flags & TCP_FLAG_SYN) && p.payload_len > 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Reader r = { .at = data, .left = size };
        Host h;

        host_init(&h, "host", "the same secret", 1);
        for (const uint8_t *head = reader_take(&r, 3); head; head = reader_take(&r, 3)) {
                size_t len = load_be16(head + 1);
                bool output = head[0] & STEP_OUTPUT;
                Wire w = {};
                Action a;

                if (head[0] & STEP_TIME)
                        test_now += len * USEC_PER_MSEC;
                if (head[0] & STEP_MESSAGE ? !step_packet(&r, len, output == (len % 2 == 0), &w) : !step_raw(&r, len, &w))
                        continue;
                a = host_step(&h, output ? QUEUE_HOOK_OUTPUT : QUEUE_HOOK_INPUT, kinds[head[0] >> STEP_KIND_SHIFT & 7], HOST_UNIT, &w);
                check(&a, output, &w);
        }
        host_done(&h);
        return 0;
}
