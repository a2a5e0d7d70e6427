/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where systemd puts a unit's control group (src/core/unit.c: unit_default_cgroup_path(), src/basic/cgroup-util.c: cg_slice_to_path(),
 * cg_escape()), and the directories themselves. Paths are below the root of the cgroup2 hierarchy and begin with "/"; the root is "". */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

/* slice: the unit's Slice= ("" or "-.slice": the root); for a slice unit it is not used. -EINVAL: not a unit name, or not of a type that has a control group;
 * -ENAMETOOLONG. */
_must_use_ int cgroup_path_of_unit(const char *unit, const char *slice, char ret[static HELPER_CGROUP_MAX]);
/* The last component as a unit name: undoes the escaping. Returns a pointer into path. */
const char *cgroup_unit_of_path(const char *path);
uint32_t cgroup_level(const char *path);
int unit_name_is_valid(const char *name); /* 1 or 0; of the types that have a control group and can be a processing unit */

/* An O_PATH descriptor of the cgroup2 root, wherever it is mounted; -ENOENT. */
_must_use_ int cgroup_root_open(void);
/* The directory's inode number, which is the cgroup id; -ENOENT. */
_must_use_ int cgroup_id(int root_fd, const char *path, uint64_t *ret);
/* Makes each missing level. */
_must_use_ int cgroup_make(int root_fd, const char *path, uint64_t *ret_id);
/* Calls back for each control group below path ("": the root), one before those in it, with its depth below path from 1 on, and by its name in the directory at. The callback returns 0, 1 to leave out those
 * in it, or a negative errno, which ends the walk and becomes its result. -ELOOP: done, but something CGROUP_DEPTH_MAX deep has more below it. What goes meanwhile may be left out. */
#define CGROUP_DEPTH_MAX 32u
typedef int (*CgroupCallback)(uint64_t id, uint32_t depth, int at, const char *name, void *userdata);
_must_use_ int cgroup_walk(int root_fd, const char *path, CgroupCallback callback, void *userdata);
/* Is there a process in the group or below it? Of one that is no more: 0. cgroup: where it is, should that be known, otherwise "", and then all are looked through. */
_must_use_ int cgroup_is_populated(int root_fd, uint64_t id, const char *cgroup);
/* How many groups below it are gone, but still used, by sockets for example (nr_dying_descendants of cgroup.stat). */
_must_use_ int cgroup_count_dying(int root_fd, const char *path, uint64_t *ret);
/* The cgroup2 path of a process; -ESRCH. */
_must_use_ int cgroup_of_pid(pid_t pid, char ret[static HELPER_CGROUP_MAX]);
