/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Small numbers for profiles: the enforcer names a profile by any 31 bits, a unit's value in the maps has room for 14. Slot 0 is no profile's. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define PROFILE_MAX 0x7fffffffu
#define SLOTS_MAX 0x3fffu
/* A value that begins like PRIO_REQUEST or PRIO_VERDICT would be taken for one: these are left out. */
#define SLOT_IS_USABLE(slot) ((slot) != 0 && (slot) >> 9 != 0x0e)

typedef struct Slots {
        uint32_t *profiles; /* by slot; 0: free */
        size_t n;
} Slots;

uint32_t slots_find(const Slots *s, uint32_t profile);              /* 0: none */
_must_use_ int slots_take(Slots *s, uint32_t profile);              /* gives it one if it has none; -ENOSPC, -ENOMEM */
_must_use_ int slots_put(Slots *s, uint32_t slot, uint32_t profile); /* gives it this one, which nobody has; -EINVAL, -ENOMEM */
void slots_release(Slots *s, uint32_t profile);
void slots_done(Slots *s);
