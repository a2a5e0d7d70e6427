/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* org.trireme on the system bus: docs/org.trireme.5. Works, or rather waits, while there is no bus yet. */

#include "enforcer/manager.h"

#define BUS_NAME "org.trireme"
#define BUS_PATH "/org/trireme"
#define BUS_UNIT_PATH "/org/trireme/unit"
#define BUS_MANAGER_INTERFACE "org.trireme.Manager"
#define BUS_UNIT_INTERFACE "org.trireme.Unit"

extern const sd_bus_vtable bus_manager_vtable[];
extern const sd_bus_vtable bus_unit_vtable[];

_must_use_ int bus_start(Manager *m);
void bus_stop(Manager *m);
void bus_request_name(Manager *m);

void bus_emit_changed(Manager *m, const char *property);
void bus_emit_attached(Manager *m, const Unit *u);
void bus_emit_detached(Manager *m, const char *unit, const char *cause);
void bus_emit_denied(Manager *m, const Flow *f);
_must_use_ int bus_append_labels(sd_bus_message *reply, const TagSet *labels); /* as; NULL: empty */
_must_use_ int bus_append_flow(sd_bus_message *reply, const Flow *f, const Names *rules); /* a{sv} */

/* Finders of sd_bus_add_fallback_vtable() and sd_bus_add_node_enumerator(). */
int bus_unit_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error);
int bus_unit_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error);
