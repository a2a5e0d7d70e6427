/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/index.h"

#include <errno.h>

static uint64_t bit(uint32_t index) {
        return UINT64_C(1) << (index % 64);
}

int index_reserve(IndexPool *p, uint32_t index) {
        if (index < 1 || index > UNIT_INDEX_MAX)
                return -ERANGE;
        if (p->used[index / 64] & bit(index))
                return -EBUSY;
        p->used[index / 64] |= bit(index);
        p->n_used++;
        return 0;
}

int index_take(IndexPool *p, uint32_t *ret) {
        uint32_t index = p->last % UNIT_INDEX_MAX;

        if (p->n_used >= UNIT_INDEX_MAX)
                return -ENOSPC;
        do /* index runs from 0, numbers from 1 */
                index = (index % UNIT_INDEX_MAX) + 1;
        while (index_reserve(p, index) < 0);
        p->last = index;
        *ret = index;
        return 0;
}

void index_release(IndexPool *p, uint32_t index) {
        if (index < 1 || index > UNIT_INDEX_MAX || !(p->used[index / 64] & bit(index)))
                return;
        p->used[index / 64] &= ~bit(index);
        p->n_used--;
}
