/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any packet of the enforcer's socket: checked without a crash, and what passes can be turned into what the table stores. The first byte is the number of
 * descriptors. */
#include <stdlib.h>

#include "helper/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ void *packet = NULL; /* aligned, and exactly as long as the packet */
        Box box;

        if (size < 1)
                return 0;
        packet = malloc(size - 1 > 0 ? size - 1 : 1);
        if (!packet)
                abort();
        memcpy(packet, data + 1, size - 1);
        if (request_check(packet, size - 1, data[0]) < 0)
                return 0;
        switch (((const HelperHeader *) packet)->type) {
        case HELPER_ACL_ADD:
                if (request_box_of_acl(packet, &box) < 0)
                        abort();
                break;
        case HELPER_NETWORK_ADD:
                if (request_box_of_network(packet, &box) < 0)
                        abort();
                break;
        default:
                break;
        }
        return 0;
}
