/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What PID 1 is going to execute for a unit, and as whom: the settings before the start. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

typedef struct UnitExec {
        char start[HELPER_PATH_MAX];          /* path of the first ExecStart=; empty: none, or too long */
        char root_directory[HELPER_PATH_MAX]; /* RootDirectory= */
        bool other_root;                      /* RootImage=, or a root directory that is too long: the path leads to what is not there yet */
        bool dynamic_user;
        char user[HELPER_NAME_MAX], group[HELPER_NAME_MAX];
        char groups[HELPER_GROUPS_MAX][64];
        uint32_t n_groups;
        bool groups_cut;
        char selinux[HELPER_NAME_MAX], apparmor[HELPER_NAME_MAX];
} UnitExec;

/* Reads the value of one property: ExecStart=, User= and so on; -ENOENT for another name. */
_must_use_ int unit_exec_read(UnitExec *e, const char *property, sd_bus_message *m);
