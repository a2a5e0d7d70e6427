/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/bytes.h"
#include "wire/queue-msg.h"
#include "wire/test-random.h"

/* As nfnetlink_queue sends it on a little-endian machine: the header in the machine's order, everything else big-endian, the packet last
 * and not padded. */
static const uint8_t packet_msg[] = {
        83, 0, 0, 0, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  /* length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET */
        2, 0, 0x12, 0x34,                                       /* AF_INET, version, queue */
        11, 0, 1, 0, 0, 0, 0, 0x2a, 0x08, 0x00, 1, 0,           /* NFQA_PACKET_HDR: id 42, ETH_P_IP, NF_INET_LOCAL_IN */
        8, 0, 5, 0, 0, 0, 0, 3,                                 /* NFQA_IFINDEX_INDEV */
        8, 0, 3, 0, 0x11, 0x22, 0x33, 0x44,                     /* NFQA_MARK */
        8, 0, 21, 0, 0x73, 0, 0, 9,                             /* NFQA_PRIORITY */
        8, 0, 13, 0, 0, 0, 0x05, 0xdc,                          /* NFQA_CAP_LEN */
        8, 0, 6, 0, 0, 0, 0, 4,                                 /* NFQA_IFINDEX_OUTDEV */
        4, 0, 99, 0,                                            /* something new */
        7, 0, 10, 0, 'a', 'b', 'c',                             /* NFQA_PAYLOAD */
};
enum { AT_TYPE = 4, AT_HEADER = 20, AT_HOOK = 30, AT_INDEV = 32, AT_PRIORITY = 48, AT_PAYLOAD = 76 };

static void a_packet_is_read_field_by_field(void **state) {
        QueueMsg m;

        assert_int_equal(queue_msg_parse(packet_msg, sizeof(packet_msg), &m), 0);
        assert_int_equal(m.id, 42);
        assert_int_equal(m.queue, 0x1234);
        assert_int_equal(m.hook, QUEUE_HOOK_INPUT);
        assert_int_equal(m.mark, 0x11223344);
        assert_int_equal(m.priority, 0x73000009);
        assert_int_equal(m.iif, 3);
        assert_int_equal(m.oif, 4);
        assert_int_equal(m.cap_len, 1500);
        assert_int_equal(m.payload_len, 3);
        assert_ptr_equal(m.payload, packet_msg + AT_PAYLOAD + 4);
}

static void what_is_absent_is_zero(void **state) {
        uint8_t bytes[32];
        QueueMsg m;

        memcpy(bytes, packet_msg, sizeof(bytes));
        bytes[0] = sizeof(bytes);
        bytes[AT_HOOK] = QUEUE_HOOK_OUTPUT;
        memset(&m, 0x5a, sizeof(m));
        assert_int_equal(queue_msg_parse(bytes, sizeof(bytes), &m), 0);
        assert_int_equal(m.hook, QUEUE_HOOK_OUTPUT);
        assert_int_equal(m.mark | m.priority | m.iif | m.oif | m.cap_len, 0);
        assert_int_equal(m.payload_len, 0);
}

static void a_malformed_message_gives_its_id_as_far_as_it_can_be_read(void **state) {
        static const struct {
                const char *what;
                size_t len, offset;
                uint8_t value;
                int expected;
                uint32_t id;
        } cases[] = {
                { "unchanged",                          0,  0,              83,   0,        42 },
                { "nothing",                            0,  0,              0,    -EBADMSG, 0 },
                { "half a netlink header",              8,  0,              83,   -EBADMSG, 0 },
                { "longer than the buffer",             0,  0,              84,   -EBADMSG, 0 },
                { "shorter than its header",            0,  0,              15,   -EBADMSG, 0 },
                { "without nfgenmsg",                   0,  0,              19,   -EBADMSG, 0 },
                { "without any attribute",              0,  0,              20,   -EBADMSG, 0 },
                { "half an attribute header",           0,  0,              34,   -EBADMSG, 42 },
                { "an error",                           0,  AT_TYPE + 1,    0,    -ENOMSG,  0 },
                { "a configuration answer",             0,  AT_TYPE,        2,    -ENOMSG,  0 },
                { "another subsystem",                  0,  AT_TYPE + 1,    1,    -ENOMSG,  0 },
                { "packet header too short",            0,  AT_HEADER,      10,   -EBADMSG, 0 },
                { "packet header too long",             0,  AT_HEADER,      12,   -EBADMSG, 0 },
                { "no packet header",                   0,  AT_HEADER + 2,  98,   -EBADMSG, 0 },
                { "PREROUTING",                         0,  AT_HOOK,        0,    -EBADMSG, 42 },
                { "FORWARD",                            0,  AT_HOOK,        2,    -EBADMSG, 42 },
                { "POSTROUTING",                        0,  AT_HOOK,        4,    -EBADMSG, 42 },
                { "an attribute of no length",          0,  AT_INDEV,       0,    -EBADMSG, 42 },
                { "an attribute below its header",      0,  AT_INDEV,       3,    -EBADMSG, 42 },
                { "an attribute beyond the end",        0,  AT_PAYLOAD,     8,    -EBADMSG, 42 },
                { "a priority of 3 bytes",              0,  AT_PRIORITY,    7,    -EBADMSG, 42 },
                { "a priority of none",                 0,  AT_PRIORITY,    4,    -EBADMSG, 42 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t bytes[sizeof(packet_msg)];
                QueueMsg m = { .mark = 7 };
                int r;

                memcpy(bytes, packet_msg, sizeof(bytes));
                bytes[cases[i].offset] = cases[i].value;
                r = queue_msg_parse(bytes, cases[i].len > 0 ? cases[i].len : sizeof(bytes), &m);
                if (r != cases[i].expected || m.id != cases[i].id)
                        fail_msg("%s: %d, id %u", cases[i].what, r, m.id);
                if (m.id > 0)
                        assert_int_equal(m.queue, 0x1234);
                if (r < 0)
                        assert_int_equal(m.mark, 7);
        }
}

static void an_accept_sets_the_priority_and_replaces_the_packet(void **state) {
        static const uint8_t expected[] = {
                48, 0, 0, 0, 0x01, 0x03, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0x12, 0x34,
                12, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0x2a,
                8, 0, 21, 0, 0x74, 0, 0, 9,
                7, 0, 10, 0, 'x', 'y', 'z', 0,
        };
        QueueVerdict v = { .id = 42, .queue = 0x1234, .priority = 0x74000009, .payload = (const uint8_t *) "xyz", .payload_len = 3 };
        uint8_t bytes[64];

        assert_int_equal(queue_verdict_write(&v, bytes, sizeof(bytes)), sizeof(expected));
        assert_memory_equal(bytes, expected, sizeof(expected));
        v.payload = NULL;
        assert_int_equal(queue_verdict_write(&v, bytes, sizeof(bytes)), 40);
        assert_memory_equal(bytes + 4, expected + 4, 36);
}

static void a_drop_carries_nothing_but_the_id(void **state) {
        static const uint8_t expected[] = {
                32, 0, 0, 0, 0x01, 0x03, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0x12, 0x34,
                12, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a,
        };
        const QueueVerdict v = { .id = 42, .queue = 0x1234, .drop = 1, .priority = 5, .payload = (const uint8_t *) "xyz", .payload_len = 3 };
        uint8_t bytes[64];

        assert_int_equal(queue_verdict_write(&v, bytes, sizeof(bytes)), sizeof(expected));
        assert_memory_equal(bytes, expected, sizeof(expected));
        assert_int_equal(queue_drop_batch_write(0x1234, 42, bytes, sizeof(bytes)), sizeof(expected));
        assert_int_equal(bytes[4], 3); /* NFQNL_MSG_VERDICT_BATCH */
        assert_memory_equal(bytes + 5, expected + 5, sizeof(expected) - 5);
}

static void the_configuration_binds_and_asks_for_whole_packets(void **state) {
        static const uint8_t bind[] = {
                28, 0, 0, 0, 0x02, 0x03, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0x12, 0x34,
                8, 0, 1, 0, 1, 0, 0, 0,
        };
        static const uint8_t params[] = {
                40, 0, 0, 0, 0x02, 0x03, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0x12, 0x34,
                9, 0, 2, 0, 0, 0, 0xff, 0xff, 2, 0, 0, 0,
                8, 0, 3, 0, 0, 0, 0x10, 0x00,
        };
        uint8_t bytes[64];

        assert_int_equal(queue_config_write_bind(0x1234, 7, bytes, sizeof(bytes)), sizeof(bind));
        assert_memory_equal(bytes, bind, sizeof(bind));
        assert_int_equal(queue_config_write_params(0x1234, 0xffff, 4096, 8, bytes, sizeof(bytes)), sizeof(params));
        assert_memory_equal(bytes, params, sizeof(params));
}

static void what_does_not_fit_is_not_written(void **state) {
        static const uint8_t payload[65535];
        _cleanup_free_ uint8_t *bytes = malloc(70000);
        QueueVerdict v = { .id = 1, .payload = payload, .payload_len = 100 };

        assert_non_null(bytes);
        assert_int_equal(queue_verdict_write(&v, bytes, 144), 144);
        for (size_t size = 0; size < 144; size++)
                assert_int_equal(queue_verdict_write(&v, bytes, size), -EMSGSIZE);
        /* An attribute's length has 16 bits. */
        v.payload_len = 65531;
        assert_int_equal(queue_verdict_write(&v, bytes, 70000), 40 + 65536);
        v.payload_len = 65532;
        assert_int_equal(queue_verdict_write(&v, bytes, 70000), -EMSGSIZE);
        assert_int_equal(queue_config_write_bind(1, 1, bytes, 27), -EMSGSIZE);
        assert_int_equal(queue_config_write_params(1, 1, 1, 1, bytes, 39), -EMSGSIZE);
        assert_int_equal(queue_drop_batch_write(1, 1, bytes, 31), -EMSGSIZE);
}

static void flipped_bits_and_cut_messages_never_harm(void **state) {
        Random random = { 8 };
        int n_parsed = 0;

        for (int i = 0; i < 50000; i++) {
                size_t n = random_below(&random, 4) ? sizeof(packet_msg) : random_below(&random, sizeof(packet_msg));
                _cleanup_free_ uint8_t *bytes = malloc(n + 1);
                QueueMsg m;

                assert_non_null(bytes);
                memcpy(bytes, packet_msg, n);
                for (size_t k = random_below(&random, 3); n > 0 && k > 0; k--)
                        bytes[random_below(&random, n)] ^= (uint8_t) (1u << random_below(&random, 8));
                if (queue_msg_parse(bytes, n, &m) < 0)
                        continue;
                n_parsed++;
                if (m.payload_len > 0)
                        assert_true(m.payload >= bytes && m.payload + m.payload_len <= bytes + n);
        }
        assert_true(n_parsed > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_packet_is_read_field_by_field),
                cmocka_unit_test(what_is_absent_is_zero),
                cmocka_unit_test(a_malformed_message_gives_its_id_as_far_as_it_can_be_read),
                cmocka_unit_test(an_accept_sets_the_priority_and_replaces_the_packet),
                cmocka_unit_test(a_drop_carries_nothing_but_the_id),
                cmocka_unit_test(the_configuration_binds_and_asks_for_whole_packets),
                cmocka_unit_test(what_does_not_fit_is_not_written),
                cmocka_unit_test(flipped_bits_and_cut_messages_never_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
