/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Growing arrays without a capacity field: it is always n rounded up to a power of two. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline bool array_grow(void **array, size_t n, size_t element_size) {
        void *p;

        if ((n & (n - 1)) != 0) /* not a power of two, nor 0: there is room */
                return true;
        p = reallocarray(*array, n > 0 ? 2 * n : 1, element_size);
        if (!p)
                return false;
        *array = p;
        return true;
}

/* Makes room for one element more behind the n there are; false: no memory. An array that lost elements may be bigger than it needs to be, never smaller. */
#define ARRAY_GROW(array, n) ({ void *_a = (array); bool _ok = array_grow(&_a, (n), sizeof(*(array))); (array) = _a; _ok; })
