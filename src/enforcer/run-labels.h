/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Labels of the scopes that triremectl run made: one small file a scope in the runtime directory, so that a restarted enforcer knows them. */

#include "enforcer/manager.h"
#include "policy/tags.h"

#define RUN_UNIT_PREFIX "trireme-run-"

/* 1 and the text ("k=v", one a line), 0: not such a scope or none known, negative errno. */
_must_use_ int run_labels_read(const Manager *m, const char *unit, char **ret);
_must_use_ int run_labels_parse(const char *text, TagSet *ret);
_must_use_ int run_labels_write(const Manager *m, const char *unit, char *const *labels);
void run_labels_remove(const Manager *m, const char *unit);
