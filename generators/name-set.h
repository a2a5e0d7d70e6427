/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An ordered set of pairs of unit names, looked up by the pair. A few hundred entries, made once, freed as a whole. */

#include <stdbool.h>
#include <stddef.h>

#include "util/macro.h"

typedef struct NamePair {
        char *name, *value; /* value "" where a plain set of names is meant */
} NamePair;

typedef struct NameSet {
        NamePair *pairs; /* in order of insertion; owned */
        size_t n_pairs;
        unsigned *slots; /* open addressing, index into pairs plus one */
        size_t n_slots;  /* a power of two */
} NameSet;

/* Returns 1 when added, 0 when it was there, -ENOMEM. */
_must_use_ int name_set_add(NameSet *s, const char *name, const char *value);
void name_set_done(NameSet *s);
