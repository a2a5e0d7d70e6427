/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For the tests of the sandboxes: makes system calls in a child that has entered one, with arguments that would do no harm. */

#include <stdbool.h>

typedef int (*try_enter_t)(void); /* NULL: no sandbox */
typedef long (*try_call_t)(const void *argument);

#define TRY_KILLED 0x1000 /* by the filter */

/* 0: the call succeeded; an errno; or TRY_KILLED. */
int try_call(try_enter_t enter, try_call_t call, const void *argument);

/* Refused by the filter, not by its arguments: without the sandbox its outcome is another one. */
bool try_is_refused(try_enter_t enter, try_call_t call, const void *argument);

/* System calls by name, all arguments -1. Returns how many were let through, and prints their names. Those that this kernel or machine refuses anyhow do not count. */
unsigned try_names(try_enter_t enter, const char *const *names);

extern const char *const try_never[]; /* what no process of ours may ever call */
