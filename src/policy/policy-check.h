/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What in rules that are well-formed can hardly be meant: for triremectl policy check. */

#include "policy/acl.h"
#include "policy/config-file.h"
#include "policy/evaluate.h"
#include "policy/policy-json.h"

/* Each appends to *warnings; path is the name of the rule or entry. -ENOMEM. */
_must_use_ int policy_check_side(const PolicySide *side, ConfigErrors *warnings);
_must_use_ int policy_check_acl(const AclList *l, ConfigErrors *warnings);
_must_use_ int policy_check_book(const PolicyBook *b, ConfigErrors *warnings);
