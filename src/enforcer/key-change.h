/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The keys in force: read at the start, read anew on reload, judged again as time passes. A change of them loses no connection that the new ones still allow. */

#include "enforcer/manager.h"

_must_use_ int key_change_start(Manager *m);

/* Credentials are copies that PID 1 made when a service started, so new ones come from trireme-credentials.service, which is started for it. done is called once, maybe before this
 * returns: 0, or -EINVAL with text (borrowed): the new keys cannot be used, those in force stay in force; or what went wrong. */
typedef void (*key_change_done_t)(Manager *m, int result, const char *text, void *userdata);
void key_change_reload(Manager *m, key_change_done_t done, void *userdata);

/* Time has passed, or the wall clock was set. */
void key_change_tick(Manager *m);
void key_change_stop(Manager *m);
