/* SPDX-License-Identifier: GPL-2.0-or-later */

/* So many handshakes of two known nodes, without a kernel: what the datapaths of both ends compute for them. For instruction counters. */

#include <assert.h>
#include <stdlib.h>

#include "core/test-hosts.h"

#define TAGS 7u /* labels and the tags that travel by default */

int main(int argc, char **argv) {
        unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
        Host client, server;

        host_init(&client, "client", "secret", TAGS);
        host_init(&server, "server", "secret", TAGS);
        for (unsigned long i = 0; i < n; i++) {
                Connection c = connection_make(AF_INET, (uint16_t) (1000 + i));
                Wire syn = wire_syn(&c), syn_ack = wire_syn_ack(&c), ack = wire_ack(&c, "");
                Action a;

                (void) host_output(&client, &syn);
                (void) host_input(&server, &syn);
                (void) host_output(&server, &syn_ack);
                (void) host_input(&client, &syn_ack);
                (void) host_output(&client, &ack);
                a = host_input(&server, &ack);
                assert(a.verdict == VERDICT_SERVER_AUTHORIZED);
        }
        host_done(&client);
        host_done(&server);
        return EXIT_SUCCESS;
}
