/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "enforcer/identity.h"

/* From what was found out to tags. facts NULL: only what the unit's name says. libraries NULL: not known. *ret_families: those of which everything is known; the others have no tag. */
_must_use_ int identity_tags_make(Manager *m, const char *unit, const IdentityFacts *facts, const Libraries *libraries, TagSet *ret, uint16_t *ret_families);

/* "user-1000.slice" -> 1000; -EINVAL for another name. */
_must_use_ int identity_uid_of_slice(const char *unit, uint32_t *ret);
