/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/diag-msg.h"

/* A socket that was read can be asked for again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t buf[128];
        DiagSocket s;

        if (diag_parse(data, size, &s) < 0)
                return 0;
        s.protocol = IPPROTO_TCP;
        CHECK(diag_destroy_write(&s, 1, buf, sizeof(buf)) > 0);
        return 0;
}
