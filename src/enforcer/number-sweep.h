/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Numbers of peers are bounded, and connections may live for ever: from time to time it is asked which numbers still stand in the mark of one. */

#include "enforcer/manager.h"

void number_sweep(Manager *m, usec_t now_usec); /* if it is time */
