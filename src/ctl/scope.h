/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A child of this process that waits until a labelled scope stands around it. Functions print what went wrong and return a negative errno. */

#include <sys/types.h>

#include "ctl/ctl.h"
#include "util/macro.h"

typedef struct Child {
        pid_t pid;
        int pidfd;
        int go; /* one byte lets it run; closed, it leaves */
} Child;

#define CHILD_INIT { -1, -1, -1 }

/* What the child does in its scope; the return value is its exit status. */
typedef int (*child_fn)(void *userdata);

_must_use_ int child_start(child_fn fn, void *userdata, Child *ret);
/* The scope stands, with the child in it and its labels in force, when this returns 0. ret_scope: its name, or NULL. */
_must_use_ int child_label(const Options *o, const CtlList *labels, const Child *c, char **ret_scope);
_must_use_ int child_go(const Child *c);
void child_done(Child *c); /* waits for its end */
