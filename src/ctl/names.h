/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What people type on the command line. Functions print what is wrong and return a negative errno. */

#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

/* "nginx" is nginx.service, as in systemctl; a name with a slash or other foreign character is refused. */
_must_use_ int unit_name_mangle(const char *name, char **ret);
/* Time span as in systemd.time(7): "90", "90s", "1min 30s", "2h", "infinity". Microseconds. */
_must_use_ int parse_span(const char *s, uint64_t *ret_usec);
/* Each is a label "k=v". */
_must_use_ int check_labels(const char *const *labels, size_t n_labels);
