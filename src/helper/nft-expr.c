/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/nft-expr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#define LOOPBACK_IFINDEX 1u /* net/loopback.c: "The loopback device is always index 1" */
#define XT_ALIGNED(size) (((size) + 7u) & ~7u)

static struct nftnl_expr *expr_new(NftRules *r, const char *name) {
        struct nftnl_expr *e;

        if (!r->rule) {
                r->rule = nftnl_rule_alloc();
                if (!r->rule) {
                        r->batch->error = -ENOMEM;
                        return NULL;
                }
        }
        e = nftnl_expr_alloc(name);
        if (!e) {
                r->batch->error = -ENOMEM;
                return NULL;
        }
        nftnl_rule_add_expr(r->rule, e);
        return e;
}

static void put_u32(struct nftnl_expr *e, uint16_t attr, uint32_t value) {
        if (e)
                nftnl_expr_set_u32(e, attr, value);
}

static void put_data(struct nftnl_expr *e, uint16_t attr, const void *data, uint32_t len, NftRules *r) {
        if (e && nftnl_expr_set(e, attr, data, len) < 0)
                r->batch->error = -ENOMEM;
}

void nft_rules_done(NftRules *r) {
        if (r->rule)
                nftnl_rule_free(r->rule);
        r->rule = NULL;
}

void then_continue(NftRules *r) {
        struct nlmsghdr *nlh = nft_batch_begin(r->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

        if (nlh && r->rule) {
                nftnl_rule_set_str(r->rule, NFTNL_RULE_TABLE, r->table);
                nftnl_rule_set_str(r->rule, NFTNL_RULE_CHAIN, r->chain);
                nftnl_rule_nlmsg_build_payload(nlh, r->rule);
                nft_batch_end(r->batch, nlh);
        }
        nft_rules_done(r);
}

static void load_meta(NftRules *r, uint32_t key, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "meta");

        put_u32(e, NFTNL_EXPR_META_KEY, key);
        put_u32(e, NFTNL_EXPR_META_DREG, dest);
}

static void set_meta(NftRules *r, uint32_t key, NftRegister src) {
        struct nftnl_expr *e = expr_new(r, "meta");

        put_u32(e, NFTNL_EXPR_META_KEY, key);
        put_u32(e, NFTNL_EXPR_META_SREG, src);
}

static void load_ct(NftRules *r, uint32_t key, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "ct");

        put_u32(e, NFTNL_EXPR_CT_KEY, key);
        put_u32(e, NFTNL_EXPR_CT_DREG, dest);
}

static void load_socket(NftRules *r, uint32_t key, uint32_t level, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "socket");

        put_u32(e, NFTNL_EXPR_SOCKET_KEY, key);
        put_u32(e, NFTNL_EXPR_SOCKET_DREG, dest);
        if (level > 0)
                put_u32(e, NFTNL_EXPR_SOCKET_LEVEL, level);
}

static void load_payload(NftRules *r, uint32_t base, uint32_t offset, uint32_t len, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "payload");

        put_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
        put_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        put_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
        put_u32(e, NFTNL_EXPR_PAYLOAD_DREG, dest);
}

static void compare(NftRules *r, NftRegister reg, uint32_t op, const void *data, uint32_t len) {
        struct nftnl_expr *e = expr_new(r, "cmp");

        put_u32(e, NFTNL_EXPR_CMP_SREG, reg);
        put_u32(e, NFTNL_EXPR_CMP_OP, op);
        put_data(e, NFTNL_EXPR_CMP_DATA, data, len, r);
}

static void compare_u32(NftRules *r, NftRegister reg, uint32_t op, uint32_t value) {
        compare(r, reg, op, &value, sizeof(value));
}

static void compare_u8(NftRules *r, NftRegister reg, uint32_t op, uint8_t value) {
        compare(r, reg, op, &value, sizeof(value));
}

void load_priority(NftRules *r, NftRegister dest) {
        load_meta(r, NFT_META_PRIORITY, dest);
}

void load_ct_mark(NftRules *r, NftRegister dest) {
        load_ct(r, NFT_CT_MARK, dest);
}

void load_cgroup(NftRules *r, uint32_t level, NftRegister dest) {
        load_socket(r, NFT_SOCKET_CGROUPV2, level, dest);
}

void load_l4_protocol(NftRules *r, NftRegister dest) {
        load_meta(r, NFT_META_L4PROTO, dest);
}

void load_network(NftRules *r, uint32_t offset, uint32_t len, NftRegister dest) {
        load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, offset, len, dest);
}

void load_transport(NftRules *r, uint32_t offset, uint32_t len, NftRegister dest) {
        load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, offset, len, dest);
}

void load_const(NftRules *r, uint32_t value, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "immediate");

        put_u32(e, NFTNL_EXPR_IMM_DREG, dest);
        put_data(e, NFTNL_EXPR_IMM_DATA, &value, sizeof(value), r);
}

void mask_xor(NftRules *r, NftRegister reg, uint32_t mask, uint32_t xor) {
        struct nftnl_expr *e = expr_new(r, "bitwise");

        put_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
        put_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
        put_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
        put_data(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask), r);
        put_data(e, NFTNL_EXPR_BITWISE_XOR, &xor, sizeof(xor), r);
}

static void shift(NftRules *r, NftRegister reg, uint32_t op, uint32_t bits) {
        struct nftnl_expr *e;

        if (bits == 0) /* refused by the kernel */
                return;
        e = expr_new(r, "bitwise");
        put_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
        put_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
        put_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof(uint32_t));
        put_u32(e, NFTNL_EXPR_BITWISE_OP, op);
        put_data(e, NFTNL_EXPR_BITWISE_DATA, &bits, sizeof(bits), r);
}

void shift_right(NftRules *r, NftRegister reg, uint32_t bits) {
        shift(r, reg, NFT_BITWISE_RSHIFT, bits);
}

void lookup_map(NftRules *r, const char *map, NftRegister key, NftRegister dest) {
        struct nftnl_expr *e = expr_new(r, "lookup");

        put_u32(e, NFTNL_EXPR_LOOKUP_SREG, key);
        put_u32(e, NFTNL_EXPR_LOOKUP_DREG, dest);
        put_data(e, NFTNL_EXPR_LOOKUP_SET, map, (uint32_t) strlen(map) + 1, r);
}

void lookup_set(NftRules *r, const char *set, NftRegister key) {
        struct nftnl_expr *e = expr_new(r, "lookup");

        put_u32(e, NFTNL_EXPR_LOOKUP_SREG, key);
        put_data(e, NFTNL_EXPR_LOOKUP_SET, set, (uint32_t) strlen(set) + 1, r);
}

void if_priority(NftRules *r, uint32_t mask, uint32_t value) {
        load_priority(r, R0);
        mask_xor(r, R0, mask, 0);
        compare_u32(r, R0, NFT_CMP_EQ, value);
}

void if_ct_mark(NftRules *r, uint32_t mask, uint32_t value) {
        load_ct_mark(r, R0);
        mask_xor(r, R0, mask, 0);
        compare_u32(r, R0, NFT_CMP_EQ, value);
}

void if_ct_mark_any(NftRules *r, uint32_t mask) {
        load_ct_mark(r, R0);
        mask_xor(r, R0, mask, 0);
        compare_u32(r, R0, NFT_CMP_NEQ, 0);
}

void if_ct_state(NftRules *r, uint32_t states) {
        load_ct(r, NFT_CT_STATE, R0);
        mask_xor(r, R0, states, 0);
        compare_u32(r, R0, NFT_CMP_NEQ, 0);
}

void if_ct_direction(NftRules *r, NftDirection direction) {
        load_ct(r, NFT_CT_DIRECTION, R0);
        compare_u8(r, R0, NFT_CMP_EQ, (uint8_t) direction);
}

void if_family(NftRules *r, uint8_t nfproto) {
        load_meta(r, NFT_META_NFPROTO, R0);
        compare_u8(r, R0, NFT_CMP_EQ, nfproto);
}

void if_protocol(NftRules *r, uint8_t protocol) {
        load_l4_protocol(r, R0);
        compare_u8(r, R0, NFT_CMP_EQ, protocol);
}

void if_not_protocol(NftRules *r, uint8_t protocol) {
        load_l4_protocol(r, R0);
        compare_u8(r, R0, NFT_CMP_NEQ, protocol);
}

void if_tcp_flags(NftRules *r, uint8_t mask, uint8_t value) {
        struct nftnl_expr *e;
        const uint8_t zero = 0;

        if_protocol(r, IPPROTO_TCP);
        load_transport(r, 13, 1, R0); /* RFC 9293 3.1: control bits */
        e = expr_new(r, "bitwise");
        put_u32(e, NFTNL_EXPR_BITWISE_SREG, R0);
        put_u32(e, NFTNL_EXPR_BITWISE_DREG, R0);
        put_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
        put_data(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask), r);
        put_data(e, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero), r);
        compare_u8(r, R0, NFT_CMP_EQ, value);
}

void if_tcp_option(NftRules *r, uint8_t kind) {
        struct nftnl_expr *e = expr_new(r, "exthdr");

        put_u32(e, NFTNL_EXPR_EXTHDR_DREG, R0);
        put_data(e, NFTNL_EXPR_EXTHDR_TYPE, &kind, sizeof(kind), r);
        put_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 0);
        put_u32(e, NFTNL_EXPR_EXTHDR_LEN, 1);
        put_u32(e, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
        put_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
        compare_u8(r, R0, NFT_CMP_EQ, 1);
}

void if_tcp_payload(NftRules *r) {
        load_payload(r, NFT_PAYLOAD_INNER_HEADER, 0, 1, R0);
}

void if_tcp_payload_begins(NftRules *r, const uint8_t magic[static 4]) {
        load_payload(r, NFT_PAYLOAD_INNER_HEADER, 0, 4, R0);
        compare(r, R0, NFT_CMP_EQ, magic, 4);
}

void if_input_loopback(NftRules *r, bool yes) {
        load_meta(r, NFT_META_IIF, R0);
        compare_u32(r, R0, yes ? NFT_CMP_EQ : NFT_CMP_NEQ, LOOPBACK_IFINDEX);
}

void if_output_loopback(NftRules *r, bool yes) {
        load_meta(r, NFT_META_OIF, R0);
        compare_u32(r, R0, yes ? NFT_CMP_EQ : NFT_CMP_NEQ, LOOPBACK_IFINDEX);
}

/* nft_socket: transparency is known of every kind of socket, the mark of full ones only. */
void if_socket(NftRules *r) {
        load_socket(r, NFT_SOCKET_TRANSPARENT, 0, R0);
}

void if_full_socket(NftRules *r) {
        load_socket(r, NFT_SOCKET_MARK, 0, R0);
}

void if_below_rate(NftRules *r, uint64_t per_second, uint32_t burst) {
        struct nftnl_expr *e = expr_new(r, "limit");
        const uint64_t unit = 1;

        put_data(e, NFTNL_EXPR_LIMIT_RATE, &per_second, sizeof(per_second), r);
        put_data(e, NFTNL_EXPR_LIMIT_UNIT, &unit, sizeof(unit), r);
        put_u32(e, NFTNL_EXPR_LIMIT_BURST, burst);
        put_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
        put_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
}

void set_priority_from(NftRules *r, NftRegister src) {
        set_meta(r, NFT_META_PRIORITY, src);
}

void set_priority(NftRules *r, uint32_t value) {
        load_const(r, value, R0);
        set_priority_from(r, R0);
}

void update_priority(NftRules *r, uint32_t mask, uint32_t xor) {
        load_priority(r, R0);
        mask_xor(r, R0, mask, xor);
        set_priority_from(r, R0);
}

void set_mark_from(NftRules *r, NftRegister src) {
        set_meta(r, NFT_META_MARK, src);
}

void set_ct_mark_from(NftRules *r, NftRegister src) {
        struct nftnl_expr *e = expr_new(r, "ct");

        put_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
        put_u32(e, NFTNL_EXPR_CT_SREG, src);
}

void update_ct_mark(NftRules *r, uint32_t mask, uint32_t xor) {
        load_ct_mark(r, R0);
        mask_xor(r, R0, mask, xor);
        set_ct_mark_from(r, R0);
}

void count(NftRules *r) {
        (void) expr_new(r, "counter");
}

static void verdict(NftRules *r, int code, const char *chain) {
        struct nftnl_expr *e = expr_new(r, "immediate");

        put_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        put_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t) code);
        if (chain)
                put_data(e, NFTNL_EXPR_IMM_CHAIN, chain, (uint32_t) strlen(chain) + 1, r);
        then_continue(r);
}

void then_accept(NftRules *r) {
        verdict(r, NF_ACCEPT, NULL);
}

void then_drop(NftRules *r) {
        verdict(r, NF_DROP, NULL);
}

void then_goto(NftRules *r, const char *chain) {
        verdict(r, NFT_GOTO, chain);
}

static void queue_native(NftRules *r, uint16_t first, uint16_t n) {
        struct nftnl_expr *e = expr_new(r, "queue");

        if (!e)
                return;
        nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, first);
        nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, n);
        nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, n > 1 ? NFT_QUEUE_FLAG_CPU_FANOUT : 0);
}

/* iptables' NFQUEUE target, which nft_compat offers as an expression, for kernels that were built without nft_queue. */
static void queue_compat(NftRules *r, uint16_t first, uint16_t n) {
        struct xt_NFQ_info_v3 *info = calloc(1, XT_ALIGNED(sizeof(*info)));
        struct nftnl_expr *e = expr_new(r, "target");

        if (!info || !e) {
                free(info);
                r->batch->error = -ENOMEM;
                return;
        }
        *info = (struct xt_NFQ_info_v3) { .queuenum = first, .queues_total = n, .flags = n > 1 ? NFQ_FLAG_CPU_FANOUT : 0 };
        nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, "NFQUEUE");
        nftnl_expr_set_u32(e, NFTNL_EXPR_TG_REV, 3);
        nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, info, XT_ALIGNED(sizeof(*info))); /* takes info over */
}

void then_queue(NftRules *r, uint16_t first, uint16_t n) {
        if (r->native_queue)
                queue_native(r, first, n);
        else
                queue_compat(r, first, n);
        then_continue(r);
}

static void reject(NftRules *r, uint32_t type, uint8_t code) {
        struct nftnl_expr *e = expr_new(r, "reject");

        put_u32(e, NFTNL_EXPR_REJECT_TYPE, type);
        put_data(e, NFTNL_EXPR_REJECT_CODE, &code, sizeof(code), r);
        then_continue(r);
}

void then_reset(NftRules *r) {
        reject(r, NFT_REJECT_TCP_RST, 0);
}

void then_unreachable(NftRules *r) {
        reject(r, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}
