/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Makes the token that a unit's SYNs and SYN-ACKs carry. */

#include <stdint.h>

#include "enforcer/keys.h"
#include "enforcer/peer.h"
#include "enforcer/unit.h"

#define UNIT_TOKEN_LIFE_SEC 600
#define UNIT_TOKEN_REFRESH_USEC (300 * USEC_PER_SEC) /* half its life: a token in force has five minutes left at least */

/* Sets u's token from its policy. -EMSGSIZE: its tags do not fit; -EACCES: the node's certificate does not let it say one of them; *ret_text says
 * which (yours; NULL when out of memory); -ENOMEM, -EIO. */
_must_use_ int unit_token_make(Unit *u, const Keys *keys, const PeerTime *time, char **ret_text);
