/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The index is one sorted list of (kind, key, value, rule), its runs of equal (kind, key, value) found through a hash table. Hash collisions cannot be provoked from
 * outside: only rules are ever put in, and those are the administrator's. */

#include <errno.h>
#include <stdbool.h>

#include "policy/rule.h"
#include "util/array.h"

typedef struct Entry {
        const char *key, *value; /* borrowed from the rules */
        size_t value_len;
        uint32_t rule;           /* LENGTHS: a length */
        RuleIndexKind kind;
        uint32_t clause;
        uint32_t n_run;          /* rules listed under the same value */
} Entry;

typedef struct Entries {
        Entry *entries;
        size_t n_entries;
} Entries;

typedef struct Run {
        const char *key, *value;
        size_t value_len;
        RuleIndexKind kind;
        uint32_t first, n; /* of rule numbers */
} Run;

struct RuleSet {
        unsigned n_refs;
        bool uses_port;
        RuleList list;
        uint32_t *numbers;
        Run *runs;
        size_t n_runs;
        uint32_t *table;   /* run + 1, 0: empty; open addressing */
        size_t table_mask;
};

static int run_compare(const Entry *a, const Entry *b) {
        int c = a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->key, b->key);

        if (c == 0)
                c = memcmp(a->value, b->value, MIN(a->value_len, b->value_len));
        return c != 0 ? c : (a->value_len > b->value_len) - (a->value_len < b->value_len);
}

static int entry_compare(const void *p, const void *q) {
        const Entry *a = p, *b = q;
        int c = run_compare(a, b);

        return c != 0 ? c : (a->rule > b->rule) - (a->rule < b->rule);
}

static void entries_done(Entries *e) {
        free(e->entries);
}

static int entries_add(Entries *e, const Entry *entry) {
        if (!ARRAY_GROW(e->entries, e->n_entries))
                return -ENOMEM;
        e->entries[e->n_entries++] = *entry;
        return 0;
}

static void entries_sort(Entries *e) {
        if (e->n_entries > 0)
                qsort(e->entries, e->n_entries, sizeof(Entry), entry_compare);
}

/* End of the run that begins at i. */
static size_t run_end(const Entries *e, size_t i) {
        size_t end = i + 1;

        while (end < e->n_entries && run_compare(e->entries + i, e->entries + end) == 0)
                end++;
        return end;
}

static int add_clause(Entries *e, uint32_t rule, const Clause *c, uint32_t clause) {
        int r = 0;

        if (c->op == CLAUSE_PRESENT)
                return entries_add(e, &(Entry) { .kind = RULE_INDEX_PREFIX, .key = c->key, .value = "", .rule = rule, .clause = clause });
        for (size_t i = 0; r >= 0 && c->op == CLAUSE_EQUAL && i < c->n_values; i++)
                r = entries_add(e, &(Entry) {
                                .kind = c->values[i].prefix ? RULE_INDEX_PREFIX : RULE_INDEX_EXACT,
                                .key = c->key, .value = c->values[i].text, .value_len = c->values[i].len, .rule = rule, .clause = clause });
        return r;
}

/* Leaves for each rule the entries of one clause: the positive one with the fewest rules under its values. Rules without one go under ANY. */
static int choose_clauses(const RuleList *l, Entries *e) {
        _cleanup_(freep) uint64_t *cost = NULL; /* of each clause of each rule */
        _cleanup_(freep) size_t *first = NULL;  /* clause of each rule in cost */
        size_t n_clauses = 0, n_kept = 0;

        first = calloc(l->n_rules + 1, sizeof(*first));
        if (!first)
                return -ENOMEM;
        for (size_t i = 0; i < l->n_rules; i++) {
                first[i] = n_clauses;
                n_clauses += l->rules[i].n_clauses;
        }
        first[l->n_rules] = n_clauses;
        cost = calloc(n_clauses + 1, sizeof(*cost));
        if (!cost)
                return -ENOMEM;
        for (size_t i = 0; i < e->n_entries; i++)
                cost[first[e->entries[i].rule] + e->entries[i].clause] += e->entries[i].n_run;

        for (size_t i = 0; i < e->n_entries; i++) {
                const Entry *x = e->entries + i;
                size_t best = first[x->rule] + x->clause;
                bool chosen = true;

                for (size_t k = first[x->rule]; chosen && k < first[x->rule + 1]; k++)
                        chosen = k == best || cost[k] == 0 || cost[k] > cost[best] || (cost[k] == cost[best] && k > best);
                if (chosen)
                        e->entries[n_kept++] = *x;
        }
        e->n_entries = n_kept;
        for (size_t i = 0; i < l->n_rules; i++) {
                bool positive = false;

                for (size_t k = first[i]; k < first[i + 1]; k++)
                        positive = positive || cost[k] > 0;
                if (!positive && entries_add(e, &(Entry) { .kind = RULE_INDEX_ANY, .key = "", .value = "", .rule = (uint32_t) i }) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* The lengths of the listed prefixes, so that a value of 255 bytes does not cost 255 lookups. */
static int add_lengths(Entries *e) {
        size_t n = e->n_entries;

        for (size_t i = 0; i < n; i = run_end(e, i)) {
                Entry x = e->entries[i];
                int r;

                if (x.kind != RULE_INDEX_PREFIX)
                        continue;
                r = entries_add(e, &(Entry) { .kind = RULE_INDEX_LENGTHS, .key = x.key, .value = "", .rule = (uint32_t) x.value_len });
                if (r < 0)
                        return r;
        }
        return 0;
}

static uint64_t hash(RuleIndexKind kind, const char *key, const char *value, size_t value_len) {
        uint64_t h = 0xcbf29ce484222325u ^ (uint64_t) kind; /* FNV-1a */

        for (; *key; key++)
                h = (h ^ (uint8_t) *key) * 0x100000001b3u;
        h = (h ^ '=') * 0x100000001b3u;
        for (size_t i = 0; i < value_len; i++)
                h = (h ^ (uint8_t) value[i]) * 0x100000001b3u;
        return h ^ h >> 32;
}

static int make_table(RuleSet *s, const Entries *e) {
        size_t size = 4;

        for (size_t i = 0; i < e->n_entries; i = run_end(e, i))
                s->n_runs++;
        while (size < 2 * s->n_runs)
                size *= 2;
        s->table_mask = size - 1;
        s->table = calloc(size, sizeof(*s->table));
        s->runs = calloc(s->n_runs + 1, sizeof(*s->runs));
        s->numbers = calloc(e->n_entries + 1, sizeof(*s->numbers));
        if (!s->table || !s->runs || !s->numbers)
                return -ENOMEM;
        s->n_runs = 0;
        for (size_t i = 0, n = 0, end; i < e->n_entries; i = end) {
                const Entry *x = e->entries + i;
                size_t slot = hash(x->kind, x->key, x->value, x->value_len) & s->table_mask;
                Run *run = s->runs + s->n_runs++;

                end = run_end(e, i);
                *run = (Run) { .kind = x->kind, .key = x->key, .value = x->value, .value_len = x->value_len, .first = (uint32_t) n };
                for (size_t k = i; k < end; k++) /* once each: "a=b|b", two prefixes of one length */
                        if (k == i || e->entries[k].rule != e->entries[k - 1].rule)
                                s->numbers[n++] = e->entries[k].rule;
                run->n = (uint32_t) (n - run->first);
                while (s->table[slot] != 0)
                        slot = (slot + 1) & s->table_mask;
                s->table[slot] = (uint32_t) s->n_runs;
        }
        return 0;
}

static int make_index(RuleSet *s, const RuleList *l) {
        _cleanup_(entries_done) Entries e = {};
        int r = 0;

        for (size_t i = 0; i < l->n_rules; i++)
                for (size_t k = 0; k < l->rules[i].n_clauses; k++) {
                        s->uses_port = s->uses_port || streq(l->rules[i].clauses[k].key, TAG_PORT);
                        r = add_clause(&e, (uint32_t) i, l->rules[i].clauses + k, (uint32_t) k);
                        if (r < 0)
                                return r;
                }
        entries_sort(&e);
        for (size_t i = 0, end; i < e.n_entries; i = end) {
                end = run_end(&e, i);
                for (size_t k = i; k < end; k++)
                        e.entries[k].n_run = (uint32_t) (end - i);
        }
        r = choose_clauses(l, &e);
        if (r < 0)
                return r;
        entries_sort(&e);
        r = add_lengths(&e);
        if (r < 0)
                return r;
        entries_sort(&e);
        return make_table(s, &e);
}

int rule_set_new(RuleList *l, RuleSet **ret) {
        _cleanup_(rule_set_unrefp) RuleSet *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->n_refs = 1;
        r = make_index(s, l);
        if (r < 0)
                return r;
        s->list = *l;
        *l = (RuleList) {};
        *ret = TAKE_PTR(s);
        return 0;
}

RuleSet *rule_set_ref(RuleSet *s) {
        if (s)
                s->n_refs++;
        return s;
}

RuleSet *rule_set_unref(RuleSet *s) {
        if (!s || --s->n_refs > 0)
                return NULL;
        rule_list_done(&s->list);
        free(s->numbers);
        free(s->runs);
        free(s->table);
        free(s);
        return NULL;
}

size_t rule_set_size(const RuleSet *s) {
        return s ? s->list.n_rules : 0;
}

const Rule *rule_set_rule(const RuleSet *s, size_t i) {
        return i < rule_set_size(s) ? s->list.rules + i : NULL;
}

int rule_set_uses_port(const RuleSet *s) {
        return s && s->uses_port;
}

const uint32_t *rule_set_lookup(const RuleSet *s, RuleIndexKind kind, const char *key, const char *value, size_t value_len, size_t *ret_n) {
        size_t slot = hash(kind, key, value, value_len) & s->table_mask;

        for (; s->table[slot] != 0; slot = (slot + 1) & s->table_mask) {
                const Run *run = s->runs + s->table[slot] - 1;

                if (run->kind == kind && run->value_len == value_len && streq(run->key, key) && memcmp(run->value, value, value_len) == 0) {
                        *ret_n = run->n;
                        return s->numbers + run->first;
                }
        }
        *ret_n = 0;
        return NULL;
}
