/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The bus as triremectl uses it: org.trireme(5). Functions print what went wrong and return a negative errno. */

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "ctl/ctl.h"
#include "util/clock.h"
#include "util/macro.h"

#define TRIREME_NAME "org.trireme"
#define TRIREME_PATH "/org/trireme"
#define TRIREME_MANAGER "org.trireme.Manager"
#define TRIREME_UNIT "org.trireme.Unit"

#define CTL_WAIT_USEC (90 * USEC_PER_SEC) /* for what a busy host takes its time to do */

/* Local system bus, or that of --host= or --machine=. */
_must_use_ int ctl_bus_open(const Options *o, sd_bus **ret);

/* Method of the manager; what is "list the units" in the message "Cannot list the units: ...". types: of the arguments that follow, or NULL. */
_must_use_ int ctl_bus_call(sd_bus *bus, const char *what, const char *method, sd_bus_message **ret, const char *types, ...);
/* Says what went wrong. Returns r. */
int ctl_bus_error(int r, const sd_bus_error *e, const char *what);

/* The name that PID 1 calls it by, in place of an alias (sshd.service); as it is, if PID 1 knows none of this name. */
void ctl_bus_real_name(sd_bus *bus, char **unit);
/* The object of a unit. */
_must_use_ int ctl_bus_get_unit(sd_bus *bus, const char *unit, char **ret_path);
/* One string that is JSON: Describe() of the manager (path TRIREME_PATH) or of a unit. */
_must_use_ int ctl_bus_describe(sd_bus *bus, const char *path, const char *interface, json_t **ret);
_must_use_ int ctl_bus_get_properties(sd_bus *bus, const char *path, const char *interface, json_t **ret);

/* Arrays of objects: the rows of "list", and of "flows", newest last. */
_must_use_ int ctl_bus_list_units(sd_bus *bus, json_t **ret);
_must_use_ int ctl_bus_list_flows(sd_bus *bus, uint32_t max, bool denied, json_t **ret);
#define CTL_FLOWS_ALL UINT32_MAX /* max: all that the enforcer remembers */

/* The value at the message's cursor, whatever its type: dictionaries with string keys become objects, arrays and structs arrays, bytes a string of hex digits. -EBADMSG. */
_must_use_ int bus_message_to_json(sd_bus_message *m, json_t **ret);
