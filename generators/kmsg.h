/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Messages of a generator. It has no journal: PID 1 waits for it, so that only the kernel's ring buffer is there. */

#include <stdbool.h>

#include "util/macro.h"

enum { KMSG_ERR = 3, KMSG_WARNING = 4 };

void kmsg_setup(bool to_stderr);
void kmsg_log(int level, const char *format, ...) _printf_(2, 3);
