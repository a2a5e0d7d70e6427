/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Numbers for strings that travel as numbers: names of rules in decisions and flow records. A number keeps its meaning as long as the process lives. */

#include <stdint.h>

#include "util/macro.h"

#define NAMES_MAX 65536u  /* distinct rule names over all reloads; later ones share number 0, "none" */

typedef struct Names Names;
_must_use_ int names_new(Names **ret);
Names *names_free(Names *n);
DEFINE_CLEANUP(Names *, names_free);

uint32_t names_number(Names *n, const char *name);        /* 0: NULL, empty, out of memory or numbers */
const char *names_string(const Names *n, uint32_t number); /* "" for 0 and unknown ones. Borrowed from n. */
