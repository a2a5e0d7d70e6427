/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "core/unit-table.h"
#include "crypto/crypto.h"
#include "ipc/marks.h"

struct UnitTable {
        uint64_t generation;
        bool complete;
        uint32_t max_index;            /* highest index ever set: bounds the walks */
        Unit *units[UNIT_INDEX_MAX + 1];
};

int unit_table_new(UnitTable **ret) {
        UnitTable *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *ret = t;
        return 0;
}

UnitTable *unit_table_free(UnitTable *t) {
        if (!t)
                return NULL;
        for (uint32_t i = 0; i <= t->max_index; i++)
                free(t->units[i]);
        free(t);
        return NULL;
}

const Unit *unit_table_get(const UnitTable *t, uint32_t index) {
        return index <= UNIT_INDEX_MAX ? t->units[index] : NULL;
}

const Unit *unit_table_find_cgroup(const UnitTable *t, uint64_t cgroup_id) {
        for (uint32_t i = 1; i <= t->max_index; i++)
                if (t->units[i] && t->units[i]->cgroup_id == cgroup_id)
                        return t->units[i];
        return NULL;
}

int unit_table_set(UnitTable *t, const DatapathUnit *u) {
        Unit *unit;
        int r;

        if (u->index == 0 || u->index > UNIT_INDEX_MAX || u->token_len > DATAPATH_TOKEN_MAX)
                return -EINVAL;
        unit = calloc(1, sizeof(*unit) + u->token_len);
        if (!unit)
                return -ENOMEM;
        r = crypto_sha256(u->token, u->token_len, unit->token_hash);
        if (r < 0) {
                free(unit);
                return r;
        }
        unit->index = u->index;
        unit->flags = u->flags;
        unit->cgroup_id = u->cgroup_id;
        unit->generation = t->generation;
        unit->token_expires_usec = u->token_expires_usec;
        memcpy(unit->node_dh, u->node_dh, sizeof(unit->node_dh));
        unit->token_len = (uint16_t) u->token_len;
        memcpy(unit->token, u->token, u->token_len);
        free(t->units[u->index]);
        t->units[u->index] = unit;
        t->max_index = MAX(t->max_index, u->index);
        return 0;
}

void unit_table_remove(UnitTable *t, uint32_t index) {
        if (index > UNIT_INDEX_MAX)
                return;
        free(t->units[index]);
        t->units[index] = NULL;
}

bool unit_table_is_complete(const UnitTable *t) {
        return t->complete;
}

bool unit_table_is_former(const UnitTable *t, uint32_t index) {
        const Unit *u = unit_table_get(t, index);

        return u && u->generation != t->generation;
}

void unit_table_begin(UnitTable *t) {
        t->generation++;
}

void unit_table_end(UnitTable *t) {
        t->complete = true;
        for (uint32_t i = 1; i <= t->max_index; i++)
                if (t->units[i] && t->units[i]->generation != t->generation)
                        unit_table_remove(t, i);
}
