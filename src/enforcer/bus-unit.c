/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.trireme.Unit: one object a unit in force. bus.c has asked whether the caller may before anything here runs. */
#include <errno.h>
#include <stdio.h>

#include "enforcer/bus.h"
#include "enforcer/describe.h"
#include "enforcer/identity.h"

int bus_unit_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL;
        Manager *m = userdata;
        Unit *u;
        int r;

        r = sd_bus_path_decode(path, BUS_UNIT_PATH, &name);
        if (r <= 0)
                return r;
        u = units_find(&m->units, name);
        if (!u)
                return 0;
        *ret_found = u;
        return 1;
}

int bus_unit_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        const Manager *m = userdata;
        char **nodes = calloc(m->units.n_units + 1, sizeof(*nodes));
        size_t n = 0;

        if (!nodes)
                return -ENOMEM;
        for (const Unit *u = m->units.first; u; u = u->next) {
                if (u->remnant)
                        continue;
                nodes[n] = strdup(u->path);
                if (!nodes[n]) {
                        while (n > 0)
                                free(nodes[--n]);
                        free(nodes);
                        return -ENOMEM;
                }
                n++;
        }
        *ret_nodes = nodes;
        return 0;
}

int bus_append_labels(sd_bus_message *reply, const TagSet *labels) {
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (size_t i = 0; r >= 0 && labels && i < labels->n_tags; i++) {
                _cleanup_free_ char *text = tag_format(&labels->tags[i]);

                r = text ? sd_bus_message_append(reply, "s", text) : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define GETTER(name) \
        static int name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)

GETTER(get_name) {
        return sd_bus_message_append(reply, "s", ((const Unit *) userdata)->name);
}

GETTER(get_labels) {
        const Unit *u = userdata;

        return bus_append_labels(reply, u->policy ? &u->policy->labels : NULL);
}

GETTER(get_mode) {
        return sd_bus_message_append(reply, "s", unit_mode_in_force(userdata));
}

GETTER(get_state) {
        return sd_bus_message_append(reply, "s", unit_state_to_string(((const Unit *) userdata)->state));
}

GETTER(get_reason) {
        return sd_bus_message_append(reply, "s", ((const Unit *) userdata)->reason_text ?: "");
}

GETTER(get_cgroup) {
        return sd_bus_message_append(reply, "s", ((const Unit *) userdata)->info.cgroup);
}

GETTER(get_cgroup_id) {
        return sd_bus_message_append(reply, "t", ((const Unit *) userdata)->info.cgroup_id);
}

GETTER(get_invocation_id) {
        const Unit *u = userdata;

        return sd_bus_message_append_array(reply, 'y', u->info.invocation_id, sizeof(u->info.invocation_id));
}

GETTER(get_index) {
        return sd_bus_message_append(reply, "u", ((const Unit *) userdata)->index);
}

static int append_text(const char *text, void *userdata) {
        return sd_bus_message_append(userdata, "s", text);
}

static int append_rules(sd_bus_message *reply, const Unit *u, bool connect) {
        int r = sd_bus_message_open_container(reply, 'a', "s");

        if (r >= 0 && u->policy)
                r = describe_rules(u->policy, connect, append_text, reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_accept) {
        return append_rules(reply, userdata, false);
}

GETTER(get_connect) {
        return append_rules(reply, userdata, true);
}

GETTER(get_policy) {
        const Unit *u = userdata;

        return sd_bus_message_append(reply, "s", u->policy && u->policy->name ? u->policy->name : "");
}

static int append_acl(sd_bus_message *reply, const AclList *list) {
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (size_t i = 0; r >= 0 && list && i < list->n_entries; i++) {
                _cleanup_free_ char *text = acl_entry_text(&list->entries[i]);

                r = text ? sd_bus_message_append(reply, "s", text) : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_accept_from) {
        const Unit *u = userdata;

        return append_acl(reply, u->policy ? &u->policy->accept_from : NULL);
}

GETTER(get_connect_to) {
        const Unit *u = userdata;

        return append_acl(reply, u->policy ? &u->policy->connect_to : NULL);
}

GETTER(get_tags) {
        const Unit *u = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "(sss)");

        for (size_t i = 0; r >= 0 && u->policy && i < u->policy->tags.n_tags; i++) {
                const Tag *t = &u->policy->tags.tags[i];

                r = sd_bus_message_append(reply, "(sss)", t->key, t->value, unit_tag_origin(u, t));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_plugin_faults) {
        int r = sd_bus_message_open_container(reply, 'a', "s");

        if (r >= 0)
                r = identity_faults(userdata, append_text, reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(get_files) {
        const Unit *u = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (char **f = u->policy ? u->policy->files : NULL; r >= 0 && f && *f; f++)
                r = sd_bus_message_append(reply, "s", *f);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_describe(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r = describe_unit(userdata, &text);

        return r < 0 ? r : sd_bus_reply_method_return(call, "s", text);
}

const sd_bus_vtable bus_unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), method_describe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Labels", "as", get_labels, 0, 0),
        SD_BUS_PROPERTY("Mode", "s", get_mode, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, 0),
        SD_BUS_PROPERTY("ControlGroup", "s", get_cgroup, 0, 0),
        SD_BUS_PROPERTY("ControlGroupId", "t", get_cgroup_id, 0, 0),
        SD_BUS_PROPERTY("InvocationID", "ay", get_invocation_id, 0, 0),
        SD_BUS_PROPERTY("Index", "u", get_index, 0, 0),
        SD_BUS_PROPERTY("Policy", "s", get_policy, 0, 0),
        SD_BUS_PROPERTY("Accept", "as", get_accept, 0, 0),
        SD_BUS_PROPERTY("Connect", "as", get_connect, 0, 0),
        SD_BUS_PROPERTY("AcceptFrom", "as", get_accept_from, 0, 0),
        SD_BUS_PROPERTY("ConnectTo", "as", get_connect_to, 0, 0),
        SD_BUS_PROPERTY("Tags", "a(sss)", get_tags, 0, 0),
        SD_BUS_PROPERTY("PlugInFaults", "as", get_plugin_faults, 0, 0),
        SD_BUS_PROPERTY("Files", "as", get_files, 0, 0),
        SD_BUS_VTABLE_END,
};
