/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a plug-in prints: a line "KEY=VALUE" for each tag "@PLUG-IN:KEY"; empty lines; comments, of which "# host" says that all of it holds for every unit of this host. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/tags.h"

#define PLUGIN_OUTPUT_MAX 16384u
#define PLUGIN_TAGS_MAX 64u

/* -EINVAL: *ret_fault (static) says why, and nothing of it counts; -ENOMEM. */
_must_use_ int plugin_output_parse(const char *plugin, const char *text, size_t n, TagSet *ret, bool *ret_host, const char **ret_fault);
