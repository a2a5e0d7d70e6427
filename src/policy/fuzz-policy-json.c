/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdint.h>

#include "policy/policy-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const ConfigFile file = { .path = "p.json", .data = data, .size = size };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(policy_book_done) PolicyBook book = {};
        _cleanup_free_ char *text = NULL;
        int r = policy_book_add(&book, &file, &errors);

        text = config_errors_format(&errors);
        if ((r == -EINVAL) != (errors.n_errors > 0) || !text || (r < 0 && book.n_policies > 0))
                abort();
        /* Lines and columns point into the text. */
        for (size_t i = 0; i < errors.n_errors; i++)
                if (errors.errors[i].line == 0 || errors.errors[i].line > size + 1 || errors.errors[i].column == 0 || errors.errors[i].column > size + 1)
                        abort();
        return 0;
}
