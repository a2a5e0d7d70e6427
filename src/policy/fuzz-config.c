/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdint.h>

#include "policy/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const ConfigFile file = { .path = "trireme.conf", .data = data, .size = size };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(config_done) Config config = {};
        _cleanup_free_ char *text = NULL;
        int r = config_parse(&file, 1, &config, &errors);

        text = config_errors_format(&errors);
        if ((r == -EINVAL) != (errors.n_errors > 0) || !text)
                abort();
        if (r == 0 && (config.mode == UNIT_MODE_DEFAULT || __builtin_popcount(config.conntrack_mark_mask) < 20))
                abort();
        return 0;
}
