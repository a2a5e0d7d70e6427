/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* trireme.conf and trireme.conf.d: found as systemd finds such files. Of equal names /etc beats /run beats /usr/lib; an empty file or a link to /dev/null masks. */

#include "policy/config.h"

/* root: "" or a prefix for tests. 0; -EINVAL: faults, *ret_text says which (yours); negative errno: cannot be read, *ret_text says which file. */
_must_use_ int config_load(const char *root, Config *ret, char **ret_text);
