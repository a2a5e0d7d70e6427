/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The executables in metadata.d. Their names become the namespaces of tags. */

#include <stdbool.h>
#include <stddef.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

#define PLUGINS_MAX 32u
#define PLUGIN_PATH_MAX 128u

/* Begins with a letter; small letters, digits, '-' only; not a namespace of ours. */
bool plugin_name_is_valid(const char *name);
/* Where it is: in /etc/trireme/metadata.d before /usr/lib/trireme/metadata.d. -ENOENT: nowhere, or masked; -EPERM: others than root can change it; -EACCES: not executable. */
_must_use_ int plugin_find(const char *name, char ret_path[static PLUGIN_PATH_MAX]);
/* The names of those that plugin_find() finds, each once. */
size_t plugin_list(char ret_names[static PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX]);
