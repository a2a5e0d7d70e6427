/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Structures with room for the longest names, kept without the zeros that they mostly are. Nothing is interpreted: what comes out is byte for byte what was put in. */

#include <stddef.h>

#include "util/macro.h"

typedef struct Packed Packed;

/* -ENOMEM. Free with free(). */
_must_use_ int packed_new(const void *bytes, size_t size, Packed **ret);
/* size is that of packed_new(). NULL: zeros. */
void packed_read(const Packed *p, void *ret, size_t size);
