/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What PID 1's signals say of a unit. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

typedef struct UnitState {
        char active[16];            /* ActiveState= */
        char result[HELPER_RESULT_MAX]; /* Result= of a service; "" as long as it was not told */
        uint8_t invocation_id[16];
        uint32_t main_pid, job;     /* 0: none */
} UnitState;

/* Takes over what a PropertiesChanged mentions; the rest of *state stays. 1; 0: it is about something else; or a negative errno. */
_must_use_ int unit_state_read(sd_bus_message *m, UnitState *state);
/* Has the unit started or ended, or been given up before it was started, or another process its main one? A job of a unit that is active already changes nothing: each
 * start of a unit gives one to all that it requires. */
bool unit_state_differs(const UnitState *a, const UnitState *b);
/* Of a unit that PID 1 has just loaded, and not started: to ask about it would load it anew once it is unloaded, which would be told like this, again and again. */
bool unit_state_is_blank(const UnitState *state);
