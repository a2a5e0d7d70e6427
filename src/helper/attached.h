/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The files that say "attached", one by the name of each unit whose start was prepared (AssertPathExists= of what trireme-generator(8) writes). One is there from the
 * end of an attach that prepared a start until the next attach begins or that life is over, so that no start passes that was not prepared: PID 1 may merge a start
 * into an attach that still met the life before. It holds the control group that the start will take, by id and path, so that the end of one life does not take away
 * what the next one has made. */

#include <stdbool.h>
#include <stdint.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

/* Each returns 0 or a negative errno; dir is where the files are. */
_must_use_ int attached_write(const char *dir, const char *unit, uint64_t cgroup_id, const char *cgroup);
_must_use_ int attached_remove(const char *dir, const char *unit); /* also if there is none */
/* Has a start been prepared in this control group, by the file of that unit? */
bool attached_is(const char *dir, const char *unit, uint64_t cgroup_id);
/* The unit for which a start was prepared in this control group: unit itself, or if it is "" whoever it is. And is the directory still there, for PID 1 to start the
 * unit in? A file that does not say where it is counts as if it were. false: nobody, or it is not. */
bool attached_find(const char *dir, int cgroup_root_fd, const char *unit, uint64_t cgroup_id, char ret_unit[static HELPER_UNIT_NAME_MAX]);
/* That life is over: the files that speak of it are removed, of unit, or if it is "" of whoever has one. */
void attached_forget(const char *dir, const char *unit, uint64_t cgroup_id);
