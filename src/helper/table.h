/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The nft table "inet trireme": docs/table.md shows it. This is the memory of what is in it and the only place that changes it; each change is one
 * transaction, and memory follows the kernel only when the kernel agreed. The kernel's copy belongs to the netlink socket (flags owner), so
 * that it outlives this process; a new process reads back what it holds (table-restore.c), and the rules it makes from that are those of before. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "helper/box.h"
#include "helper/nft-batch.h"
#include "helper/nft-expr.h"
#include "helper/slots.h"
#include "ipc/helper-protocol.h"
#include "ipc/marks.h"
#include "util/clock.h"

typedef struct TableUnit {
        uint64_t cgroup_id;
        uint32_t level;   /* of its cgroup, 1 to HELPER_LEVEL_MAX */
        uint32_t index;   /* 0: none yet */
        uint32_t flags;   /* REQUEST_UNIT_* */
        uint32_t profile; /* of its ACLs, 0: none */
} TableUnit;

/* Two units of this host that may talk without a question to user space. */
typedef struct TableLocal {
        uint32_t client, server;
        uint16_t port; /* host order, 0: any */
} TableLocal;

#define TABLE_LAYOUT 2u /* to be raised with each change of sets or chains: a helper that starts keeps those of its own layout */

typedef struct TableOptions {
        uint32_t layout;    /* of the table that was found; 0: there was none */
        uint32_t mark_mask; /* CTMARK_BITS contiguous bits */
        bool deny_drop;     /* refused peers on other hosts get silence instead of a reset */
        bool failure_open;  /* FailureMode=open; no rule's business, kept with the others */
        bool abandoned;     /* ... and there is no enforcer: everything passes */
        usec_t disarmed_until_usec; /* CLOCK_BOOTTIME; 0: armed; USEC_INFINITY. Everything passes until somebody sets it to 0 */
} TableOptions;

typedef struct Table {
        int fd;             /* borrowed: the netlink socket that owns the table */
        bool native_queue;  /* the kernel has nft_queue */
        TableOptions options;
        TableUnit *units;
        size_t n_units;
        TableLocal *locals;
        size_t n_locals;
        BoxList boxes;
        Slots slots;        /* of the profiles that boxes or units use */
        uint32_t levels;    /* bit set: cgroup levels the rules look at */
        uint32_t n_lost;    /* times the table was found gone and made anew */
} Table;

/* Makes the table, with units, networks, access lists and options that an earlier one on this socket held. fd must stay open as long as the table is used. */
_must_use_ int table_new(int fd, Table **ret);
void table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

const TableUnit *table_find(const Table *t, uint64_t cgroup_id);
bool table_uses_profile(const Table *t, uint32_t profile);
size_t table_count_closed(const Table *t);

_must_use_ int table_set_unit(Table *t, const TableUnit *unit); /* adds, or replaces that of the same cgroup id */
_must_use_ int table_remove_unit(Table *t, uint64_t cgroup_id); /* -ENOENT */
_must_use_ int table_add_box(Table *t, const Box *box);
/* kinds: bit set 1 << BoxKind */
_must_use_ int table_remove_boxes(Table *t, uint32_t kinds, uint32_t profile);
/* Those of a kind that has no profiles, all in one step; boxes must not overlap. */
_must_use_ int table_set_boxes(Table *t, uint32_t kinds, const BoxList *boxes);
_must_use_ int table_forget_unused_profiles(Table *t); /* what an enforcer left that is no more */
_must_use_ int table_add_local(Table *t, const TableLocal *local);
_must_use_ int table_forget_local(Table *t, uint32_t client, uint32_t server); /* 0: any */
_must_use_ int table_set_options(Table *t, const TableOptions *options);

bool table_options_valid(const TableOptions *options);

/* ---- between the parts of the table ---- */

/* What the maps say of a unit: bits 0-15 index, 16-17 REQUEST_UNIT_*, 18-31 the slot of its profile, which is also how the keys of the address sets
 * begin. In one value, because nft(8) 1.0 aborts when it is to print a key of which a part comes from a map. */
#define VALUE_PROFILE_SHIFT 18u /* SLOTS_MAX is 14 bits */
#define VALUE_PROFILE_MASK (UINT32_MAX << VALUE_PROFILE_SHIFT)
#define VALUE_UNIT_MASK (~VALUE_PROFILE_MASK)
#define UNIT_VALUE(slot, flags, index) ((slot) << VALUE_PROFILE_SHIFT | (flags) << 16 | (index))

void table_rules_write(NftRules *r, const Table *t);             /* table-rules.c: chains must be there and empty */
void table_chains_write(NftBatch *b);
void table_message(NftBatch *b, uint16_t type, const char *name); /* NFT_MSG_NEWTABLE or NFT_MSG_DELTABLE */
void table_chain_message(NftBatch *b, const char *table, const char *name, uint32_t hook, int32_t priority); /* priority 0: not a base chain */
_must_use_ int table_guard_put_up(Table *t);                     /* table-guard.c: nothing new passes, what is authorized does */
_must_use_ int table_guard_take_down(Table *t);                  /* none there: 0 */
void table_sets_write(NftBatch *b);                              /* table-sets.c */
void table_unit_element(NftBatch *b, uint16_t type, const TableUnit *u, uint32_t slot);
void table_index_element(NftBatch *b, uint16_t type, const TableUnit *u, uint32_t slot);
void table_box_elements(NftBatch *b, uint16_t type, const Box *boxes, size_t n, const Slots *slots);
void table_local_element(NftBatch *b, uint16_t type, const TableLocal *local);
_must_use_ int table_box_read(Box *box, const void *key, const void *key_end, size_t len, uint32_t *ret_slot); /* the inverse; kind and family are given */
void table_set_name_of_box(uint32_t kind, uint32_t family, char ret[static 32]);
void table_locals_flush(NftBatch *b);
void table_option_elements(NftBatch *b, uint16_t type, const TableOptions *options);
void table_option_read(TableOptions *options, uint32_t key, uint32_t value);
_must_use_ int table_restore(Table *t);                          /* table-restore.c; nothing there: 0 */
