/* SPDX-License-Identifier: GPL-2.0-or-later */

/* label: writes a drop-in of its own beside those of the administrator, and reloads PID 1, which runs the generator. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/label.h"
#include "ctl/names.h"
#include "util/fd.h"
#include "util/log.h"

/* Quoted as systemd.syntax(7) says, so that a value may hold spaces; '%' would begin a specifier. */
static void write_word(FILE *f, const char *s) {
        fputc('"', f);
        for (; *s; s++) {
                if (*s == '"' || *s == '\\' || *s == '%')
                        fputc(*s == '%' ? '%' : '\\', f);
                fputc(*s, f);
        }
        fputc('"', f);
}

static char *dropin_text(char **labels, int n_labels) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        fputs("# Written by triremectl label\n[X-Trireme]\nTriremeLabels=", f);
        for (int i = 0; i < n_labels; i++) {
                if (i > 0)
                        fputc(' ', f);
                write_word(f, labels[i]);
        }
        fputc('\n', f);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* A file that is there is replaced in one step: a reload in between sees the old labels or the new ones. */
static int replace_file(int dir_fd, const char *name, const char *text) {
        static const char temporary[] = "." LABEL_DROPIN ".tmp";
        _cleanup_close_ int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        ssize_t n;
        int r = 0;

        if (fd < 0)
                return -errno;
        n = write(fd, text, strlen(text));
        if (n < 0 || (size_t) n < strlen(text))
                r = n < 0 ? -errno : -ENOSPC;
        else if (fchmod(fd, 0644) < 0 || fsync(fd) < 0 || renameat(dir_fd, temporary, dir_fd, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(dir_fd, temporary, 0);
        return r;
}

int label_write(const char *base, const char *unit, const char *text) {
        _cleanup_close_ int dir_fd = -1;
        char dir[512];
        int r;

        (void) snprintf(dir, sizeof(dir), "%s/%s.d", base, unit);
        if ((mkdir(base, 0755) < 0 && errno != EEXIST) || (mkdir(dir, 0755) < 0 && errno != EEXIST))
                return log_error_errno(errno, "Cannot create %s", dir);
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return log_error_errno(errno, "Cannot open %s", dir);
        r = replace_file(dir_fd, LABEL_DROPIN, text);
        if (r < 0)
                return log_error_errno(r, "Cannot write %s/" LABEL_DROPIN, dir);
        printf("Wrote %s/" LABEL_DROPIN "\n", dir);
        return 0;
}

static bool is_not_there(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

/* PID 1 has read them when its reload returns, the enforcer a moment later. It is not started for this: where it does not run, no labelled unit does, or all are closed. */
static int wait_until_in_force(sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "Settle");

        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call(bus, m, CTL_WAIT_USEC, &error, NULL);
        if (is_not_there(&error))
                return 0;
        return r < 0 ? ctl_bus_error(r, &error, "wait until the labels, which are written, are in force") : 0;
}

int label_reload(sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reload", &error, NULL, NULL);
        return r < 0 ? ctl_bus_error(r, &error, "reload the units (try systemctl daemon-reload)") : wait_until_in_force(bus);
}

/* A drop-in of a unit that is not there is a typing error more often than not. Templates cannot be asked about. */
static void tell_if_missing(sd_bus *bus, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *state = NULL;
        const char *path;

        if (sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "LoadUnit", NULL, &reply,
                               "s", unit) < 0 || sd_bus_message_read(reply, "o", &path) < 0)
                return;
        if (sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "LoadState", NULL, &state) >= 0 &&
            streq(state, "not-found"))
                log_warning("There is no %s yet.", unit);
}

static bool is_active(sd_bus *bus, const char *unit) {
        _cleanup_free_ char *path = NULL, *state = NULL;

        return sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0 &&
               sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "ActiveState", NULL, &state) >= 0 && streq(state, "active");
}

/* Of a unit that runs: is it protected now, or turned away from everything? Of one that does not, its start will tell. */
static void tell_what_holds(sd_bus *bus, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *unit = strdup(name), *state = NULL, *reason = NULL;
        const char *path;
        int r = unit ? 0 : -ENOMEM;

        if (r >= 0) {
                ctl_bus_real_name(bus, &unit);
                r = sd_bus_message_new_method_call(bus, &m, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "GetUnit");
        }
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", unit);
        if (r < 0)
                return;
        r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r < 0 && is_not_there(&error) && is_active(bus, unit))
                log_notice("%s runs as before: Trireme does not run yet, and labels hold from the unit's next start on.", unit);
        if (r < 0 || sd_bus_message_read(reply, "o", &path) < 0 ||
            sd_bus_get_property_string(bus, TRIREME_NAME, path, TRIREME_UNIT, "State", NULL, &state) < 0 ||
            sd_bus_get_property_string(bus, TRIREME_NAME, path, TRIREME_UNIT, "Reason", NULL, &reason) < 0)
                return;
        if (streq(state, "denied"))
                log_warning("%s is denied everything: %s", unit, reason);
}

/* The timer first: from then on nothing can lock out whoever types this for longer. */
static int label_try(const Options *o, sd_bus *bus, const char *unit, const char *text) {
        if (label_start_trial(bus, unit, o->confirm_usec) < 0)
                return CTL_FAILED;
        if (label_write(LABEL_TRIAL, unit, text) < 0) {
                label_stop_trial(bus, unit);
                return CTL_FAILED;
        }
        log_notice("On trial for %" PRIu64 " seconds. To keep it: triremectl confirm %s", (o->confirm_usec + USEC_PER_SEC - 1) / USEC_PER_SEC, unit);
        if (label_reload(bus) < 0)
                return CTL_FAILED;
        tell_if_missing(bus, unit);
        tell_what_holds(bus, unit);
        return CTL_OK;
}

int verb_label(const Options *o, int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *unit = NULL, *text = NULL;

        if (o->host || o->machine) {
                log_error("label writes a file of this host; run it there, with ssh or machinectl shell.");
                return CTL_FAILED;
        }
        if (unit_name_mangle(argv[1], &unit) < 0 || check_labels((const char *const *) argv + 2, (size_t) argc - 2) < 0)
                return CTL_FAILED;
        if (o->confirm_usec != 0 && o->runtime) {
                log_error("--confirm= and --runtime do not go together: what is confirmed stays.");
                return CTL_FAILED;
        }
        text = dropin_text(argv + 2, argc - 2);
        if (!text) {
                log_error_errno(-ENOMEM, "Cannot label %s", unit);
                return CTL_FAILED;
        }
        if (ctl_bus_open(o, &bus) < 0)
                return CTL_FAILED;
        if (o->confirm_usec != 0)
                return label_try(o, bus, unit, text);
        if (label_write(o->runtime ? LABEL_RUNTIME : LABEL_ETC, unit, text) < 0 || label_reload(bus) < 0)
                return CTL_FAILED;
        tell_if_missing(bus, unit);
        tell_what_holds(bus, unit);
        return CTL_OK;
}
