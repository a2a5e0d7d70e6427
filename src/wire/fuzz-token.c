/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/fuzz.h"
#include "wire/token.h"

/* A token has one encoding: what was read is written as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t buf[TOKEN_SIZE_MAX];
        Token t;

        if (token_parse(data, size, &t) < 0)
                return 0;
        CHECK(t.signed_len + t.proof_len == size && t.proof == data + t.signed_len);
        CHECK(token_write(&t, t.proof_len, buf, sizeof(buf)) == (int) t.signed_len);
        CHECK(memcmp(buf, data, t.signed_len) == 0);
        return 0;
}
