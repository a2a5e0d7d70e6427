/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Chained hashing over one array of nodes; links are node numbers plus one, so that zeroed memory is an empty table and untouched nodes cost nothing. The key
 * stands beside the links, where a look-up finds it in the same cache line. */

#include <errno.h>

#include "core/table.h"

typedef struct Node {
        uint32_t chain;        /* next in the bucket, or in the list of free nodes */
        uint32_t older, newer;
        uint32_t hash;
        max_align_t data[];    /* key, then value, which is all zero while the node is free */
} Node;

struct Table {
        size_t capacity, key_size, value_size, value_offset, node_size;
        size_t count, n_touched; /* nodes in use; nodes that were ever in use */
        uint32_t free, oldest, newest;
        uint32_t bucket_mask;
        uint32_t *buckets;
        uint8_t *nodes;
        uint8_t seed[SIPHASH_KEY_SIZE];
};

static size_t round_up(size_t n) {
        return (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

int table_new(size_t capacity, size_t key_size, size_t value_size, const uint8_t seed[static SIPHASH_KEY_SIZE], Table **ret) {
        _cleanup_(table_freep) Table *t = NULL;
        uint32_t n_buckets = 1;

        while (n_buckets < capacity)
                n_buckets *= 2;
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->capacity = capacity;
        t->key_size = key_size;
        t->value_size = value_size;
        t->value_offset = round_up(key_size);
        t->node_size = sizeof(Node) + t->value_offset + round_up(value_size);
        t->bucket_mask = n_buckets - 1;
        memcpy(t->seed, seed, sizeof(t->seed));
        t->buckets = calloc(n_buckets, sizeof(*t->buckets));
        t->nodes = calloc(capacity, t->node_size);
        if (!t->buckets || !t->nodes)
                return -ENOMEM;
        *ret = TAKE_PTR(t);
        return 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        if (t->nodes)
                explicit_bzero(t->nodes, t->n_touched * t->node_size);
        free(t->buckets);
        free(t->nodes);
        free(t);
        return NULL;
}

static Node *node_at(const Table *t, uint32_t link) {
        return link == 0 ? NULL : (Node *) (t->nodes + (size_t) (link - 1) * t->node_size);
}

static uint32_t link_of(const Table *t, const Node *n) {
        return (uint32_t) ((size_t) ((const uint8_t *) n - t->nodes) / t->node_size) + 1;
}

static Node *node_of(const Table *t, const void *value) {
        return (Node *) ((uint8_t *) value - t->value_offset - offsetof(Node, data));
}

static void *node_value(const Table *t, Node *n) {
        return n ? (uint8_t *) n->data + t->value_offset : NULL;
}

static uint32_t hash_of(const Table *t, const void *key) {
        return (uint32_t) siphash24(key, t->key_size, t->seed);
}

void *table_get(const Table *t, const void *key) {
        uint32_t hash = hash_of(t, key);

        for (Node *n = node_at(t, t->buckets[hash & t->bucket_mask]); n; n = node_at(t, n->chain))
                if (n->hash == hash && memcmp(n->data, key, t->key_size) == 0)
                        return node_value(t, n);
        return NULL;
}

static void order_append(Table *t, Node *n) {
        n->older = t->newest;
        n->newer = 0;
        if (t->newest)
                node_at(t, t->newest)->newer = link_of(t, n);
        else
                t->oldest = link_of(t, n);
        t->newest = link_of(t, n);
}

static void order_remove(Table *t, Node *n) {
        if (n->older)
                node_at(t, n->older)->newer = n->newer;
        else
                t->oldest = n->newer;
        if (n->newer)
                node_at(t, n->newer)->older = n->older;
        else
                t->newest = n->older;
}

void *table_add(Table *t, const void *key) {
        Node *n = node_at(t, t->free);
        uint32_t *bucket;

        if (n)
                t->free = n->chain;
        else if (t->n_touched < t->capacity)
                n = node_at(t, (uint32_t) ++t->n_touched);
        else
                return NULL;
        t->count++;
        memcpy(n->data, key, t->key_size);
        n->hash = hash_of(t, key);
        bucket = &t->buckets[n->hash & t->bucket_mask];
        n->chain = *bucket;
        *bucket = link_of(t, n);
        order_append(t, n);
        return node_value(t, n);
}

void table_remove(Table *t, void *value) {
        Node *n = node_of(t, value);
        uint32_t *at = &t->buckets[n->hash & t->bucket_mask];

        while (node_at(t, *at) != n)
                at = &node_at(t, *at)->chain;
        *at = n->chain;
        order_remove(t, n);
        explicit_bzero(value, t->value_size);
        n->chain = t->free;
        t->free = link_of(t, n);
        t->count--;
}

void table_touch(Table *t, void *value) {
        Node *n = node_of(t, value);

        order_remove(t, n);
        order_append(t, n);
}

void *table_first(const Table *t) {
        return node_value(t, node_at(t, t->oldest));
}

void *table_next(const Table *t, const void *value) {
        return node_value(t, node_at(t, node_of(t, value)->newer));
}

const void *table_key(const Table *t, const void *value) {
        return node_of(t, value)->data;
}

size_t table_count(const Table *t) {
        return t->count;
}
