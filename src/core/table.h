/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A hash table of fixed capacity for keys that strangers choose: SipHash under a secret seed, all memory taken at the start, entries kept in the order of
 * their last touch, which serves as LRU order and, for entries of one lifetime, as order of expiry.
 *
 * Values are pointers into the table: valid until the entry is removed, never moved. Keys are compared byte by byte: structs without padding. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"
#include "util/siphash.h"

typedef struct Table Table;

/* 0 or -ENOMEM. Memory is touched only as entries are used. */
_must_use_ int table_new(size_t capacity, size_t key_size, size_t value_size, const uint8_t seed[static SIPHASH_KEY_SIZE], Table **ret);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

void *table_get(const Table *t, const void *key);       /* NULL: not there. Does not touch */
void *table_add(Table *t, const void *key);             /* zeroed, touched; NULL when the table is full. The key must not be there */
void table_remove(Table *t, void *value);               /* wipes the value */
void table_touch(Table *t, void *value);
void *table_first(const Table *t);                      /* touched longest ago, NULL when empty */
void *table_next(const Table *t, const void *value);    /* the one touched after it, or NULL */
const void *table_key(const Table *t, const void *value);
size_t table_count(const Table *t);
