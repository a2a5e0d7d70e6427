/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/slots.h"

#include <errno.h>

#include "util/array.h"

uint32_t slots_find(const Slots *s, uint32_t profile) {
        for (size_t i = 1; profile != 0 && i < s->n; i++)
                if (s->profiles[i] == profile)
                        return (uint32_t) i;
        return 0;
}

static int slots_grow(Slots *s) {
        if (s->n > SLOTS_MAX)
                return -ENOSPC;
        if (!ARRAY_GROW(s->profiles, s->n))
                return -ENOMEM;
        s->profiles[s->n++] = 0;
        return 0;
}

int slots_take(Slots *s, uint32_t profile) {
        size_t i;
        int k = 0;

        if (profile == 0 || slots_find(s, profile) != 0)
                return 0;
        for (i = 0; i < s->n; i++)
                if (s->profiles[i] == 0 && SLOT_IS_USABLE(i))
                        break;
        while (k >= 0 && (i >= s->n || !SLOT_IS_USABLE(i))) { /* up to the next usable one at the end */
                k = slots_grow(s);
                i = s->n - 1;
        }
        if (k < 0)
                return k;
        s->profiles[i] = profile;
        return 0;
}

int slots_put(Slots *s, uint32_t slot, uint32_t profile) {
        if (slot > SLOTS_MAX || !SLOT_IS_USABLE(slot))
                return -EINVAL;
        while (s->n <= slot) {
                int k = slots_grow(s);

                if (k < 0)
                        return k;
        }
        s->profiles[slot] = profile;
        return 0;
}

void slots_release(Slots *s, uint32_t profile) {
        uint32_t slot = slots_find(s, profile);

        if (slot != 0)
                s->profiles[slot] = 0;
}

void slots_done(Slots *s) {
        free(s->profiles);
        *s = (Slots) { 0 };
}
