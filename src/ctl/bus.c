/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/bus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

int ctl_bus_error(int r, const sd_bus_error *e, const char *what) {
        if (e && (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER)))
                log_error("Cannot %s: the enforcer is not on the bus. See systemctl status trireme.service.", what);
        else if (e && e->message)
                log_error("Cannot %s: %s", what, e->message);
        else
                log_error_errno(r, "Cannot %s", what);
        return r;
}

int ctl_bus_open(const Options *o, sd_bus **ret) {
        sd_bus *bus;
        int r;

        if (o->host)
                r = sd_bus_open_system_remote(&bus, o->host);
        else if (o->machine)
                r = sd_bus_open_system_machine(&bus, o->machine);
        else
                r = sd_bus_open_system(&bus);
        if (r < 0)
                return log_error_errno(r, "Cannot connect to the system bus");
        (void) sd_bus_set_allow_interactive_authorization(bus, !o->no_ask_password);
        *ret = bus;
        return 0;
}

int ctl_bus_call(sd_bus *bus, const char *what, const char *method, sd_bus_message **ret, const char *types, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = sd_bus_call_methodv(bus, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, method, &error, ret, types, ap);
        va_end(ap);
        return r < 0 ? ctl_bus_error(r, &error, what) : 0;
}

void ctl_bus_real_name(sd_bus *bus, char **unit) {
        _cleanup_free_ char *path = NULL, *id = NULL;
        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", *unit, &path);

        if (r >= 0)
                r = sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "Id", NULL, &id);
        if (r < 0 || !*id)
                return;
        free(*unit);
        *unit = TAKE_PTR(id);
}

int ctl_bus_get_unit(sd_bus *bus, const char *unit, char **ret_path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        char *p;
        int r = ctl_bus_call(bus, "find the unit", "GetUnit", &reply, "s", unit);

        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return ctl_bus_error(r, NULL, "find the unit");
        p = strdup(path);
        if (!p)
                return ctl_bus_error(-ENOMEM, NULL, "find the unit");
        *ret_path = p;
        return 0;
}

int ctl_bus_describe(sd_bus *bus, const char *path, const char *interface, json_t **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_error_t json_error;
        const char *text;
        json_t *v;
        int r = sd_bus_call_method(bus, TRIREME_NAME, path, interface, "Describe", &error, &reply, NULL);

        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return ctl_bus_error(r, &error, "read the state");
        v = json_loads(text, JSON_REJECT_DUPLICATES, &json_error);
        if (!v)
                return log_error_errno(-EBADMSG, "The enforcer's answer is not JSON (%s)", json_error.text);
        *ret = v;
        return 0;
}

int ctl_bus_get_properties(sd_bus *bus, const char *path, const char *interface, json_t **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_call_method(bus, TRIREME_NAME, path, "org.freedesktop.DBus.Properties", "GetAll", &error, &reply, "s", interface);

        if (r >= 0)
                r = bus_message_to_json(reply, ret);
        return r < 0 ? ctl_bus_error(r, &error, "read the properties") : 0;
}

int ctl_bus_list_units(sd_bus *bus, json_t **ret) {
        static const char *const keys[] = { "unit", "labels", "mode", "state", "reason", "cgroup", "cgroup_id", "object" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_decrefp) json_t *rows = NULL, *units = json_array();
        json_t *row;
        size_t i;
        int r = ctl_bus_call(bus, "list the units", "ListUnits", &reply, NULL);

        if (r >= 0)
                r = bus_message_to_json(reply, &rows);
        if (r < 0)
                return r;
        json_array_foreach(rows, i, row) {
                json_t *unit = json_object();

                if (!units || !unit || json_array_append_new(units, unit) < 0)
                        return log_error_errno(-ENOMEM, "Cannot list the units");
                for (size_t j = 0; j < ELEMENTSOF(keys); j++)
                        if (json_object_set(unit, keys[j], json_array_get(row, j)) < 0)
                                return log_error_errno(-EBADMSG, "Cannot list the units");
        }
        *ret = TAKE_PTR(units);
        return 0;
}

int ctl_bus_list_flows(sd_bus *bus, uint32_t max, bool denied, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = ctl_bus_call(bus, "list the connections", "ListFlows", &reply, "ub", max, (int) denied);

        if (r < 0)
                return r;
        r = bus_message_to_json(reply, ret);
        return r < 0 ? ctl_bus_error(r, NULL, "list the connections") : 0;
}
