/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Requests that PID 1 must be asked for: each replies when PID 1 has answered, to the connection that asked. A negative errno means that
 * nothing was begun and the caller replies. */

#include "helper/manager.h"

_must_use_ int request_list_units(Manager *m, const HelperRequest *r);
_must_use_ int request_get_unit(Manager *m, const HelperRequest *r);
_must_use_ int request_open_unit_files(Manager *m, const HelperRequest *r);
_must_use_ int request_get_identity(Manager *m, const HelperRequest *r);
_must_use_ int request_run_plugin(Manager *m, const HelperPlugin *r);
_must_use_ int request_close_unit(Manager *m, const HelperUnitRequest *r);
/* RELEASE_UNIT of the control group in which a start of unit was prepared: -EBUSY while PID 1 may yet make that start. */
_must_use_ int request_release_prepared(Manager *m, const HelperRelease *r, const char *unit);
/* At once. -ENOENT */
_must_use_ int request_release(Manager *m, const char *unit, uint64_t cgroup_id);
_must_use_ int request_start_scope(Manager *m, const HelperScope *r, int pidfd);
