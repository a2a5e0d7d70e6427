/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/queue-msg.h"

/* The packet lies within the message, and its bytes can all be read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t buf[128];
        QueueMsg m;

        if (queue_msg_parse(data, size, &m) < 0)
                return 0;
        CHECK(m.hook == QUEUE_HOOK_INPUT || m.hook == QUEUE_HOOK_OUTPUT);
        CHECK(m.payload_len == 0 || (m.payload >= data && m.payload_len <= (size_t) (data + size - m.payload)));
        CHECK(queue_drop_batch_write(m.queue, m.id, buf, sizeof(buf)) > 0);
        return 0;
}
