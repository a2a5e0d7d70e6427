/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Names of units and of their drop-in directories (systemd.unit(5)). A drop-in name is what stands before ".d": a unit name, a template (foo@.service), a prefix
 * (foo-.service) or a type (service). Pure. */

#include <stdbool.h>
#include <stddef.h>

#define UNIT_NAME_MAX 256 /* NUL included */

/* A unit that can be a processing unit, or a drop-in name for such: service, socket, slice, scope. */
bool unit_name_is_labellable(const char *name);
bool unit_name_has_suffix(const char *name, const char *suffix); /* suffix with its dot; the bare type counts too */
bool unit_name_is_instance_of(const char *name, const char *template);

/* Whether PID 1 reads NAME.d/ for unit. A unit with a specifier in its name is covered by whatever may come out of it. */
bool dropin_name_covers(const char *name, const char *unit);

/* The drop-in name of the sockets that trigger such a service by having its name. With accept, those with Accept=yes, which start an instance a connection.
 * False when there are none. */
bool dropin_name_to_socket(const char *service, bool accept, char ret[static UNIT_NAME_MAX]);
