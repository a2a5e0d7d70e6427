/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by the two halves of the rules: table-rules.c judges, table-verdicts.c denies, queues and carries out. */

#include "helper/table.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10, SYN_BITS = FIN | SYN | RST | ACK }; /* RFC 9293 3.1 */
#define PRIO_OURS_MASK 0xf8000000u /* meets both magics, 0x73 and 0x74, in one comparison */
#define PRIO_OURS 0x70000000u
#define PRIO_FLAG(flag) ((uint32_t) (flag) << 16)

typedef struct Writer {
        NftRules *r;
        const Table *t;
        uint32_t shift; /* of our bits in the conntrack mark */
} Writer;

static inline uint32_t mark(const Writer *w, uint32_t bits) {
        return bits << w->shift;
}

static inline void if_syn(NftRules *r) {
        if_tcp_flags(r, SYN_BITS, SYN);
}

/* Goes on in chain then if the sender is in one of the boxes of this kind that name no unit. */
void if_in_networks(const Writer *w, uint32_t kind, const char *then);
void table_rules_write_verdicts(const Writer *w);
