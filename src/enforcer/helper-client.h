/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the enforcer asks of the helper (ipc/helper-protocol.h). Requests go out in order and are answered in order of their completion; whoever needs the answer
 * gives a callback. Without a connection nothing is sent: on the next one everything is told anew. */

#include <stdint.h>

#include "enforcer/manager.h"

_must_use_ int helper_client_start(Manager *m, int fd); /* fd: connected socket or -1 */

/* userdata of an answer that concerns a unit is its index (units_find_index()), never a pointer: the unit may be gone by then. */
_must_use_ int helper_enforce(Manager *m, const Unit *u, link_answer_t answer);
_must_use_ int helper_close(Manager *m, const Unit *u, link_answer_t answer);
_must_use_ int helper_release(Manager *m, const Unit *u, link_answer_t answer); /* once nothing of it is left */
_must_use_ int helper_let_go(Manager *m, const char *unit, uint64_t cgroup_id, link_answer_t answer); /* it is not labelled; userdata is NULL */
/* Each HELPER_SOCKET of the unit is an answer with a message. */
_must_use_ int helper_list_sockets(Manager *m, const Unit *u, link_answer_t answer, void *userdata);
void helper_attach_done(Manager *m, const char *unit, int result, const char *reason);
void helper_local_accept(Manager *m, uint32_t client, uint32_t server, uint16_t port);
void helper_local_forget(Manager *m, uint32_t index);
void helper_send_config(Manager *m); /* options and networks */
/* The settings of some unit could not be read, and all are looked at once more, or about to be: until then it is not known, but not gone. */
bool helper_looks_again(const Manager *m);
void helper_list_units(Manager *m);  /* evaluates each that comes, then enforce_listed() */
_must_use_ int helper_request(Manager *m, HelperType type, const char *unit, uint64_t usec, link_answer_t answer, void *userdata);

_must_use_ int helper_open_library(Manager *m, const HelperLibrary *library, link_answer_t answer, void *userdata);
_must_use_ int helper_run_plugin(Manager *m, const HelperPlugin *plugin, link_answer_t answer, void *userdata);

/* For requests whose refusal can only be logged; userdata is a static string that names them. */
void helper_log_answer(Link *l, const LinkMessage *msg, int result, void *userdata);
Manager *helper_manager(Link *l);
