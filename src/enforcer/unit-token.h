/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Makes the token that a unit's SYNs and SYN-ACKs carry. */

#include <stdint.h>

#include "enforcer/keys.h"
#include "enforcer/peer.h"
#include "enforcer/unit.h"

/* Sets u's token from its policy. -EMSGSIZE: its tags do not fit; -EACCES: the node's certificate does not let it say one of them; *ret_text says
 * which (yours; NULL when out of memory); -ENOMEM, -EIO. */
_must_use_ int unit_token_make(Unit *u, const Keys *keys, const KeyTimes *times, const PeerTime *time, char **ret_text);
