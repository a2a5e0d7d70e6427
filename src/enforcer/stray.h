/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Cgroup ids that the kernel's maps hold and no Unit bears: their units ended while there was no enforcer. They let nothing through, because the datapath
 * knows no token for their index; they go when no socket bears them. */

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Manager Manager;

typedef struct Stray {
        uint64_t cgroup_id;
        uint32_t index;  /* reserved in the pool, so that it does not come to mean another unit; 0: none */
        uint32_t number; /* names it in answers */
        uint32_t known;  /* its index in the maps, which another life of its unit may have, too; 0: none, then it is closed already */
        bool releasing;  /* the helper was asked whether it can be released */
} Stray;

typedef struct Strays {
        Stray *items;
        size_t n;
        uint32_t last_number;
} Strays;

/* On each connection to the helper, ahead of everything that makes Units. Until the units are listed nobody can say who is a stray. */
void strays_ask(Manager *m);
/* A Unit will bear this id. */
void strays_claim(Manager *m, uint64_t cgroup_id);
/* All units are evaluated: ask the helper to release each. */
void strays_release(Manager *m);
bool strays_have(const Manager *m, uint64_t cgroup_id);
void strays_clear(Manager *m);
