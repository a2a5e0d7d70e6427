/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ends of the rules: how a packet is refused, accepted or queued, and what the datapath's verdicts do. */
#include "helper/table-rules.h"

#define CODE_MASK PRIO_FLAG(0xff)
#define RECORDS_PER_SECOND 50u
#define RECORDS_BURST 100u

/* ---- denials ---- */

static void write_record_kind(NftRules *r, const char *chain, uint32_t kind, const char *otherwise) {
        r->chain = chain;
        if_below_rate(r, RECORDS_PER_SECOND, RECORDS_BURST);
        update_priority(r, VALUE_UNIT_MASK, PRIO_MAKE(PRIO_REQUEST, kind, 0));
        then_queue(r, QUEUE_RECORD, 1);
        then_goto(r, otherwise);
}

static void write_deny(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "deny_stranger";
        if_tcp_flags(r, SYN, SYN); /* of a connection that is being made, a bare SYN-ACK included */
        then_goto(r, "deny_acl");
        if_protocol(r, IPPROTO_TCP);
        then_goto(r, "deny_unmarked");
        then_goto(r, "deny_acl");
        write_record_kind(r, "deny_acl", REQUEST_RECORD_ACL, "deny");
        write_record_kind(r, "deny_unmarked", REQUEST_RECORD_UNMARKED, "deny");
        write_record_kind(r, "deny_closed", REQUEST_RECORD_CLOSED, "deny");
        write_record_kind(r, "queue_observed", REQUEST_RECORD_OBSERVED, "accept");
        write_record_kind(r, "queue_logged", REQUEST_RECORD_LOGGED, "accept");

        r->chain = "deny"; /* more than are recorded */
        count(r);
        then_continue(r);
        if (w->t->options.deny_drop) {
                if_input_loopback(r, false);
                if_output_loopback(r, false);
                then_drop(r);
        }
        then_goto(r, "reject");

        r->chain = "accept";
        set_priority(r, 0);
        then_accept(r);

        r->chain = "reject";
        set_priority(r, 0); /* the answer inherits it */
        then_continue(r);
        if_protocol(r, IPPROTO_TCP);
        then_reset(r);
        then_unreachable(r);
}

/* ---- the datapath ---- */

static void write_queues(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "queue_flow"; /* by the flow's mark, which does not tell the unit; the datapath knows the flow */
        set_priority(r, PRIO_MAKE(PRIO_REQUEST, REQUEST_HANDSHAKE, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_repeat";
        set_priority(r, PRIO_MAKE(PRIO_REQUEST, REQUEST_REPEAT, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_handshake";
        update_priority(r, VALUE_UNIT_MASK, PRIO_MAKE(PRIO_REQUEST, REQUEST_HANDSHAKE, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_local";
        load_ct_mark(r, R0);
        set_mark_from(r, R0);
        update_priority(r, VALUE_UNIT_MASK, PRIO_MAKE(PRIO_REQUEST, REQUEST_LOCAL, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_unknown_peer";
        set_priority(r, PRIO_MAKE(PRIO_REQUEST, REQUEST_UNKNOWN_LISTENER, REQUEST_UNKNOWN_PEER));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_unknown_stranger";
        set_priority(r, PRIO_MAKE(PRIO_REQUEST, REQUEST_UNKNOWN_LISTENER, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

        r->chain = "queue_unknown";
        load_const(r, 0, R0);
        set_mark_from(r, R0);
        then_continue(r);
        if_input_loopback(r, true);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        load_ct_mark(r, R0);
        set_mark_from(r, R0);
        then_continue(r);
        if_in_networks(w, BOX_EXCLUDED, "queue_unknown_stranger");
        if_in_networks(w, BOX_TARGET, "queue_unknown_peer");
        then_goto(r, "queue_unknown_stranger");

        r->chain = "queue_strip";
        update_priority(r, VALUE_UNIT_MASK, PRIO_MAKE(PRIO_REQUEST, REQUEST_STRIP, 0));
        then_queue(r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);

}

static void write_verdict_codes(const Writer *w) {
        const uint32_t ours = w->t->options.mark_mask, client = mark(w, CTMARK_CLIENT_MASK), server = mark(w, CTMARK_SERVER_MASK);
        const struct {
                uint32_t code, clear, set;
        } codes[] = {
                { VERDICT_PASS, 0, 0 },
                { VERDICT_CLIENT_PENDING, client, mark(w, CTMARK_CLIENT_PENDING) },
                { VERDICT_CLIENT_AUTHORIZED, client, mark(w, CTMARK_CLIENT_AUTHORIZED) },
                { VERDICT_SERVER_PENDING, server, mark(w, CTMARK_SERVER_PENDING) },
                { VERDICT_SERVER_AUTHORIZED, server, mark(w, CTMARK_SERVER_AUTHORIZED) },
                { VERDICT_BOTH_AUTHORIZED, ours, mark(w, CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED) },
                { VERDICT_CLEAR, ours, 0 },
        };
        NftRules *r = w->r;

        r->chain = "verdict";
        /* A SYN forgets what a former flow of its tuple left. One that is authorized at once was a stranger's, stripped. */
        for (size_t i = 1; i <= 4; i++) {
                bool client_end = codes[i].clear == client;
                uint32_t stranger = mark(w, client_end ? CTMARK_CLIENT_STRANGER : CTMARK_SERVER_STRANGER);

                if_priority(r, CODE_MASK, PRIO_FLAG(codes[i].code));
                if_syn(r);
                update_ct_mark(r, ~ours, i % 2 ? codes[i].set : stranger);
                set_priority(r, 0);
                then_accept(r);
        }
        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                if_priority(r, CODE_MASK, PRIO_FLAG(codes[i].code));
                if (codes[i].clear)
                        update_ct_mark(r, ~codes[i].clear, codes[i].set);
                if (codes[i].code == VERDICT_CLIENT_AUTHORIZED || codes[i].code == VERDICT_SERVER_AUTHORIZED) {
                        then_goto(r, "index_to_mark");
                        continue;
                }
                set_priority(r, 0);
                then_accept(r);
        }
        if_priority(r, CODE_MASK, PRIO_FLAG(VERDICT_DENY));
        then_goto(r, "reject");
        count(r);
        then_drop(r);
}

/* The low bits of the priority go into the mark one by one, because nftables before 6.13 cannot join two registers, and the mark has bits of others. None is ever
 * cleared here: a flow's first verdict knows its peer's number, and what was under way beside it says 0. */
static void write_index_to_mark(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "index_to_mark";
        for (uint32_t bit = 1; bit <= UNIT_INDEX_MAX; bit <<= 1) {
                if_priority(r, bit, bit);
                update_ct_mark(r, ~mark(w, bit << CTMARK_INDEX_SHIFT), mark(w, bit << CTMARK_INDEX_SHIFT));
                then_continue(r);
        }
        set_priority(r, 0);
        then_accept(r);
}

static void write_verdicts(const Writer *w) {
        static const char *const last[] = { "output_record", "input_record" }, *const first[] = { "output_verdict", "input_verdict" };
        NftRules *r = w->r;

        for (size_t i = 0; i < ELEMENTSOF(first); i++) {
                r->chain = first[i];
                if_priority(r, PRIO_OURS_MASK, PRIO_OURS);
                then_goto(r, "verdict_first");
                r->chain = last[i];
                if_priority(r, PRIO_OURS_MASK, PRIO_OURS);
                then_goto(r, "verdict_last");
        }
        r->chain = "verdict_first";
        if_priority(r, CODE_MASK | PRIO_MAGIC_MASK, PRIO_MAKE(PRIO_VERDICT, VERDICT_STRANGER, 0));
        then_goto(r, "verdict_stranger");
        if_priority(r, CODE_MASK | PRIO_MAGIC_MASK, PRIO_MAKE(PRIO_VERDICT, VERDICT_STRANGER_SYN, 0));
        then_goto(r, "verdict_stranger");
        then_goto(r, "verdict_last");

        r->chain = "verdict_last";
        if_priority(r, PRIO_MAGIC_MASK, PRIO_VERDICT);
        then_goto(r, "verdict");
        count(r);
        then_drop(r); /* a request that nobody answered */

        /* The verdict names the unit; from here on the priority is the unit's again, as in the first chain. */
        r->chain = "verdict_stranger";
        for (int syn = 0; syn <= 2; syn++) {
                if_priority(r, CODE_MASK, PRIO_FLAG(syn == 2 ? VERDICT_STRANGER_SYN : VERDICT_STRANGER));
                if (syn < 2)
                        if_ct_direction(r, syn ? NFT_ORIGINAL : NFT_REPLY);
                load_priority(r, R0);
                mask_xor(r, R0, UNIT_INDEX_MAX, 0);
                lookup_map(r, "unit", R0, R0);
                set_priority_from(r, R0);
                then_goto(r, syn == 2 ? "accept_from_source" : syn ? "connect_to_dest" : "connect_to_source");
        }
        then_drop(r);
}

void table_rules_write_verdicts(const Writer *w) {
        write_deny(w);
        write_queues(w);
        write_verdicts(w);
        write_verdict_codes(w);
        write_index_to_mark(w);
}
