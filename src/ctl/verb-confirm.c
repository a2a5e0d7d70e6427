/* SPDX-License-Identifier: GPL-2.0-or-later */

/* confirm, revert: how a trial of labels (label --confirm=) ends. Who locked himself out cannot confirm, so a timer of PID 1 calls revert. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/ctl.h"
#include "ctl/label.h"
#include "ctl/names.h"
#include "util/fd.h"
#include "util/log.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define TEXT_MAX 65536u

typedef struct TrialNames {
        char timer[300], service[300];
} TrialNames;

static TrialNames trial_names(const char *unit) {
        TrialNames names;

        (void) snprintf(names.timer, sizeof(names.timer), "trireme-confirm-%s.timer", unit);
        (void) snprintf(names.service, sizeof(names.service), "trireme-confirm-%s.service", unit);
        return names;
}

static int append_service(sd_bus_message *m, const char *service, const char *unit) {
        char self[512];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        int r;

        if (n < 0)
                return -errno;
        self[n] = '\0';
        r = sd_bus_message_open_container(m, 'a', "(sa(sv))");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa(sv))", service, 2,
                                          "Description", "s", "Trireme: Labels Were Not Confirmed",
                                          "ExecStart", "a(sasb)", 1, self, 3, self, "revert", unit, false);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int label_start_trial(sd_bus *bus, const char *unit, usec_t usec) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const TrialNames names = trial_names(unit);
        int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", names.timer, "fail");
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sv)", 4,
                                          "Description", "s", "Trireme: Labels on Trial",
                                          "TimersMonotonic", "a(st)", 1, "OnActiveSec", usec,
                                          "AccuracyUSec", "t", USEC_PER_SEC / 10,
                                          "RemainAfterElapse", "b", false);
        if (r >= 0)
                r = append_service(m, names.service, unit);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, NULL);
        if (r >= 0)
                return 0;
        if (sd_bus_error_has_name(&error, "org.freedesktop.systemd1.UnitExists"))
                log_error("Labels of %s are on trial already: triremectl confirm or revert it first.", unit);
        else
                (void) ctl_bus_error(r, &error, "start the timer that takes the labels back");
        return r;
}

void label_stop_trial(sd_bus *bus, const char *unit) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const TrialNames names = trial_names(unit);
        int r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", &error, NULL, "ss", names.timer, "replace");

        if (r < 0 && !sd_bus_error_has_name(&error, "org.freedesktop.systemd1.NoSuchUnit"))
                (void) ctl_bus_error(r, &error, "stop the timer that takes the labels back");
}

static void trial_path(const char *unit, char *ret, size_t size) {
        (void) snprintf(ret, size, LABEL_TRIAL "/%s.d/" LABEL_DROPIN, unit);
}

static int trial_read(const char *unit, char **ret) {
        _cleanup_free_ char *text = calloc(1, TEXT_MAX + 1);
        _cleanup_close_ int fd = -1;
        char path[512];
        ssize_t n;

        trial_path(unit, path, sizeof(path));
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT) {
                log_error("No labels of %s are on trial.", unit);
                return -ENOENT;
        }
        n = fd < 0 || !text ? -1 : read(fd, text, TEXT_MAX);
        if (n < 0)
                return log_error_errno(errno, "Cannot read %s", path);
        *ret = TAKE_PTR(text);
        return 0;
}

static int trial_remove(const char *unit) {
        char path[512];

        trial_path(unit, path, sizeof(path));
        if (unlink(path) < 0 && errno != ENOENT)
                return log_error_errno(errno, "Cannot remove %s", path);
        *strrchr(path, '/') = '\0';
        (void) rmdir(path); /* others may have settings there */
        return 0;
}

static int open_local(const Options *o, const char *name, char **ret_unit, sd_bus **ret_bus) {
        if (o->host || o->machine) {
                log_error("Labels are files of this host; run it there, with ssh or machinectl shell.");
                return -EINVAL;
        }
        if (unit_name_mangle(name, ret_unit) < 0)
                return -EINVAL;
        return ctl_bus_open(o, ret_bus);
}

int verb_confirm(const Options *o, int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *unit = NULL, *text = NULL;

        if (open_local(o, argv[1], &unit, &bus) < 0 || trial_read(unit, &text) < 0 || label_write(LABEL_ETC, unit, text) < 0)
                return CTL_FAILED;
        label_stop_trial(bus, unit);
        return trial_remove(unit) < 0 || label_reload(bus) < 0 ? CTL_FAILED : CTL_OK;
}

int verb_revert(const Options *o, int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *unit = NULL, *text = NULL;

        if (open_local(o, argv[1], &unit, &bus) < 0 || trial_read(unit, &text) < 0 || trial_remove(unit) < 0)
                return CTL_FAILED;
        label_stop_trial(bus, unit);
        log_notice("The labels of %s that were on trial are taken back.", unit);
        return label_reload(bus) < 0 ? CTL_FAILED : CTL_OK;
}
