/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* trireme.conf, trireme.conf.d and policy.d, read from where found-files.h looks. */

#include "policy/config.h"
#include "policy/policy-json.h"

/* root: "" or a prefix for tests. 0; -EINVAL: faults, *ret_text says which (yours); negative errno: cannot be read, *ret_text says which file. */
_must_use_ int config_load(const char *root, Config *ret, char **ret_text);
_must_use_ int policies_load(const char *root, PolicyBook *ret, char **ret_text);
