/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The drop-in of triremectl label. On trial it stands where it shadows the one in /etc and where no reboot finds it again. */

#include <systemd/sd-bus.h>

#include "util/clock.h"
#include "util/macro.h"

#define LABEL_ETC "/etc/systemd/system"
#define LABEL_RUNTIME "/run/systemd/system"
#define LABEL_TRIAL "/run/systemd/system.control"
#define LABEL_DROPIN "50-trireme-label.conf"

/* Each says itself what went wrong, and returns a negative errno. */
_must_use_ int label_write(const char *base, const char *unit, const char *text);
_must_use_ int label_reload(sd_bus *bus); /* and waits until that is in force */
/* PID 1 takes the trial back after this time, whatever becomes of us. */
_must_use_ int label_start_trial(sd_bus *bus, const char *unit, usec_t usec);
void label_stop_trial(sd_bus *bus, const char *unit);
