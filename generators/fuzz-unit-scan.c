/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "unit-name.h"
#include "unit-scan.h"
#include "util/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_value(void *userdata, UnitScanKey key, const char *value, size_t len) {
        const char *end = userdata;
        char name[UNIT_NAME_MAX], socket[UNIT_NAME_MAX];

        if (len == 0 || len > (size_t) (end - value) || memchr(value, '\n', len))
                abort();
        if (len >= sizeof(name))
                return;
        memcpy(name, value, len);
        name[len] = '\0';
        if (!dropin_name_covers(name, name) && !strchr(name, '%'))
                abort(); /* a unit's own directory is always its own */
        (void) unit_name_is_labellable(name);
        (void) dropin_name_to_socket(name, false, socket);
        (void) dropin_name_to_socket(name, true, socket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        (void) unit_scan((const char *) data, size, on_value, (void *) (data + size));
        return 0;
}
