/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules, written one expression a call: matches first, then statements, then a verdict, which ends the rule. Within a rule each match that
 * fails, and each load of something that is not there, ends it ("break"), so that the next rule is tried.
 *
 * Registers are 32-bit words, chosen by the caller; a concatenated lookup key lies in consecutive ones. */

#include <linux/netfilter/nf_tables.h>
#include <stdbool.h>
#include <stdint.h>

#include "helper/nft-batch.h"

#define TABLE_NAME "trireme"

typedef enum NftRegister { R0 = NFT_REG32_00, R1, R2, R3, R4, R5, R6, R7 } NftRegister;
typedef enum NftDirection { NFT_ORIGINAL, NFT_REPLY } NftDirection;

struct nftnl_expr;
struct nftnl_rule;

typedef struct NftRules {
        NftBatch *batch;
        const char *table;       /* borrowed */
        const char *chain;       /* borrowed: where the following rules go */
        struct nftnl_rule *rule; /* under construction, or NULL */
        bool native_queue;       /* the kernel has nft_queue */
} NftRules;

void nft_rules_done(NftRules *r);

/* Loads into a register; break where there is no such thing. */
void load_priority(NftRules *r, NftRegister dest);
void load_ct_mark(NftRules *r, NftRegister dest);
void load_cgroup(NftRules *r, uint32_t level, NftRegister dest); /* 8 bytes; only of full sockets */
void load_l4_protocol(NftRules *r, NftRegister dest);
void load_network(NftRules *r, uint32_t offset, uint32_t len, NftRegister dest);
void load_transport(NftRules *r, uint32_t offset, uint32_t len, NftRegister dest);
void load_const(NftRules *r, uint32_t value, NftRegister dest);
/* On 32 bits of a register, in host order. */
void mask_xor(NftRules *r, NftRegister reg, uint32_t mask, uint32_t xor);
void shift_right(NftRules *r, NftRegister reg, uint32_t bits);
void lookup_map(NftRules *r, const char *map, NftRegister key, NftRegister dest); /* break when the key is not there */
void lookup_set(NftRules *r, const char *set, NftRegister key);

/* Matches. */
void if_priority(NftRules *r, uint32_t mask, uint32_t value);
void if_ct_mark(NftRules *r, uint32_t mask, uint32_t value);    /* break without a conntrack entry */
void if_ct_mark_any(NftRules *r, uint32_t mask);                /* any of these bits */
void if_ct_state(NftRules *r, uint32_t states);                 /* bit set of NF_CT_STATE_*; holds without an entry too */
void if_ct_direction(NftRules *r, NftDirection direction);
void if_family(NftRules *r, uint8_t nfproto);
void if_protocol(NftRules *r, uint8_t protocol);
void if_not_protocol(NftRules *r, uint8_t protocol);
void if_tcp_flags(NftRules *r, uint8_t mask, uint8_t value);
void if_tcp_option(NftRules *r, uint8_t kind);
void if_tcp_payload(NftRules *r);                               /* at least one byte */
void if_tcp_payload_begins(NftRules *r, const uint8_t magic[static 4]);
void if_input_loopback(NftRules *r, bool yes);
void if_output_loopback(NftRules *r, bool yes);
void if_socket(NftRules *r);                                    /* some socket, of whatever kind */
void if_full_socket(NftRules *r);                               /* not a request or TIME_WAIT one */
void if_below_rate(NftRules *r, uint64_t per_second, uint32_t burst);

/* Statements. */
void set_priority(NftRules *r, uint32_t value);
void set_priority_from(NftRules *r, NftRegister src);
void update_priority(NftRules *r, uint32_t mask, uint32_t xor);
void set_ct_mark_from(NftRules *r, NftRegister src);
void update_ct_mark(NftRules *r, uint32_t mask, uint32_t xor);
void set_mark_from(NftRules *r, NftRegister src);
void count(NftRules *r);

/* Verdicts: each ends the rule. */
void then_continue(NftRules *r);
void then_accept(NftRules *r);
void then_drop(NftRules *r);
void then_goto(NftRules *r, const char *chain);
void then_queue(NftRules *r, uint16_t first, uint16_t count);   /* by CPU; without a listener packets are dropped */
void then_reset(NftRules *r);                                   /* TCP only */
void then_unreachable(NftRules *r);                             /* ICMP, administratively prohibited */

/* nf_conntrack_common.h's states as `ct state` shows them. */
enum {
        NF_CT_STATE_INVALID = 1 << 0,
        NF_CT_STATE_ESTABLISHED = 1 << 1,
        NF_CT_STATE_RELATED = 1 << 2,
        NF_CT_STATE_NEW = 1 << 3,
        NF_CT_STATE_UNTRACKED = 1 << 6,
};
