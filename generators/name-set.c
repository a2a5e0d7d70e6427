/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "name-set.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static size_t pair_hash(const char *name, const char *value) {
        uint32_t h = 2166136261u; /* FNV-1a: names are root's own, nobody floods this */

        for (; *name; name++)
                h = (h ^ (uint8_t) *name) * 16777619u;
        h = (h ^ '=') * 16777619u;
        for (; *value; value++)
                h = (h ^ (uint8_t) *value) * 16777619u;
        return h;
}

/* The slot of the pair, or the free slot where it belongs. */
static unsigned *slot_find(const NameSet *s, const char *name, const char *value) {
        for (size_t i = pair_hash(name, value) & (s->n_slots - 1);; i = (i + 1) & (s->n_slots - 1)) {
                const NamePair *p = s->slots[i] ? &s->pairs[s->slots[i] - 1] : NULL;

                if (!p || (streq(p->name, name) && streq(p->value, value)))
                        return &s->slots[i];
        }
}

static int set_grow(NameSet *s) {
        size_t n_slots = s->n_slots > 0 ? s->n_slots * 2 : 256;
        NamePair *pairs;
        unsigned *slots;

        pairs = reallocarray(s->pairs, n_slots / 2, sizeof(*pairs));
        if (!pairs)
                return -ENOMEM;
        s->pairs = pairs;
        slots = calloc(n_slots, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        free(s->slots);
        s->slots = slots;
        s->n_slots = n_slots;
        for (size_t i = 0; i < s->n_pairs; i++)
                *slot_find(s, pairs[i].name, pairs[i].value) = (unsigned) i + 1;
        return 0;
}

int name_set_add(NameSet *s, const char *name, const char *value) {
        _cleanup_free_ char *n = NULL, *v = NULL;
        unsigned *slot;

        if (s->n_pairs >= s->n_slots / 2 && set_grow(s) < 0)
                return -ENOMEM;
        slot = slot_find(s, name, value);
        if (*slot)
                return 0;
        n = strdup(name);
        v = strdup(value);
        if (!n || !v)
                return -ENOMEM;
        s->pairs[s->n_pairs++] = (NamePair) { TAKE_PTR(n), TAKE_PTR(v) };
        *slot = (unsigned) s->n_pairs;
        return 1;
}

void name_set_done(NameSet *s) {
        for (size_t i = 0; i < s->n_pairs; i++) {
                free(s->pairs[i].name);
                free(s->pairs[i].value);
        }
        free(s->pairs);
        free(s->slots);
        *s = (NameSet) {};
}
