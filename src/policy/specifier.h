/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "util/macro.h"

/* What %n %N %p %i %j (from unit), %H and %m stand for; NULL where it is not known. Borrowed. */
typedef struct UnitSpecifiers {
        const char *unit;       /* "foo@bar.service" */
        const char *hostname;
        const char *machine_id;
} UnitSpecifiers;

/* Expands the specifiers of one word. What comes out of a specifier never has a character with a meaning in clauses, so that an instance name cannot add a value or
 * a wildcard. -EINVAL with *ret_fault (static text), -ENOMEM. */
_must_use_ int specifier_expand(const char *word, const UnitSpecifiers *s, char **ret, const char **ret_fault);
