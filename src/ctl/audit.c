/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/audit.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/bus.h"
#include "util/log.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define CAPABILITY(c) (UINT64_C(1) << (c))

/* What the settings say of the processes. */
typedef struct Cage {
        bool root;                 /* they run as root, or may come to */
        bool protect_control_groups, delegate, no_new_privileges, no_bus;
        uint64_t bounding, ambient;
        bool families_allowed;     /* RestrictAddressFamilies= lists what is allowed, else what is not */
        bool packet_listed, vsock_listed;
} Cage;

static bool may_use(const Cage *c, unsigned capability) {
        return (c->bounding & CAPABILITY(capability)) && (c->root || (c->ambient & CAPABILITY(capability)));
}

static bool leaves_control_group(const Cage *c) {
        return (c->root || may_use(c, CAP_DAC_OVERRIDE)) && !c->protect_control_groups;
}

static bool has_delegate(const Cage *c) {
        return c->delegate;
}

static bool asks_systemd(const Cage *c) {
        return c->root && !c->no_bus;
}

static bool is_system_admin(const Cage *c) {
        return may_use(c, CAP_SYS_ADMIN);
}

static bool is_network_admin(const Cage *c) {
        return may_use(c, CAP_NET_ADMIN);
}

static bool traces_others(const Cage *c) {
        return may_use(c, CAP_SYS_PTRACE);
}

static bool opens_packet_sockets(const Cage *c) {
        return may_use(c, CAP_NET_RAW) && c->packet_listed == c->families_allowed;
}

static bool opens_vsock(const Cage *c) {
        return c->vsock_listed == c->families_allowed;
}

static bool becomes_root(const Cage *c) {
        return !c->root && !c->no_new_privileges;
}

static const struct {
        const char *id;
        bool (*found)(const Cage *c);
        const char *text, *setting;
} ways_out[] = {
        { "control-group", leaves_control_group, "it can move itself into another unit's control group", "ProtectControlGroups=yes" },
        { "delegate", has_delegate, "its control groups are its own to change", "Delegate=no" },
        { "systemd", asks_systemd, "as root it can have systemd start programs outside of it (systemd-run, su -)",
          "User=, or InaccessiblePaths=-/run/systemd/private -/run/dbus/system_bus_socket" },
        { "system-admin", is_system_admin, "it can mount, and enter other namespaces", "CapabilityBoundingSet=~CAP_SYS_ADMIN" },
        { "network-admin", is_network_admin, "it can redirect packets below the packet filter (tc, XDP)", "CapabilityBoundingSet=~CAP_NET_ADMIN" },
        { "trace", traces_others, "it can take over processes of other units", "CapabilityBoundingSet=~CAP_SYS_PTRACE" },
        { "packet-socket", opens_packet_sockets, "it can send frames by AF_PACKET, which no packet filter sees", "RestrictAddressFamilies=~AF_PACKET" },
        { "vsock", opens_vsock, "it can talk to the virtual machine's host, or to guests, by AF_VSOCK", "RestrictAddressFamilies=~AF_VSOCK" },
        { "setuid", becomes_root, "it can become root by a setuid program", "NoNewPrivileges=yes" },
};

/* ---- reading ---- */

static bool json_has(const json_t *array, const char *text) {
        json_t *v;
        size_t i;

        json_array_foreach(array, i, v)
                if (json_is_string(v) && streq(json_string_value(v), text))
                        return true;
        return false;
}

static bool paths_have(const json_t *array, const char *path) {
        json_t *v;
        size_t i;

        json_array_foreach(array, i, v) {
                const char *s = json_is_string(v) ? json_string_value(v) : "";

                s += strspn(s, "-+");
                if (streq(s, path) || (startswith(path, s) && path[strlen(s)] == '/'))
                        return true;
        }
        return false;
}

/* null: all bits set, which JSON's integers cannot say. */
static uint64_t json_bits(const json_t *properties, const char *key) {
        const json_t *v = json_object_get(properties, key);

        return json_is_null(v) ? UINT64_MAX : (uint64_t) json_integer_value(v);
}

static void cage_read(const json_t *p, Cage *ret) {
        const char *user = json_string_value(json_object_get(p, "User"));
        const json_t *families = json_object_get(p, "RestrictAddressFamilies"), *hidden = json_object_get(p, "InaccessiblePaths");
        const json_t *listed = json_array_get(families, 1);

        *ret = (Cage) {
                .root = !json_is_true(json_object_get(p, "DynamicUser")) && (!user || !*user || streq(user, "root") || streq(user, "0")),
                .protect_control_groups = json_is_true(json_object_get(p, "ProtectControlGroups")),
                .delegate = json_is_true(json_object_get(p, "Delegate")),
                .no_new_privileges = json_is_true(json_object_get(p, "NoNewPrivileges")),
                .no_bus = paths_have(hidden, "/run/systemd/private") && paths_have(hidden, "/run/dbus/system_bus_socket"),
                .bounding = json_bits(p, "CapabilityBoundingSet"),
                .ambient = json_bits(p, "AmbientCapabilities"),
                .families_allowed = json_is_true(json_array_get(families, 0)),
                .packet_listed = json_has(listed, "AF_PACKET"),
                .vsock_listed = json_has(listed, "AF_VSOCK"),
        };
}

/* One by one: GetAll() is some hundred of them, and not all can be said in JSON. */
static int read_service(sd_bus *bus, const char *unit, json_t **ret) {
        static const char *const names[] = { "User", "DynamicUser", "ProtectControlGroups", "Delegate", "NoNewPrivileges", "InaccessiblePaths",
                                             "CapabilityBoundingSet", "AmbientCapabilities", "RestrictAddressFamilies" };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_decrefp) json_t *properties = json_object();
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                json_t *v;

                r = sd_bus_call_method(bus, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "Get", &error, &reply, "ss", SYSTEMD_NAME ".Service", names[i]);
                if (r >= 0)
                        r = bus_message_to_json(reply, &v);
                if (r >= 0 && json_object_set_new(properties, names[i], v) < 0)
                        r = -ENOMEM;
        }
        if (r < 0)
                return log_error_errno(r, "Cannot ask systemd about %s%s%s", unit, error.message ? ": " : "", error.message ?: "");
        *ret = TAKE_PTR(properties);
        return 0;
}

int audit_unit(sd_bus *bus, const char *unit, json_t **ret) {
        _cleanup_(json_decrefp) json_t *properties = NULL, *found = json_array();
        const char *suffix = strrchr(unit, '.');
        Cage cage;
        int r;

        if (!found)
                return log_error_errno(-ENOMEM, "Cannot audit %s", unit);
        if (!suffix || !streq(suffix, ".service")) {
                *ret = TAKE_PTR(found);
                return 0;
        }
        r = read_service(bus, unit, &properties);
        if (r < 0)
                return r;
        cage_read(properties, &cage);
        for (size_t i = 0; i < ELEMENTSOF(ways_out); i++)
                if (ways_out[i].found(&cage) && json_array_append_new(found, json_pack("{s:s s:s s:s}", "id", ways_out[i].id, "text", ways_out[i].text,
                                                                                        "setting", ways_out[i].setting)) < 0)
                        return log_error_errno(-ENOMEM, "Cannot audit %s", unit);
        *ret = TAKE_PTR(found);
        return 0;
}
