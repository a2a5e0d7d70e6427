/* SPDX-License-Identifier: GPL-2.0-or-later */

/* audit: which labelled units could leave their cage, and the setting that closes each way out. */

#include <errno.h>
#include <stdio.h>

#include "ctl/agent.h"
#include "ctl/audit.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "util/log.h"

/* Appends {"unit", "ways_out"} to audits. */
static int audit_add(sd_bus *bus, const char *unit, json_t *audits) {
        json_t *found;
        int r = audit_unit(bus, unit, &found);

        if (r < 0)
                return r;
        if (json_array_append_new(audits, json_pack("{s:s s:o}", "unit", unit, "ways_out", found)) < 0)
                return log_error_errno(-ENOMEM, "Cannot audit %s", unit);
        return 0;
}

static int audit_named(sd_bus *bus, char **names, json_t *audits) {
        int r = 0;

        for (; r >= 0 && *names; names++) {
                _cleanup_free_ char *unit = NULL, *path = NULL;

                r = unit_name_mangle(*names, &unit);
                if (r >= 0) {
                        ctl_bus_real_name(bus, &unit);
                        r = ctl_bus_get_unit(bus, unit, &path); /* only labelled ones are in a cage */
                }
                if (r >= 0)
                        r = audit_add(bus, unit, audits);
        }
        return r;
}

static int audit_all(sd_bus *bus, json_t *audits) {
        _cleanup_(json_decrefp) json_t *units = NULL;
        json_t *unit;
        size_t i;
        int r = ctl_bus_list_units(bus, &units);

        if (r < 0)
                return r;
        json_array_foreach(units, i, unit) {
                r = audit_add(bus, json_string_value(json_object_get(unit, "unit")), audits);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The most ways out that one unit has. */
static size_t audit_worst(const json_t *audits) {
        size_t i, worst = 0;
        json_t *audit;

        json_array_foreach(audits, i, audit)
                worst = MAX(worst, json_array_size(json_object_get(audit, "ways_out")));
        return worst;
}

static void print_audits(const Options *o, const json_t *audits) {
        size_t i, j, n = 0;
        json_t *audit, *way;

        json_array_foreach(audits, i, audit) {
                const json_t *ways = json_object_get(audit, "ways_out");

                print_text(json_string_value(json_object_get(audit, "unit")));
                printf("%s\n", json_array_size(ways) == 0 ? ": no way out found" : "");
                json_array_foreach(ways, j, way) {
                        printf("  - %s\n      %s\n", json_string_value(json_object_get(way, "text")), json_string_value(json_object_get(way, "setting")));
                        n++;
                }
        }
        if (!o->no_legend)
                printf("\n%zu units, %zu ways out.\n", json_array_size(audits), n);
}

int verb_audit(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *audits = json_array();
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        int r = audits ? ctl_bus_open(o, &bus) : log_error_errno(-ENOMEM, "Cannot audit");

        if (r >= 0)
                r = argc > 1 ? audit_named(bus, argv + 1, audits) : audit_all(bus, audits);
        if (r < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                r = print_json(o, audits);
        else {
                pager = pager_open(o);
                print_audits(o, audits);
        }
        return r < 0 || audit_worst(audits) > o->threshold ? CTL_FAILED : CTL_OK;
}
