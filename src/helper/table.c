/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/table.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <sys/socket.h>

#include "util/array.h"
#include "util/log.h"

#define SEND_BUFFER (64 * 1024 * 1024) /* a whole table is one datagram; with CAP_NET_ADMIN the system's limit does not hold */
#define RECEIVE_BUFFER (8 * 1024 * 1024)

void table_free(Table *t) {
        if (!t)
                return;
        free(t->units);
        free(t->locals);
        box_list_done(&t->boxes);
        slots_done(&t->slots);
        free(t);
}

bool table_options_valid(const TableOptions *options) {
        uint32_t low = options->mark_mask & -options->mark_mask;

        return low != 0 && options->mark_mask / low == (1u << CTMARK_BITS) - 1;
}

static TableUnit *find(const Table *t, uint64_t cgroup_id) {
        for (size_t i = 0; i < t->n_units; i++)
                if (t->units[i].cgroup_id == cgroup_id)
                        return &t->units[i];
        return NULL;
}

const TableUnit *table_find(const Table *t, uint64_t cgroup_id) {
        return find(t, cgroup_id);
}

/* The unit that has this index, other than that of a cgroup id: a restarted unit and its last cgroup share one for a while. */
static const TableUnit *find_index(const Table *t, uint32_t index, uint64_t other_than) {
        for (size_t i = 0; index != 0 && i < t->n_units; i++)
                if (t->units[i].index == index && t->units[i].cgroup_id != other_than)
                        return &t->units[i];
        return NULL;
}

/* A profile's slot is free again when neither a unit nor an entry of a set bears it. One that a former process left has no name that the enforcer
 * could remove it by: its entries go with the last unit that has it. */
static void profile_collect(Table *t, uint32_t profile) {
        if (profile > PROFILE_MAX && !table_uses_profile(t, profile) && table_remove_boxes(t, BOX_KINDS_OF_PROFILES, profile) < 0)
                log_warning("Cannot remove an access list that nobody uses any more");
        for (size_t i = 0; i < t->boxes.n; i++)
                if (t->boxes.boxes[i].profile == profile)
                        return;
        if (!table_uses_profile(t, profile))
                slots_release(&t->slots, profile);
}

static uint32_t slot_of(const Table *t, const TableUnit *u) {
        return slots_find(&t->slots, u->profile);
}

bool table_uses_profile(const Table *t, uint32_t profile) {
        for (size_t i = 0; i < t->n_units; i++)
                if (t->units[i].profile == profile)
                        return true;
        return false;
}

size_t table_count_closed(const Table *t) {
        size_t n = 0;

        for (size_t i = 0; i < t->n_units; i++)
                n += (t->units[i].flags & REQUEST_UNIT_CLOSED) != 0;
        return n;
}

/* ---- the whole table ---- */

void table_message(NftBatch *b, uint16_t type, const char *name) {
        struct nlmsghdr *nlh = nft_batch_begin(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
        struct nftnl_table *table = nftnl_table_alloc();

        if (!table)
                b->error = -ENOMEM;
        if (table && nlh) {
                nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
                if (type == NFT_MSG_NEWTABLE)
                        nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, NFT_TABLE_F_OWNER);
                nftnl_table_nlmsg_build_payload(nlh, table);
                nft_batch_end(b, nlh);
        }
        if (table)
                nftnl_table_free(table);
}

static uint32_t levels_of_units(const Table *t) {
        uint32_t levels = 0;

        for (size_t i = 0; i < t->n_units; i++)
                levels |= 1u << t->units[i].level;
        return levels;
}

/* Everything in one transaction, whatever was there. */
static int table_install(Table *t) {
        _cleanup_batch_ NftBatch b = {};
        NftRules r = { .batch = &b, .table = TABLE_NAME, .native_queue = t->native_queue };

        nft_batch_init(&b);
        table_message(&b, NFT_MSG_NEWTABLE, TABLE_NAME); /* only what exists can be deleted */
        table_message(&b, NFT_MSG_DELTABLE, TABLE_NAME);
        table_message(&b, NFT_MSG_NEWTABLE, TABLE_NAME);
        table_sets_write(&b);
        table_chains_write(&b);
        t->levels = levels_of_units(t);
        table_rules_write(&r, t);
        for (size_t i = 0; i < t->n_units; i++) {
                const TableUnit *u = &t->units[i];

                table_unit_element(&b, NFT_MSG_NEWSETELEM, u, slot_of(t, u));
                if (u->index != 0 && find_index(t, u->index, 0) == u) /* one of those that share it */
                        table_index_element(&b, NFT_MSG_NEWSETELEM, u, slot_of(t, u));
        }
        table_box_elements(&b, NFT_MSG_NEWSETELEM, t->boxes.boxes, t->boxes.n, &t->slots);
        table_option_elements(&b, NFT_MSG_NEWSETELEM, &t->options);
        for (size_t i = 0; i < t->n_locals; i++)
                table_local_element(&b, NFT_MSG_NEWSETELEM, &t->locals[i]);
        return nft_batch_send(&b, t->fd);
}

static void rules_rewrite(Table *t, NftBatch *b) {
        struct nlmsghdr *nlh = nft_batch_begin(b, NFT_MSG_DELRULE, 0);
        struct nftnl_rule *all = nftnl_rule_alloc();
        NftRules r = { .batch = b, .table = TABLE_NAME, .native_queue = t->native_queue };

        if (!all)
                b->error = -ENOMEM;
        if (all && nlh) {
                nftnl_rule_set_str(all, NFTNL_RULE_TABLE, TABLE_NAME); /* no chain: the rules of all chains */
                nftnl_rule_nlmsg_build_payload(nlh, all);
                nft_batch_end(b, nlh);
        }
        if (all)
                nftnl_rule_free(all);
        table_rules_write(&r, t);
}

/* A table that is there keeps its chains and sets, and gets its rules anew. To replace chains would leave a hole: a packet passes the new one, which does
 * not hold yet, and then the old one, which does not hold any more; and what waits in a queue would be dropped. */
static int table_take_over(Table *t) {
        _cleanup_batch_ NftBatch b = {};

        nft_batch_init(&b);
        t->levels = levels_of_units(t);
        rules_rewrite(t, &b);
        table_locals_flush(&b);
        return nft_batch_send(&b, t->fd);
}

/* A table of another layout, that of another version: chains and sets are replaced, behind the guard. */
static int table_replace(Table *t) {
        int k;

        log_info("The table is another version's, making it anew");
        k = table_guard_put_up(t);
        if (k < 0)
                return k;
        k = table_install(t);
        if (k < 0 && table_guard_take_down(t) < 0) /* the former table is still there */
                log_error("Cannot remove the guard, nothing new passes until the next start");
        return k;
}

static int table_put_in_force(Table *t) {
        int k = -ENOENT;

        if (t->options.layout == 0)
                k = table_install(t);
        else if (t->options.layout == TABLE_LAYOUT)
                k = table_take_over(t);
        if (k < 0 && t->options.layout != 0)
                k = table_replace(t);
        return k < 0 ? k : table_guard_take_down(t); /* also one that a process left which was killed behind it */
}

/* A change that finds no table: somebody closed the owning socket. Called with the change already in memory. */
static int table_install_again(Table *t) {
        t->n_lost++;
        log_warning("The nftables table was gone; making it anew");
        return table_install(t);
}

/* Is the expression `queue` there? Asked with a table that vanishes within its own transaction. */
static int probe_queue(int fd, bool native) {
        static const char name[] = "trireme-probe";
        _cleanup_batch_ NftBatch b = {};
        NftRules r = { .batch = &b, .table = name, .chain = "probe", .native_queue = native };
        struct nftnl_chain *chain = nftnl_chain_alloc();
        struct nlmsghdr *nlh;

        nft_batch_init(&b);
        table_message(&b, NFT_MSG_NEWTABLE, name);
        nlh = nft_batch_begin(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        if (!chain || !nlh) {
                if (chain)
                        nftnl_chain_free(chain);
                return -ENOMEM;
        }
        nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, name);
        nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, "probe");
        nftnl_chain_nlmsg_build_payload(nlh, chain);
        nftnl_chain_free(chain);
        nft_batch_end(&b, nlh);
        then_queue(&r, QUEUE_HANDSHAKE_FIRST, QUEUE_HANDSHAKE_COUNT);
        table_message(&b, NFT_MSG_DELTABLE, name);
        return nft_batch_send(&b, fd);
}

static int table_probe(Table *t) {
        int k = probe_queue(t->fd, true);

        t->native_queue = k >= 0;
        if (k >= 0)
                return 0;
        k = probe_queue(t->fd, false);
        if (k < 0)
                return log_error_errno(k, "This kernel has neither nft_queue nor nft_compat with xt_NFQUEUE");
        log_debug("No nft_queue in this kernel, using nft_compat's NFQUEUE target");
        return 0;
}

static int socket_set_up(int fd) {
        const int send_buffer = SEND_BUFFER, receive_buffer = RECEIVE_BUFFER, one = 1;

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof(receive_buffer)) < 0)
                return -errno;
        /* PID 1 holds this socket too, and closes it when it shows an error. */
        return setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one)) < 0 ? -errno : 0;
}

int table_new(int fd, Table **ret) {
        _cleanup_(table_freep) Table *t = calloc(1, sizeof(*t));
        int k;

        if (!t)
                return -ENOMEM;
        t->fd = fd;
        t->options.mark_mask = CTMARK_DEFAULT_MASK;
        k = socket_set_up(fd);
        if (k < 0)
                return log_error_errno(k, "Cannot set up the netlink socket");
        k = table_probe(t);
        if (k < 0)
                return k;
        k = table_restore(t);
        if (k < 0)
                return log_error_errno(k, "Cannot read the present table");
        k = table_put_in_force(t);
        if (k < 0)
                return log_error_errno(k, "Cannot make the table");
        log_info("Table made, %zu units kept, queue by %s", t->n_units, t->native_queue ? "nft_queue" : "nft_compat");
        *ret = TAKE_PTR(t);
        return 0;
}

/* ---- changes ---- */

int table_set_unit(Table *t, const TableUnit *unit) {
        _cleanup_batch_ NftBatch b = {};
        TableUnit *old = find(t, unit->cgroup_id);
        const TableUnit *same_index;
        uint32_t levels_before = t->levels;
        int k;

        if (unit->level < 1 || unit->level > HELPER_LEVEL_MAX || (old && old->level != unit->level))
                return -EINVAL;
        if (!old && !ARRAY_GROW(t->units, t->n_units))
                return -ENOMEM;
        k = slots_take(&t->slots, unit->profile);
        if (k < 0)
                return k;
        old = find(t, unit->cgroup_id); /* the array may have moved */
        same_index = find_index(t, unit->index, 0);
        nft_batch_init(&b);
        if (old)
                table_unit_element(&b, NFT_MSG_DELSETELEM, old, slot_of(t, old));
        if (old && old->index != unit->index && old->index != 0 && !find_index(t, old->index, old->cgroup_id))
                table_index_element(&b, NFT_MSG_DELSETELEM, old, slot_of(t, old));
        if (same_index)
                table_index_element(&b, NFT_MSG_DELSETELEM, same_index, slot_of(t, same_index));
        table_unit_element(&b, NFT_MSG_NEWSETELEM, unit, slot_of(t, unit));
        if (unit->index != 0)
                table_index_element(&b, NFT_MSG_NEWSETELEM, unit, slot_of(t, unit));
        t->levels |= 1u << unit->level;
        if (t->levels != levels_before)
                rules_rewrite(t, &b);
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT) {
                t->levels = levels_before;
                profile_collect(t, unit->profile);
                return k;
        }
        if (old) {
                uint32_t profile = old->profile;

                *old = *unit;
                profile_collect(t, profile);
        } else
                t->units[t->n_units++] = *unit;
        return k == -ENOENT ? table_install_again(t) : 0;
}

int table_remove_unit(Table *t, uint64_t cgroup_id) {
        _cleanup_batch_ NftBatch b = {};
        TableUnit *u = find(t, cgroup_id), gone;
        uint32_t levels_before = t->levels;
        int k;

        if (!u)
                return -ENOENT;
        gone = *u;
        *u = t->units[--t->n_units];
        nft_batch_init(&b);
        table_unit_element(&b, NFT_MSG_DELSETELEM, &gone, slot_of(t, &gone));
        if (gone.index != 0 && !find_index(t, gone.index, cgroup_id))
                table_index_element(&b, NFT_MSG_DELSETELEM, &gone, slot_of(t, &gone));
        t->levels = levels_of_units(t);
        if (t->levels != levels_before)
                rules_rewrite(t, &b);
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT) {
                t->units[t->n_units++] = gone; /* there is room: it was there before */
                t->levels = levels_before;
                return k;
        }
        profile_collect(t, gone.profile);
        return k == -ENOENT ? table_install_again(t) : 0;
}

int table_add_box(Table *t, const Box *box) {
        _cleanup_batch_ NftBatch b = {};
        int n, k = slots_take(&t->slots, box->profile);

        if (k < 0)
                return k;
        n = box_list_add(&t->boxes, box);
        if (n <= 0) {
                profile_collect(t, box->profile);
                return n;
        }
        nft_batch_init(&b);
        table_box_elements(&b, NFT_MSG_NEWSETELEM, t->boxes.boxes + t->boxes.n - (size_t) n, (size_t) n, &t->slots);
        k = nft_batch_send(&b, t->fd);
        if (k == -ENOENT)
                return table_install_again(t);
        if (k < 0) {
                t->boxes.n -= (size_t) n;
                profile_collect(t, box->profile);
        }
        return k;
}

int table_remove_boxes(Table *t, uint32_t kinds, uint32_t profile) {
        _cleanup_batch_ NftBatch b = {};
        _cleanup_(box_list_done) BoxList kept = { 0 };
        size_t n_gone = 0;
        BoxList old;
        int k;

        kept.boxes = reallocarray(NULL, 2 * t->boxes.n + 1, sizeof(Box)); /* as much as ARRAY_GROW() may take for granted */
        if (!kept.boxes)
                return -ENOMEM;
        nft_batch_init(&b);
        for (size_t i = 0; i < t->boxes.n; i++) {
                const Box *box = &t->boxes.boxes[i];

                if ((kinds & 1u << box->kind) && box->profile == profile) {
                        table_box_elements(&b, NFT_MSG_DELSETELEM, box, 1, &t->slots);
                        n_gone++;
                } else
                        kept.boxes[kept.n++] = *box;
        }
        if (n_gone == 0)
                return 0;
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT)
                return k;
        old = t->boxes;
        t->boxes = kept;
        kept = old;
        profile_collect(t, profile);
        return k == -ENOENT ? table_install_again(t) : 0;
}

static bool same_boxes(const BoxList *list, uint32_t kinds, const BoxList *boxes) {
        size_t n = 0;

        for (size_t i = 0; i < list->n; i++)
                if (kinds & 1u << list->boxes[i].kind) {
                        if (n >= boxes->n || memcmp(&list->boxes[i], &boxes->boxes[n], sizeof(Box)) != 0)
                                return false;
                        n++;
                }
        return n == boxes->n;
}

int table_set_boxes(Table *t, uint32_t kinds, const BoxList *boxes) {
        _cleanup_(box_list_done) BoxList after = { 0 };
        _cleanup_batch_ NftBatch b = {};
        BoxList old = t->boxes;
        int k;

        if (same_boxes(&t->boxes, kinds, boxes))
                return 0;
        after.boxes = reallocarray(NULL, 2 * (t->boxes.n + boxes->n) + 1, sizeof(Box)); /* as much as ARRAY_GROW() may take for granted */
        if (!after.boxes)
                return -ENOMEM;
        nft_batch_init(&b);
        for (size_t i = 0; i < t->boxes.n; i++)
                if (kinds & 1u << t->boxes.boxes[i].kind)
                        table_box_elements(&b, NFT_MSG_DELSETELEM, &t->boxes.boxes[i], 1, &t->slots);
                else
                        after.boxes[after.n++] = t->boxes.boxes[i];
        table_box_elements(&b, NFT_MSG_NEWSETELEM, boxes->boxes, boxes->n, &t->slots);
        for (size_t i = 0; i < boxes->n; i++)
                after.boxes[after.n++] = boxes->boxes[i];
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT)
                return k;
        t->boxes = after;
        after = old;
        return k == -ENOENT ? table_install_again(t) : 0;
}

int table_forget_unused_profiles(Table *t) {
        size_t i = 0;

        while (i < t->boxes.n) {
                uint32_t profile = t->boxes.boxes[i].profile;
                int k;

                if (profile == 0 || table_uses_profile(t, profile)) {
                        i++;
                        continue;
                }
                k = table_remove_boxes(t, BOX_KINDS_OF_PROFILES, profile);
                if (k < 0)
                        return k;
        }
        return 0;
}

int table_add_local(Table *t, const TableLocal *local) {
        _cleanup_batch_ NftBatch b = {};
        int k;

        for (size_t i = 0; i < t->n_locals; i++)
                if (t->locals[i].client == local->client && t->locals[i].server == local->server && t->locals[i].port == local->port)
                        return 0;
        if (!ARRAY_GROW(t->locals, t->n_locals))
                return -ENOMEM;
        nft_batch_init(&b);
        table_local_element(&b, NFT_MSG_NEWSETELEM, local);
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT)
                return k;
        t->locals[t->n_locals++] = *local;
        return k == -ENOENT ? table_install_again(t) : 0;
}

int table_forget_local(Table *t, uint32_t client, uint32_t server) {
        _cleanup_batch_ NftBatch b = {};
        size_t kept = 0, n = t->n_locals;
        int k;

        nft_batch_init(&b);
        for (size_t i = 0; i < n; i++) { /* those to keep in front, the others behind them, so that nothing is lost if the kernel refuses */
                TableLocal local = t->locals[i];

                if ((client == 0 || local.client == client) && (server == 0 || local.server == server)) {
                        table_local_element(&b, NFT_MSG_DELSETELEM, &local);
                        continue;
                }
                t->locals[i] = t->locals[kept];
                t->locals[kept++] = local;
        }
        if (kept == n)
                return 0;
        k = nft_batch_send(&b, t->fd);
        if (k < 0 && k != -ENOENT)
                return k;
        t->n_locals = kept;
        return k == -ENOENT ? table_install_again(t) : 0;
}

int table_set_options(Table *t, const TableOptions *options) {
        _cleanup_batch_ NftBatch b = {};
        TableOptions old = t->options;
        int k;

        if (!table_options_valid(options))
                return -EINVAL;
        if (old.mark_mask == options->mark_mask && old.deny_drop == options->deny_drop && old.failure_open == options->failure_open &&
            old.abandoned == options->abandoned && old.disarmed_until_usec == options->disarmed_until_usec)
                return 0;
        t->options = *options;
        nft_batch_init(&b);
        rules_rewrite(t, &b);
        table_option_elements(&b, NFT_MSG_DELSETELEM, &old);
        table_option_elements(&b, NFT_MSG_NEWSETELEM, options);
        k = nft_batch_send(&b, t->fd);
        if (k == -ENOENT)
                return table_install_again(t);
        if (k < 0)
                t->options = old;
        return k;
}
