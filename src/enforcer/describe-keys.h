/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "enforcer/keys.h"

/* What may be said about the keys in force: ids, names and dates, nothing secret. NULL: no memory. */
json_t *describe_keys(const Keys *k);
