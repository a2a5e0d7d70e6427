/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/message.h"

/* A message has one encoding: what was read is written as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t buf[MESSAGE_SIZE_MAX];
        Message m;

        if (message_parse(data, size, &m) < 0)
                return 0;
        CHECK(message_write(&m, buf, sizeof(buf)) == (int) size);
        CHECK(memcmp(buf, data, size) == 0);
        return 0;
}
