/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules. docs/table.md shows them as nft(8) prints them.
 *
 * Within a chain the packet's priority is the value of its unit from the maps (table.h); a packet that is queued gets a request instead, one
 * that comes back a verdict (ipc/marks.h), and one that is accepted nothing: the network's schedulers read it. Three base
 * chains follow each other at each of OUTPUT and INPUT, because a packet that user space has released goes on in
 * the next one: the first (priority 10) judges and may queue; the second (11) carries out the datapath's verdict and may ask the ACLs, whose
 * denials are queued to be recorded; the third (12) carries out the answer to that. */
#include "helper/table-rules.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <stdio.h>

#define TCP_OPTION_FAST_OPEN 34         /* RFC 7413 */
#define TCP_OPTION_EXPERIMENT 254       /* RFC 6994; Fast Open's earlier form lives here */
#define NO_ENTRY (NF_CT_STATE_INVALID | NF_CT_STATE_UNTRACKED)

static const uint8_t handshake_magic[4] = { HANDSHAKE_MAGIC >> 24, HANDSHAKE_MAGIC >> 16 & 0xff, HANDSHAKE_MAGIC >> 8 & 0xff, HANDSHAKE_MAGIC & 0xff };

typedef struct Chain {
        const char *name;
        uint32_t hook;     /* NF_INET_*, base chains only */
        int32_t priority;  /* 0: not a base chain */
} Chain;

static const Chain chains[] = {
        { "output", NF_INET_LOCAL_OUT, 10 }, { "output_verdict", NF_INET_LOCAL_OUT, 11 }, { "output_record", NF_INET_LOCAL_OUT, 12 },
        { "input", NF_INET_LOCAL_IN, 10 }, { "input_verdict", NF_INET_LOCAL_IN, 11 }, { "input_record", NF_INET_LOCAL_IN, 12 },
        { "out_syn" }, { "out_syn_unit" }, { "out_unit" }, { "out_new" },
        { "in_syn_any" }, { "in_flow" }, { "in_server" }, { "in_pending" }, { "in_syn" }, { "in_syn_unit" }, { "in_syn_token" }, { "in_syn_local" }, { "in_syn_stranger" },
        { "in_unit" }, { "in_new" }, { "in_no_entry" },
        { "connect_to_dest" }, { "connect_to_source" }, { "accept_from_source" }, { "accept_from_dest" },
        { "client_stranger" }, { "server_stranger" }, { "client_observed" }, { "server_observed" }, { "client_logged" }, { "server_logged" }, { "client_deny" }, { "server_deny" },
        { "deny_stranger" }, { "deny_acl" }, { "deny_unmarked" }, { "deny_closed" }, { "deny" }, { "reject" }, { "accept" },
        { "verdict_first" }, { "verdict_last" }, { "verdict" }, { "verdict_stranger" },
        { "queue_handshake" }, { "queue_flow" }, { "queue_repeat" }, { "queue_local" }, { "queue_unknown" }, { "queue_unknown_peer" }, { "queue_unknown_stranger" }, { "queue_strip" }, { "queue_observed" }, { "queue_logged" },
        { "index_to_mark" },
};

void table_chain_message(NftBatch *b, const char *table, const char *name, uint32_t hook, int32_t priority) {
        struct nlmsghdr *nlh = nft_batch_begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        struct nftnl_chain *c = nftnl_chain_alloc();

        if (!c)
                b->error = -ENOMEM;
        if (c && nlh) {
                nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, table);
                nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
                if (priority != 0) {
                        nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
                        nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
                        nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
                        nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
                }
                nftnl_chain_nlmsg_build_payload(nlh, c);
                nft_batch_end(b, nlh);
        }
        if (c)
                nftnl_chain_free(c);
}

void table_chains_write(NftBatch *b) {
        for (size_t i = 0; i < ELEMENTSOF(chains); i++)
                table_chain_message(b, TABLE_NAME, chains[i].name, chains[i].hook, chains[i].priority);
}

/* ---- small sequences ---- */

/* One lookup a level that units live at, deepest first: a unit's own settings go before those of its slice.
 *
 * Whatever is about to pass as nobody's and begins something is looked up a second time. Before Linux 6.17 a lookup may meet neither the old element nor the
 * new one at the moment in which a transaction replaces one by the other: when it has noted the generation before, and looks after the old one was unlinked. The
 * second lookup notes the new generation. */
static void each_level(const Writer *w, const char *then) {
        for (uint32_t level = HELPER_LEVEL_MAX; level >= 1; level--) {
                char map[16];

                if (!(w->t->levels & 1u << level))
                        continue;
                (void) snprintf(map, sizeof(map), "unit_%u", level);
                load_cgroup(w->r, level, R0);
                lookup_map(w->r, map, R0, R0);
                set_priority_from(w->r, R0);
                then_goto(w->r, then);
        }
}

typedef struct Place { /* where in the packet the peer's address and the server's port stand */
        uint32_t address4, address6, port;
} Place;

static const Place dest_dest = { 16, 24, 2 };     /* towards the server */
static const Place source_source = { 12, 8, 0 };  /* an answer of the server */
static const Place source_dest = { 12, 8, 2 };    /* from the client */
static const Place dest_source = { 16, 24, 0 };   /* an answer to the client */

static void if_in_boxes(const Writer *w, uint32_t kind, const Place *place, const char *then) {
        static const uint32_t families[] = { AF_INET, AF_INET6 };

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                bool v4 = families[i] == AF_INET;
                char set[32];

                if_family(w->r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
                if (kind >= BOX_ACCEPT_FROM) {
                        load_priority(w->r, R0);
                        mask_xor(w->r, R0, VALUE_PROFILE_MASK, 0);
                } else
                        load_const(w->r, 0, R0);
                load_network(w->r, v4 ? place->address4 : place->address6, v4 ? 4 : 16, R1);
                load_l4_protocol(w->r, v4 ? R2 : R5);
                load_transport(w->r, place->port, 2, v4 ? R3 : R6); /* of ICMP something else, but its entries cover all numbers */
                table_set_name_of_box(kind, families[i], set);
                lookup_set(w->r, set, R0);
                then_goto(w->r, then);
        }
}

void if_in_networks(const Writer *w, uint32_t kind, const char *then) {
        if_in_boxes(w, kind, &source_dest, then);
}

static void drop_without_entry(NftRules *r) {
        if_ct_state(r, NO_ENTRY);
        count(r);
        then_drop(r);
}

/* The ACK's verdict may come between two rules about the data right behind it: not authorized by the first, no longer pending by the next. Once in two thousand connections. */
static void if_authorized_by_now(const Writer *w, uint32_t authorized, NftDirection direction, const char *then) {
        NftRules *r = w->r;

        if_ct_mark(r, mark(w, authorized), mark(w, authorized));
        if_ct_direction(r, direction);
        set_priority(r, 0);
        then_goto(r, then);
}

/* ---- OUTPUT ---- */

static void write_guard(const Writer *w, const char *chain) {
        NftRules *r = w->r;

        r->chain = chain;
        if_priority(r, PRIO_OURS_MASK, PRIO_OURS); /* SO_PRIORITY forges nothing */
        set_priority(r, 0);
        then_continue(r);
        if (w->t->options.disarmed_until_usec != 0 || w->t->options.abandoned)
                then_accept(r);
}

static void write_output(const Writer *w) {
        NftRules *r = w->r;

        write_guard(w, "output");
        if_syn(r);
        then_goto(r, "out_syn");
        if_ct_mark(r, mark(w, CTMARK_CLIENT_AUTHORIZED), mark(w, CTMARK_CLIENT_AUTHORIZED));
        if_ct_direction(r, NFT_ORIGINAL);
        then_accept(r);
        if_ct_mark(r, mark(w, CTMARK_SERVER_AUTHORIZED), mark(w, CTMARK_SERVER_AUTHORIZED));
        if_ct_direction(r, NFT_REPLY);
        then_accept(r);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        if_ct_direction(r, NFT_ORIGINAL);
        if_protocol(r, IPPROTO_TCP);
        then_goto(r, "queue_flow");
        if_ct_mark(r, mark(w, CTMARK_SERVER_MASK), mark(w, CTMARK_SERVER_PENDING));
        if_ct_direction(r, NFT_REPLY);
        if_protocol(r, IPPROTO_TCP);
        then_goto(r, "queue_flow");
        each_level(w, "out_unit");
        if_ct_state(r, NO_ENTRY | NF_CT_STATE_NEW);
        then_goto(r, "out_new");

        r->chain = "out_new";
        each_level(w, "out_unit");
}

static void write_output_syn(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "out_syn";
        each_level(w, "out_syn_unit");
        each_level(w, "out_syn_unit");
        if_ct_mark_any(r, w->t->options.mark_mask); /* the tuple of a former flow of ours */
        update_ct_mark(r, ~w->t->options.mark_mask, 0);
        then_accept(r);

        r->chain = "out_syn_unit";
        if_priority(r, PRIO_FLAG(REQUEST_UNIT_CLOSED), PRIO_FLAG(REQUEST_UNIT_CLOSED));
        then_goto(r, "deny_closed");
        drop_without_entry(r);
        if_ct_direction(r, NFT_REPLY); /* simultaneous open, or the tuple of a live flow the other way round */
        then_drop(r);
        /* Tag the entry with the client's index; INPUT decides for both ends. */
        if_output_loopback(r, true);
        update_ct_mark(r, ~w->t->options.mark_mask, mark(w, CTMARK_CLIENT_PENDING));
        then_goto(r, "index_to_mark");
        if_in_boxes(w, BOX_EXCLUDED, &dest_dest, "connect_to_dest");
        if_in_boxes(w, BOX_TARGET, &dest_dest, "queue_handshake");
        then_goto(r, "connect_to_dest");

        r->chain = "out_unit";
        if_authorized_by_now(w, CTMARK_CLIENT_AUTHORIZED, NFT_ORIGINAL, "accept");
        if_authorized_by_now(w, CTMARK_SERVER_AUTHORIZED, NFT_REPLY, "accept");
        drop_without_entry(r);
        if_ct_direction(r, NFT_ORIGINAL);
        then_goto(r, "connect_to_dest");
        then_goto(r, "accept_from_dest");
}

/* ---- INPUT ---- */

static void write_input(const Writer *w) {
        NftRules *r = w->r;

        write_guard(w, "input");
        if_tcp_flags(r, SYN, SYN);
        then_goto(r, "in_syn_any");
        then_goto(r, "in_flow");

        r->chain = "in_syn_any";
        if_syn(r);
        then_goto(r, "in_syn");
        /* The server repeats its SYN-ACK when our first ACK, which carries a message, was lost; the ACK that answers it must carry the message again.
         * Flows with strangers have both bits set and are left alone, and nothing gets lost on lo. */
        if_tcp_flags(r, SYN_BITS, SYN | ACK);
        if_input_loopback(r, false);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_AUTHORIZED));
        if_ct_direction(r, NFT_REPLY);
        then_goto(r, "queue_repeat");
        then_goto(r, "in_flow");
}

static void write_input_flow(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "in_flow";
        if_ct_mark(r, mark(w, CTMARK_SERVER_AUTHORIZED), mark(w, CTMARK_SERVER_AUTHORIZED));
        if_ct_direction(r, NFT_ORIGINAL);
        then_goto(r, "in_server");
        if_ct_mark(r, mark(w, CTMARK_CLIENT_AUTHORIZED), mark(w, CTMARK_CLIENT_AUTHORIZED));
        if_ct_direction(r, NFT_REPLY);
        then_accept(r);
        if_ct_mark(r, mark(w, CTMARK_SERVER_MASK), mark(w, CTMARK_SERVER_PENDING));
        if_ct_direction(r, NFT_ORIGINAL);
        then_goto(r, "in_pending");
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        if_ct_direction(r, NFT_REPLY);
        then_goto(r, "in_pending");
        each_level(w, "in_unit");
        if_ct_state(r, NO_ENTRY | NF_CT_STATE_NEW);
        then_goto(r, "in_new");

        r->chain = "in_new";
        each_level(w, "in_unit");
        if_protocol(r, IPPROTO_TCP);
        then_goto(r, "in_no_entry");

        r->chain = "in_server"; /* the first ACK said twice: no program may read it */
        if_tcp_payload_begins(r, handshake_magic);
        if_input_loopback(r, false);
        if_ct_mark(r, mark(w, CTMARK_SERVER_MASK), mark(w, CTMARK_SERVER_AUTHORIZED));
        then_goto(r, "queue_repeat");
        then_accept(r);

        r->chain = "in_pending";
        if_input_loopback(r, true); /* a refusal, made by this kernel */
        if_tcp_flags(r, RST, RST);
        then_accept(r);
        if_not_protocol(r, IPPROTO_TCP); /* an ICMP error about the flow */
        then_accept(r);
        then_goto(r, "queue_flow");

        /* An ACK without an established entry may complete a half-open connection of a unit, whose socket no rule can tell. */
        r->chain = "in_no_entry";
        if_full_socket(r);
        then_accept(r);
        if_socket(r);
        then_goto(r, "queue_unknown");
}

static void write_input_syn(const Writer *w) {
        NftRules *r = w->r;

        r->chain = "in_syn";
        /* A SYN of this host's own TCP has been tagged anew in OUTPUT, or its mark cleared: this is a copy of one that was judged. Its unit is not known any more. */
        if_input_loopback(r, true);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK | CTMARK_SERVER_MASK), mark(w, CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED));
        count(r);
        then_drop(r);
        /* On the tuple of a flow of ours, live or closed: a forged SYN may neither pass by the old mark nor clear it. */
        if_ct_mark_any(r, mark(w, CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED));
        then_goto(r, "queue_unknown");
        each_level(w, "in_syn_unit");
        each_level(w, "in_syn_unit");
        if_full_socket(r);
        then_goto(r, "in_syn_stranger");
        if_socket(r); /* TIME_WAIT, or a request: the listener that will get it must be asked for */
        then_goto(r, "queue_unknown");
        then_goto(r, "in_syn_stranger");

        r->chain = "in_syn_unit";
        drop_without_entry(r);
        if_ct_direction(r, NFT_REPLY);
        then_drop(r);
        if_input_loopback(r, true);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        then_goto(r, "in_syn_local");
        if_input_loopback(r, false);
        if_priority(r, PRIO_FLAG(REQUEST_UNIT_CLOSED), 0);
        if_tcp_payload_begins(r, handshake_magic);
        then_goto(r, "in_syn_token");
        then_goto(r, "accept_from_source");

        r->chain = "in_syn_token";
        if_in_boxes(w, BOX_EXCLUDED, &source_dest, "accept_from_source");
        if_in_boxes(w, BOX_TARGET, &source_dest, "queue_handshake");
        then_goto(r, "accept_from_source");

        /* A local unit, whose connect rules are judged here too, meets a socket that is no unit's. */
        r->chain = "in_syn_stranger";
        if_input_loopback(r, true);
        if_ct_direction(r, NFT_ORIGINAL);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        load_ct_mark(r, R0);
        shift_right(r, R0, w->shift + CTMARK_INDEX_SHIFT);
        mask_xor(r, R0, UNIT_INDEX_MAX, 0);
        lookup_map(r, "unit", R0, R0);
        set_priority_from(r, R0);
        then_goto(r, "connect_to_dest");
        if_input_loopback(r, true);
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK), mark(w, CTMARK_CLIENT_PENDING));
        then_drop(r); /* of a unit that has just gone */
        if_ct_mark_any(r, w->t->options.mark_mask);
        update_ct_mark(r, ~w->t->options.mark_mask, 0);
        then_accept(r);
        then_accept(r);
}

static void write_input_local(const Writer *w) {
        static const uint8_t options[] = { TCP_OPTION_FAST_OPEN, TCP_OPTION_EXPERIMENT };
        NftRules *r = w->r;

        r->chain = "in_syn_local";
        if_priority(r, PRIO_FLAG(REQUEST_UNIT_CLOSED), PRIO_FLAG(REQUEST_UNIT_CLOSED));
        then_goto(r, "deny_closed");
        if_tcp_payload(r);
        then_goto(r, "queue_local");
        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                if_tcp_option(r, options[i]);
                then_goto(r, "queue_local");
        }
        for (int any = 1; any >= 0; any--) {
                load_ct_mark(r, R0);
                shift_right(r, R0, w->shift + CTMARK_INDEX_SHIFT);
                mask_xor(r, R0, UNIT_INDEX_MAX, 0);
                load_priority(r, R1);
                mask_xor(r, R1, UNIT_INDEX_MAX, 0);
                if (!any)
                        load_transport(r, 2, 2, R2);
                lookup_set(r, any ? "local_accept_any" : "local_accept", R0);
                update_ct_mark(r, ~w->t->options.mark_mask, mark(w, CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED));
                set_priority(r, 0);
                then_accept(r);
        }
        then_goto(r, "queue_local");

        r->chain = "in_unit";
        if_authorized_by_now(w, CTMARK_SERVER_AUTHORIZED, NFT_ORIGINAL, "in_server");
        if_authorized_by_now(w, CTMARK_CLIENT_AUTHORIZED, NFT_REPLY, "accept");
        if_input_loopback(r, true); /* a refusal, made by this kernel */
        if_tcp_flags(r, RST, RST);
        then_goto(r, "accept");
        /* A closed port of a host without us acknowledges the message in our SYN too, which conntrack does not know of: it gets no entry. */
        if_input_loopback(r, false);
        if_tcp_flags(r, SYN_BITS, RST | ACK);
        if_ct_state(r, NF_CT_STATE_INVALID);
        then_goto(r, "queue_flow");
        /* ICMP finds a socket only by the packet that an error quotes: path MTU, unreachable. */
        if_protocol(r, IPPROTO_ICMP);
        if_ct_state(r, NF_CT_STATE_RELATED);
        then_goto(r, "accept");
        if_protocol(r, IPPROTO_ICMPV6);
        if_ct_state(r, NF_CT_STATE_RELATED);
        then_goto(r, "accept");
        if_input_loopback(r, true); /* about a packet refused on its way out, which never got an entry */
        if_protocol(r, IPPROTO_ICMP);
        then_goto(r, "accept");
        if_input_loopback(r, true);
        if_protocol(r, IPPROTO_ICMPV6);
        then_goto(r, "accept");
        drop_without_entry(r);
        if_ct_direction(r, NFT_ORIGINAL);
        then_goto(r, "accept_from_source");
        then_goto(r, "connect_to_source");
}

/* ---- strangers ---- */

static void write_end(const Writer *w, bool client) {
        static const uint8_t options[] = { TCP_OPTION_FAST_OPEN, TCP_OPTION_EXPERIMENT };
        static const char *const passing[2][2] = { { "server_observed", "client_observed" }, { "server_logged", "client_logged" } };
        uint32_t field = mark(w, client ? CTMARK_CLIENT_MASK : CTMARK_SERVER_MASK);
        uint32_t value = mark(w, client ? CTMARK_CLIENT_STRANGER : CTMARK_SERVER_STRANGER);
        NftRules *r = w->r;

        /* Accepted by an ACL. A SYN forgets what a former flow of its tuple left in the mark. */
        r->chain = client ? "client_stranger" : "server_stranger";
        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                if_syn(r);
                if_tcp_option(r, options[i]);
                then_goto(r, "queue_strip");
        }
        if_syn(r);
        if_tcp_payload(r);
        then_goto(r, "queue_strip");
        if_syn(r);
        update_ct_mark(r, ~w->t->options.mark_mask, value);
        then_goto(r, "accept");
        update_ct_mark(r, ~field, value);
        then_goto(r, "accept");

        r->chain = client ? "client_deny" : "server_deny";
        if_priority(r, PRIO_FLAG(REQUEST_UNIT_OBSERVE), PRIO_FLAG(REQUEST_UNIT_OBSERVE));
        then_goto(r, client ? "client_observed" : "server_observed");
        then_goto(r, "deny_stranger");

        for (int logged = 0; logged <= 1; logged++) { /* as for a stranger, but the datapath sees it, and strips it too */
                r->chain = passing[logged][client];
                if_syn(r);
                update_ct_mark(r, ~w->t->options.mark_mask, value);
                then_goto(r, logged ? "queue_logged" : "queue_observed");
                update_ct_mark(r, ~field, value);
                then_goto(r, logged ? "queue_logged" : "queue_observed");
        }
}

static void write_acl(const Writer *w, const char *chain, bool client, const Place *place) {
        NftRules *r = w->r;

        r->chain = chain;
        if (!client)
                if_in_boxes(w, BOX_FAILSAFE, place, "server_stranger");
        if_priority(r, PRIO_FLAG(REQUEST_UNIT_CLOSED), PRIO_FLAG(REQUEST_UNIT_CLOSED));
        then_goto(r, "deny_closed");
        if_in_boxes(w, client ? BOX_REJECT_TO : BOX_REJECT_FROM, place, client ? "client_deny" : "server_deny");
        if_in_boxes(w, client ? BOX_LOG_TO : BOX_LOG_FROM, place, client ? "client_logged" : "server_logged");
        if_in_boxes(w, client ? BOX_CONNECT_TO : BOX_ACCEPT_FROM, place, client ? "client_stranger" : "server_stranger");
        then_goto(r, client ? "client_deny" : "server_deny");
}

void table_rules_write(NftRules *r, const Table *t) {
        const Writer w = { .r = r, .t = t, .shift = (uint32_t) __builtin_ctz(t->options.mark_mask) };

        write_output(&w);
        write_output_syn(&w);
        write_input(&w);
        write_input_flow(&w);
        write_input_syn(&w);
        write_input_local(&w);
        write_end(&w, true);
        write_end(&w, false);
        write_acl(&w, "connect_to_dest", true, &dest_dest);
        write_acl(&w, "connect_to_source", true, &source_source);
        write_acl(&w, "accept_from_source", false, &source_dest);
        write_acl(&w, "accept_from_dest", false, &dest_source);
        table_rules_write_verdicts(&w);
}
