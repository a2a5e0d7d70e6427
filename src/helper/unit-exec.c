/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/unit-exec.h"

#include <errno.h>

/* What does not fit is left out: a setting cut short would be another one. */
static bool copy(char *dest, size_t size, const char *s) {
        if (strlen(s) >= size)
                return false;
        memcpy(dest, s, strlen(s) + 1);
        return true;
}

static int read_string(sd_bus_message *m, char *dest, size_t size, bool *ret_fits) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        if (k >= 0)
                *ret_fits = copy(dest, size, s);
        return k;
}

static int on_start(UnitExec *e, sd_bus_message *m) {
        const char *path;
        int k = sd_bus_message_enter_container(m, 'v', "a(sasbttttuii)");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");
        while (k >= 0 && (k = sd_bus_message_enter_container(m, 'r', "sasbttttuii")) > 0) {
                k = sd_bus_message_read(m, "s", &path);
                if (k >= 0 && !e->start[0])
                        (void) copy(e->start, sizeof(e->start), path);
                if (k >= 0)
                        k = sd_bus_message_skip(m, "asbttttuii");
                if (k >= 0)
                        k = sd_bus_message_exit_container(m);
        }
        if (k >= 0)
                k = sd_bus_message_exit_container(m);
        return k < 0 ? k : sd_bus_message_exit_container(m);
}

static int on_root_directory(UnitExec *e, sd_bus_message *m) {
        bool fits = true;
        int k = read_string(m, e->root_directory, sizeof(e->root_directory), &fits);

        e->other_root = e->other_root || !fits;
        return k;
}

static int on_root_image(UnitExec *e, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        e->other_root = e->other_root || (k >= 0 && s[0]);
        return k;
}

static int on_user(UnitExec *e, sd_bus_message *m) {
        bool fits;

        return read_string(m, e->user, sizeof(e->user), &fits);
}

static int on_group(UnitExec *e, sd_bus_message *m) {
        bool fits;

        return read_string(m, e->group, sizeof(e->group), &fits);
}

static int on_groups(UnitExec *e, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_enter_container(m, 'v', "as");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "s");
        while (k >= 0 && (k = sd_bus_message_read(m, "s", &s)) > 0) {
                if (e->n_groups < HELPER_GROUPS_MAX && copy(e->groups[e->n_groups], sizeof(e->groups[0]), s))
                        e->n_groups++;
                else
                        e->groups_cut = true;
        }
        if (k >= 0)
                k = sd_bus_message_exit_container(m);
        return k < 0 ? k : sd_bus_message_exit_container(m);
}

static int on_dynamic_user(UnitExec *e, sd_bus_message *m) {
        int dynamic, k = sd_bus_message_read(m, "v", "b", &dynamic);

        if (k >= 0)
                e->dynamic_user = dynamic;
        return k;
}

/* "(bs)": the flag says that a failure to set it is ignored, so the label is not certain. */
static int read_label(sd_bus_message *m, char *dest, size_t size) {
        const char *s;
        int ignore, k = sd_bus_message_read(m, "v", "(bs)", &ignore, &s);

        if (k >= 0 && !ignore)
                (void) copy(dest, size, s);
        return k;
}

static int on_selinux(UnitExec *e, sd_bus_message *m) {
        return read_label(m, e->selinux, sizeof(e->selinux));
}

static int on_apparmor(UnitExec *e, sd_bus_message *m) {
        return read_label(m, e->apparmor, sizeof(e->apparmor));
}

int unit_exec_read(UnitExec *e, const char *property, sd_bus_message *m) {
        static const struct {
                const char *name;
                int (*read)(UnitExec *e, sd_bus_message *m);
        } properties[] = {
                { "ExecStart", on_start }, { "RootDirectory", on_root_directory }, { "RootImage", on_root_image }, { "User", on_user }, { "Group", on_group },
                { "SupplementaryGroups", on_groups }, { "DynamicUser", on_dynamic_user }, { "SELinuxContext", on_selinux }, { "AppArmorProfile", on_apparmor },
        };

        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                if (streq(property, properties[i].name))
                        return properties[i].read(e, m);
        return -ENOENT;
}
