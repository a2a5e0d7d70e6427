/* SPDX-License-Identifier: GPL-2.0-or-later */

/* list, status, show: what is enforced now. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/agent.h"
#include "ctl/audit.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "util/clock.h"
#include "util/log.h"

/* The states of units are what holds when it is armed. */
static void warn_if_disarmed(sd_bus *bus) {
        int armed;

        if (sd_bus_get_property_trivial(bus, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "Armed", NULL, 'b', &armed) >= 0 && !armed)
                log_warning("Trireme is disarmed: everything passes until triremectl arm.");
}

int verb_list(const Options *o, int argc, char **argv) {
        static const Column columns[] = {
                { "UNIT", "unit", 0.3, false }, { "MODE", "mode", 7, false }, { "STATE", "state", 9, false },
                { "LABELS", "labels", 0.4, true }, { "REASON", "reason", 0.2, true },
        };
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *units = NULL;
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        int r = ctl_bus_open(o, &bus);

        if (r >= 0)
                r = ctl_bus_list_units(bus, &units);
        if (r < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                return print_json(o, units) < 0 ? CTL_FAILED : CTL_OK;
        warn_if_disarmed(bus);
        pager = pager_open(o);
        return print_table(o, units, columns, ELEMENTSOF(columns), "units") < 0 ? CTL_FAILED : CTL_OK;
}

/* "yes" reads badly where the question is not in sight. */
static void print_sentence(const char *name, const char *text) {
        printf("%12s: %s\n", name, text);
}

/* Line by line, as policy check prints them. */
static void print_faults(const char *name, const char *faults) {
        while (faults && *faults) {
                size_t n = strcspn(faults, "\n");

                printf("%12s%c ", name, *name ? ':' : ' ');
                printf("%.*s\n", (int) n, faults);
                faults += n + (faults[n] == '\n');
                name = "";
        }
}

static void print_disarmed(const Options *o, json_t *until) {
        const usec_t now = clock_boottime_usec(), end = (usec_t) json_integer_value(until);

        if (json_is_null(until))
                print_sentence("Armed", "NO: everything passes until triremectl arm");
        else if (o->host || o->machine || end <= now) /* another host's clock */
                print_sentence("Armed", "NO: everything passes for a time, or until triremectl arm");
        else
                printf("%12s: NO: everything passes for %" PRIu64 " seconds more, or until triremectl arm\n", "Armed", (end - now + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

static void print_host(const Options *o, json_t *p) {
        const char *key_mode = json_string_value(json_object_get(p, "KeyMode")), *failure_mode = json_string_value(json_object_get(p, "FailureMode"));
        json_t *connected = json_object_get(p, "Connected"), *v;
        const char *name;

        print_field("Version", json_object_get(p, "Version"));
        if (json_is_true(json_object_get(p, "Armed")))
                print_sentence("Armed", "yes");
        else
                print_disarmed(o, json_object_get(p, "DisarmedUntil"));
        if (failure_mode && streq(failure_mode, "open"))
                print_sentence("FailureMode", "OPEN: without an enforcer everything passes");
        if (!key_mode || streq(key_mode, "none"))
                print_sentence("Key", "NONE: no connection between hosts can be authorized");
        else if (json_is_true(json_object_get(p, "KeyIsGroupSecret")))
                print_sentence("Key", "psk: a group secret, each holder of it can be any node, unit and label");
        else
                print_sentence("Key", key_mode);
        json_object_foreach(connected, name, v)
                print_sentence(name, json_is_true(v) ? "connected" : "NOT CONNECTED");
        print_faults("Clock", json_string_value(json_object_get(p, "ClockFault")));
        print_faults("Config", json_string_value(json_object_get(p, "ConfigFault")));
        print_faults("Policies", json_string_value(json_object_get(p, "PoliciesFault")));
        print_field("Units", json_object_get(p, "NUnits"));
        printf("\n");
}

/* A script that looks at nothing else learns here that everything passes. */
static int status_result(const json_t *armed) {
        if (!json_is_false(armed))
                return CTL_OK;
        if (fflush(stdout) != 0 || ferror(stdout)) /* main() says so only of what else went well */
                log_error("Cannot write all of the output.");
        return CTL_FAILED;
}

static int status_host(const Options *o, sd_bus *bus) {
        static const Column columns[] = {
                { "UNIT", "unit", 0.3, false }, { "STATE", "state", 9, false }, { "LABELS", "labels", 0.4, true }, { "REASON", "reason", 0.3, true },
        };
        _cleanup_(json_decrefp) json_t *state = NULL, *units = NULL;
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        int r;

        if (o->json != JSON_OFF) {
                r = ctl_bus_describe(bus, TRIREME_PATH, TRIREME_MANAGER, &state);
                if (r >= 0)
                        r = print_json(o, state);
                return r < 0 ? r : status_result(json_object_get(state, "armed"));
        }
        r = ctl_bus_get_properties(bus, TRIREME_PATH, TRIREME_MANAGER, &state);
        if (r >= 0)
                r = ctl_bus_list_units(bus, &units);
        if (r < 0)
                return r;
        pager = pager_open(o);
        print_host(o, state);
        r = print_table(o, units, columns, ELEMENTSOF(columns), "units");
        return r < 0 ? r : status_result(json_object_get(state, "Armed"));
}

static void print_unit(json_t *p) {
        static const struct { const char *title, *key; } fields[] = {
                { "Labels", "Labels" }, { "Mode", "Mode" }, { "State", "State" }, { "Reason", "Reason" }, { "CGroup", "ControlGroup" },
                { "Policy", "Policy" }, { "Accept", "Accept" }, { "Connect", "Connect" }, { "AcceptFrom", "AcceptFrom" }, { "ConnectTo", "ConnectTo" },
                { "Plug-ins", "PlugInFaults" }, { "Files", "Files" },
        };
        json_t *tag;
        size_t i;

        print_text(json_string_value(json_object_get(p, "Name")));
        printf("\n");
        for (i = 0; i < ELEMENTSOF(fields); i++)
                print_field(fields[i].title, json_object_get(p, fields[i].key));
        json_array_foreach(json_object_get(p, "Tags"), i, tag) {
                printf("%12s%c ", i == 0 ? "Tags" : "", i == 0 ? ':' : ' ');
                print_text(json_string_value(json_array_get(tag, 0)));
                printf("=");
                print_text(json_string_value(json_array_get(tag, 1)));
                printf("  (");
                print_text(json_string_value(json_array_get(tag, 2)));
                printf(")\n");
        }
}

static void print_ways_out(const json_t *ways) {
        json_t *way;
        size_t i;

        json_array_foreach(ways, i, way) {
                printf("%12s%c ", i == 0 ? "Ways out" : "", i == 0 ? ':' : ' ');
                printf("%s (%s)\n", json_string_value(json_object_get(way, "text")), json_string_value(json_object_get(way, "setting")));
        }
}

static int read_unit(const Options *o, sd_bus *bus, const char *name, json_t **ret) {
        _cleanup_free_ char *unit = NULL, *path = NULL;
        int r = unit_name_mangle(name, &unit);

        if (r < 0)
                return r;
        ctl_bus_real_name(bus, &unit);
        r = ctl_bus_get_unit(bus, unit, &path);
        if (r < 0)
                return r;
        return o->json != JSON_OFF ? ctl_bus_describe(bus, path, TRIREME_UNIT, ret) : ctl_bus_get_properties(bus, path, TRIREME_UNIT, ret);
}

int verb_status(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *unit = NULL, *ways_out = NULL;
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        int r = ctl_bus_open(o, &bus);

        if (r < 0)
                return CTL_FAILED;
        if (argc < 2) {
                r = status_host(o, bus);
                return r < 0 ? CTL_FAILED : r;
        }
        r = read_unit(o, bus, argv[1], &unit);
        if (r < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                return print_json(o, unit) < 0 ? CTL_FAILED : CTL_OK;
        r = audit_unit(bus, json_string_value(json_object_get(unit, "Name")), &ways_out);
        pager = pager_open(o);
        print_unit(unit);
        if (r >= 0) /* said already; the enforcer's own word is worth showing without systemd's */
                print_ways_out(ways_out);
        return CTL_OK;
}

int verb_show(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *unit = NULL;
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        const char *name;
        json_t *v;
        int r = ctl_bus_open(o, &bus);

        if (r >= 0)
                r = read_unit(o, bus, argv[1], &unit);
        if (r < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                return print_json(o, unit) < 0 ? CTL_FAILED : CTL_OK;
        pager = pager_open(o);
        json_object_foreach(unit, name, v) {
                _cleanup_free_ char *text = json_to_text(v);

                printf("%s=%s\n", name, text ?: "");
        }
        return CTL_OK;
}
