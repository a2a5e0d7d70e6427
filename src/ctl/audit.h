/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Ways out of the cage: what a unit's settings let its processes do that no packet filter can see, or that takes them out of their control group. From PID 1's own
 * word, over the same bus. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "util/macro.h"

/* Array of objects "id", "text" and "setting": what it is, and the setting that closes it. Empty for units without processes of their own (sockets, slices). Says what went wrong. */
_must_use_ int audit_unit(sd_bus *bus, const char *unit, json_t **ret);
