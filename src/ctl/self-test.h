/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A labelled listener on the loopback, and who reaches it: what no reading of settings proves. */

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "util/macro.h"

typedef struct SelfTest {
        Attempt stranger; /* without labels: must fail */
        Attempt same;     /* with the listener's label: must connect */
        Attempt other;    /* with another: must fail */
} SelfTest;

/* Says what went wrong and returns a negative errno when it could not be tried. */
_must_use_ int self_test(const Options *o, SelfTest *ret);
