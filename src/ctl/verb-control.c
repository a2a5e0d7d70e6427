/* SPDX-License-Identifier: GPL-2.0-or-later */

/* disarm, arm, reload. */

#include <inttypes.h>
#include <stdio.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "util/clock.h"
#include "util/log.h"

static int control(const Options *o, const char *what, const char *method, const uint64_t *usec) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r = ctl_bus_open(o, &bus);

        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, CTL_WAIT_USEC);
        if (r >= 0)
                r = usec ? ctl_bus_call(bus, what, method, NULL, "t", *usec) : ctl_bus_call(bus, what, method, NULL, NULL);
        return r < 0 ? CTL_FAILED : CTL_OK;
}

int verb_disarm(const Options *o, int argc, char **argv) {
        int r = control(o, "disarm", "Disarm", &o->usec);

        if (r != CTL_OK)
                return r;
        if (o->usec == USEC_INFINITY)
                log_notice("Nothing is enforced until triremectl arm.");
        else
                log_notice("Nothing is enforced for %" PRIu64 " seconds, or until triremectl arm.", (o->usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return r;
}

int verb_arm(const Options *o, int argc, char **argv) {
        return control(o, "arm", "Arm", NULL);
}

int verb_reload(const Options *o, int argc, char **argv) {
        return control(o, "reload", "Reload", NULL);
}
