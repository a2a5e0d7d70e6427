/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Stands in for the enforcer in test-ctl.py: org.trireme(5) with fixed answers. Each call that changes something is written to stdout as one line. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "ctl/bus.h"

#define NASTY "e\x1b[31mvil" /* what a hostile label would do to a terminal */

static int units(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "a(sasssssto)", 3,
                                          "nginx.service", 2, "app=web", "note=" NASTY, "enforce", "enforcing", "", "/system.slice/nginx.service", UINT64_C(4711),
                                          "/org/trireme/unit/nginx_2eservice",
                                          "bad.service", 0, "enforce", "denied", "bad-settings: x.conf:2: unknown key", "", UINT64_C(0),
                                          "/org/trireme/unit/nginx_2eservice",
                                          "system-a\\x2db.slice", 0, "observe", "observing", "", "/system.slice/system-a\\x2db.slice", UINT64_C(4712),
                                          "/org/trireme/unit/nginx_2eservice");
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int get_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        if (!streq(name, "nginx.service"))
                return sd_bus_error_setf(error, "org.trireme.NoSuchUnit", "Unit %s is not labelled.", name);
        return sd_bus_reply_method_return(m, "o", "/org/trireme/unit/nginx_2eservice");
}

/* One client that is let in to one port only. */
static bool is_slice(const char *unit) {
        const char *dot = strrchr(unit, '.');

        return dot && streq(dot, ".slice");
}

static int explain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *from, *to, *port;
        _cleanup_free_ char *json = NULL;
        json_t *v;
        int allowed, r = sd_bus_message_read(m, "sss", &from, &to, &port);

        if (r < 0)
                return r;
        allowed = streq(from, "app=web") || (is_slice(from) && streq(port, "5432/tcp"));
        v = json_pack("{s:b s:s s:n s:o s:{s:s s:[s] s:b s:s s:n s:s} s:{s:s s:[] s:b s:s s:s s:s}}", "allowed", allowed, "reason", allowed ? "same-label" : "no-rule", "rule",
                      "text", json_sprintf("port '%s'", port),
                      "client", "unit", strchr(from, '=') ? "" : from, "labels", "app=x", "allowed", 1, "reason", "same-label", "rule", "text", "first\nsecond",
                      "server", "unit", to, "labels", "allowed", 0, "reason", "no-rule", "rule", "x.conf:3", "text", "");
        json = v ? json_dumps(v, JSON_COMPACT) : NULL;
        json_decref(v);
        if (!json)
                return -ENOMEM;
        return sd_bus_reply_method_return(m, "bs", allowed, json);
}

static int append_flow(sd_bus_message *reply, uint64_t serial, const char *verdict, const char *label) {
        return sd_bus_message_append(reply, "a{sv}", 17,
                                     "time", "t", UINT64_C(1700000000123456), "verdict", "s", verdict, "reason", "s", "no-rule", "rule", "s", "x.conf:3",
                                     "source", "s", "fd00::1", "source_port", "q", 40000, "destination", "s", "192.0.2.1", "port", "q", 80,
                                     "protocol", "s", "tcp", "local_unit", "s", "nginx.service", "direction", "s", "accept", "peer_unit", "s", "", "peer_local", "b", false,
                                     "peer_labels", "as", 1, label, "claimed", "b", true, "translated", "b", false, "serial", "t", serial);
}

static int flows(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t *serial = userdata;
        uint32_t max;
        int denied, r = sd_bus_message_read(m, "ub", &max, &denied);

        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        ++*serial; /* one more at each question, so that following has something to follow */
        for (uint64_t i = *serial > max ? *serial - max + 1 : 1; r >= 0 && i <= *serial; i++)
                r = append_flow(reply, i, denied ? "reject" : "accept", max == UINT32_MAX && i == 1 ? "app=shop" : "app=" NASTY); /* a label that a rule can name */
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int describe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", "{\"who\":\"manager\"}");
}

static int describe_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", "{\"name\":\"nginx.service\",\"labels\":[\"app=web\"],\"policy\":\"\","
                                          "\"accept\":[\"same-label\"],\"connect\":[\"app=db @port=tcp/5432\"]}");
}

static int change(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t usec;

        if (streq(sd_bus_message_get_member(m), "Disarm")) {
                if (sd_bus_message_read(m, "t", &usec) < 0)
                        return -EBADMSG;
                printf("Disarm %llu\n", (unsigned long long) usec);
        } else
                printf("%s\n", sd_bus_message_get_member(m));
        if (streq(sd_bus_message_get_member(m), "Reload"))
                *(uint64_t *) userdata = 0; /* flows are counted anew, as after a restart */
        return sd_bus_reply_method_return(m, NULL);
}

static int start_run(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char path[64], line[256];
        const char *label;
        int fd, r = sd_bus_message_enter_container(m, 'a', "s");
        FILE *f;

        printf("StartRun");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &label)) > 0) {
                printf(" %s", label);
                if (streq(label, "app=refused")) {
                        printf("\n");
                        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Not with these labels.");
                }
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (startswith(line, "Pid:"))
                        printf(" pid=%ld", strtol(line + strlen("Pid:"), NULL, 10));
        printf("\n");
        if (f)
                fclose(f);
        return sd_bus_reply_method_return(m, "s", "trireme-run-0123.scope");
}

static int property(sd_bus *bus, const char *path, const char *interface, const char *name, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        if (streq(name, "Connected"))
                return sd_bus_message_append(reply, "a{sb}", 2, "helper", true, "datapath", false);
        if (streq(name, "Labels"))
                return sd_bus_message_append(reply, "as", 2, "app=web", "note=" NASTY);
        if (streq(name, "Tags"))
                return sd_bus_message_append(reply, "a(sss)", 1, "@sys:unit", "nginx.service", "systemd");
        if (streq(name, "InvocationID"))
                return sd_bus_message_append(reply, "ay", 2, 0xab, 0x01);
        if (streq(name, "DisarmedUntil"))
                return sd_bus_message_append(reply, "t", UINT64_MAX);
        if (streq(name, "Armed") || streq(name, "KeyIsGroupSecret"))
                return sd_bus_message_append(reply, "b", streq(name, "KeyIsGroupSecret"));
        return sd_bus_message_append(reply, "s", streq(name, "KeyMode") ? "psk" : streq(name, "Name") ? "nginx.service" : "enforcing");
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListUnits", NULL, "a(sasssssto)", units, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnit", "s", "o", get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Explain", "sss", "bs", explain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListFlows", "ub", "aa{sv}", flows, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Describe", NULL, "s", describe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Reload", NULL, NULL, change, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Disarm", "t", NULL, change, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Arm", NULL, NULL, change, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartRun", "ash", "s", start_run, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Armed", "b", property, 0, 0),
        SD_BUS_PROPERTY("DisarmedUntil", "t", property, 0, 0),
        SD_BUS_PROPERTY("KeyMode", "s", property, 0, 0),
        SD_BUS_PROPERTY("KeyIsGroupSecret", "b", property, 0, 0),
        SD_BUS_PROPERTY("Connected", "a{sb}", property, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Describe", NULL, "s", describe_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", property, 0, 0),
        SD_BUS_PROPERTY("Labels", "as", property, 0, 0),
        SD_BUS_PROPERTY("State", "s", property, 0, 0),
        SD_BUS_PROPERTY("InvocationID", "ay", property, 0, 0),
        SD_BUS_PROPERTY("Tags", "a(sss)", property, 0, 0),
        SD_BUS_VTABLE_END,
};

int main(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        uint64_t serial = 2;
        int r = sd_event_new(&event);

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, TRIREME_PATH, TRIREME_MANAGER, manager_vtable, &serial);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/org/trireme/unit/nginx_2eservice", TRIREME_UNIT, unit_vtable, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, TRIREME_NAME, 0);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0) {
                printf("ready\n");
                r = sd_event_loop(event);
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
