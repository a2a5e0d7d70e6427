/* SPDX-License-Identifier: GPL-2.0-or-later */

/* doctor: looks at what Trireme needs from this host, tries whether it does its work, and says what to do. */

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/output.h"
#include "ctl/self-test.h"
#include "util/log.h"

#define SYSTEMD_MIN 252u

typedef enum CheckResult { CHECK_OK, CHECK_WARN, CHECK_FAIL } CheckResult;

typedef struct Doctor {
        const Options *options;
        sd_bus *bus;
        json_t *state;  /* of the enforcer, as status --json=short prints it; NULL: it does not answer */
        char text[1024]; /* of the check under way */
} Doctor;

_printf_(3, 4) static CheckResult say(Doctor *d, CheckResult result, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(d->text, sizeof(d->text), format, ap);
        va_end(ap);
        return result;
}

static const char *state_text(const Doctor *d, const char *key) {
        return json_string_value(json_object_get(d->state, key)) ?: "";
}

static CheckResult check_kernel(Doctor *d) {
        unsigned major = 0, minor = 0;
        struct utsname u;

        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
                return say(d, CHECK_WARN, "its version cannot be read; 5.13 or newer is needed");
        if (major < 5 || (major == 5 && minor < 13)) /* nft_socket with "cgroupv2" came with it */
                return say(d, CHECK_FAIL, "%s is too old: 5.13 or newer is needed", u.release);
        return say(d, CHECK_OK, "%s", u.release);
}

static CheckResult check_cgroup(Doctor *d) {
        struct statfs s;

        if (statfs("/sys/fs/cgroup", &s) < 0 || s.f_type != CGROUP2_SUPER_MAGIC)
                return say(d, CHECK_FAIL, "/sys/fs/cgroup is not version 2: boot with systemd.unified_cgroup_hierarchy=1");
        return say(d, CHECK_OK, "version 2");
}

static CheckResult check_systemd(Doctor *d) {
        _cleanup_free_ char *version = NULL;
        unsigned n = 0;

        if (sd_bus_get_property_string(d->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Version", NULL, &version) < 0 ||
            sscanf(version + strspn(version, "v"), "%u", &n) != 1)
                return say(d, CHECK_WARN, "its version cannot be read; %u or newer is needed", SYSTEMD_MIN);
        return n < SYSTEMD_MIN ? say(d, CHECK_FAIL, "%s is too old: %u or newer is needed", version, SYSTEMD_MIN) : say(d, CHECK_OK, "%s", version);
}

static CheckResult check_self_test(Doctor *d) {
        SelfTest t;

        if (!json_is_true(json_object_get(d->state, "armed")) || streq(state_text(d, "key_mode"), "none"))
                return say(d, CHECK_WARN, "not tried: %s", streq(state_text(d, "key_mode"), "none") ? "there is no key" : "disarmed");
        if (self_test(d->options, &t) < 0)
                return say(d, CHECK_FAIL, "could not be tried; the line before says why");
        if (t.stranger.error == 0)
                return say(d, CHECK_FAIL, "a stranger REACHED a labelled listener; see \"triremectl status\" and \"journalctl -u trireme-helper\"");
        if (t.other.error == 0)
                return say(d, CHECK_FAIL, "a unit with another label REACHED a labelled listener; see DefaultPolicy= and Mode= in trireme.conf(5)");
        if (t.same.error != 0)
                return say(d, CHECK_FAIL, "a unit with the same label did not reach a listener (%s); see \"triremectl flows --denied\"", strerror(t.same.error));
        return say(d, CHECK_OK, "same label let in, other label and stranger turned away (after %" PRIu64 " us)", t.stranger.usec);
}

static CheckResult check_enforcer(Doctor *d) {
        json_t *connected;

        if (ctl_bus_describe(d->bus, TRIREME_PATH, TRIREME_MANAGER, &d->state) < 0)
                return say(d, CHECK_FAIL, "does not answer; see \"systemctl status trireme.service\"");
        connected = json_object_get(d->state, "connected");
        if (!json_is_true(json_object_get(connected, "helper")))
                return say(d, CHECK_FAIL, "has no helper; see \"systemctl status trireme-helper.service\"");
        if (!json_is_true(json_object_get(connected, "datapath")))
                return say(d, CHECK_FAIL, "has no datapath; see \"systemctl status trireme-datapath.service\"");
        if (!json_is_true(json_object_get(d->state, "armed")))
                return say(d, CHECK_WARN, "disarmed: everything passes; \"triremectl arm\" ends that");
        return say(d, CHECK_OK, "armed, with helper and datapath");
}

static CheckResult check_configuration(Doctor *d) {
        const char *fault = *state_text(d, "config_fault") ? state_text(d, "config_fault") : state_text(d, "policies_fault");

        return *fault ? say(d, CHECK_FAIL, "%s", fault) : say(d, CHECK_OK, "no faults");
}

/* Where people put it: the directory of the manual, and what lies beside our own files. */
static const char *find_ca_key(void) {
        static const char *const files[] = { "/root/ca/ca.key", "/etc/credstore/ca.key", "/etc/credstore.encrypted/ca.key", "/etc/trireme/ca.key" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (access(files[i], F_OK) == 0)
                        return files[i];
        return NULL;
}

static CheckResult check_keys(Doctor *d) {
        static const char *const files[] = { "/etc/credstore/trireme.psk", "/etc/credstore/trireme.key" };
        const char *mode = state_text(d, "key_mode"), *ca_key = streq(mode, "pki") ? find_ca_key() : NULL;
        struct stat st;

        if (ca_key)
                return say(d, CHECK_FAIL, "%s is here, on a node: who takes this host over can be every node; move it to a machine that is none", ca_key);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (stat(files[i], &st) == 0 && (st.st_mode & 077))
                        return say(d, CHECK_FAIL, "%s can be read by others: chmod 0600, and think about a new one", files[i]);
        if (startswith(state_text(d, "key_fault"), "no key:") && json_array_size(json_object_get(d->state, "units")) == 0)
                return say(d, CHECK_WARN, "none yet: the first labelled unit makes one for this host alone; hosts that are to talk need the same");
        if (!*mode || streq(mode, "none"))
                return say(d, CHECK_FAIL, "%s", *state_text(d, "key_fault") ? state_text(d, "key_fault") : "there is none");
        return say(d, CHECK_OK, json_is_true(json_object_get(d->state, "key_is_group_secret")) ? "%s: a group secret, each holder can be any node, unit and label" : "%s", mode);
}

static CheckResult check_units(Doctor *d) {
        size_t i, n_denied = 0, n_observing = 0, len = 0;
        char names[512] = "";
        json_t *unit;

        json_array_foreach(json_object_get(d->state, "units"), i, unit) {
                const char *state = json_string_value(json_object_get(unit, "state")) ?: "";

                n_observing += streq(state, "observing");
                if (!streq(state, "denied") || ++n_denied > 5 || len >= sizeof(names))
                        continue;
                len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s (%s)", n_denied > 1 ? ", " : "", json_string_value(json_object_get(unit, "unit")) ?: "",
                                         json_string_value(json_object_get(unit, "reason")) ?: "");
        }
        if (n_denied > 0)
                return say(d, CHECK_FAIL, "%zu denied everything: %s%s", n_denied, names, n_denied > 5 ? ", ..." : "");
        if (n_observing > 0)
                return say(d, CHECK_WARN, "%zu of %zu only observe: nothing is denied there", n_observing, i);
        return say(d, CHECK_OK, "%zu, none denied everything", i);
}

/* Tokens are valid by the clock. */
static CheckResult check_clock(Doctor *d) {
        struct timex t = {};
        int r = adjtimex(&t);

        if (*state_text(d, "clock_fault"))
                return say(d, CHECK_FAIL, "%s", state_text(d, "clock_fault"));
        if (r < 0 || r == TIME_ERROR || (t.status & STA_UNSYNC))
                return say(d, CHECK_WARN, "not synchronized, and tokens of other hosts are valid by it: use systemd-timesyncd or chrony");
        return say(d, CHECK_OK, "synchronized");
}

static bool read_number(const char *path, unsigned long *ret) {
        FILE *f = fopen(path, "re");
        bool ok = f && fscanf(f, "%lu", ret) == 1;

        if (f)
                fclose(f);
        return ok;
}

/* Without an entry no packet of a unit passes. */
static CheckResult check_conntrack(Doctor *d) {
        unsigned long count, max;

        if (!read_number("/proc/sys/net/netfilter/nf_conntrack_count", &count) || !read_number("/proc/sys/net/netfilter/nf_conntrack_max", &max))
                return say(d, CHECK_WARN, "cannot be read: is nf_conntrack there?");
        if (max > 0 && count > max / 10 * 9)
                return say(d, CHECK_FAIL, "%lu of %lu entries in use: new connections fail soon; raise net.netfilter.nf_conntrack_max", count, max);
        return say(d, CHECK_OK, "%lu of %lu entries in use", count, max);
}

static CheckResult check_losses(Doctor *d) {
        static const char *const names[] = { "queue-overruns", "pending-full", "flows-full", "no-answer", "table-lost" };
        json_t *counters = json_object_get(d->state, "counters");

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (json_integer_value(json_object_get(counters, names[i])) > 0)
                        return say(d, CHECK_WARN, "%s: %lld since the start; see \"journalctl -u trireme -u trireme-datapath -u trireme-helper\"", names[i],
                                   (long long) json_integer_value(json_object_get(counters, names[i])));
        return say(d, CHECK_OK, "none");
}

/* Debian's nftables.service does this at each start and stop. It passes over our table, which has an owner, but not over others'. */
static CheckResult check_nftables(Doctor *d) {
        FILE *f = fopen("/etc/nftables.conf", "re");
        bool flushes = false;
        char line[512];

        while (f && fgets(line, sizeof(line), f))
                flushes |= startswith(line + strspn(line, " \t"), "flush ruleset") != NULL;
        if (f)
                fclose(f);
        return say(d, CHECK_OK, flushes ? "nftables.service flushes the rules; the table of Trireme has an owner and stays" : "nothing flushes the rules");
}

static const struct {
        const char *name;
        CheckResult (*check)(Doctor *d);
        bool of_enforcer; /* not known while it does not answer */
} checks[] = {
        { "kernel", check_kernel, false }, { "cgroups", check_cgroup, false }, { "systemd", check_systemd, false },
        { "enforcer", check_enforcer, false }, { "clock", check_clock, false }, { "configuration", check_configuration, true },
        { "keys", check_keys, true }, { "units", check_units, true }, { "losses", check_losses, true }, { "self-test", check_self_test, true }, { "conntrack", check_conntrack, false },
        { "firewall", check_nftables, false },
};

static CheckResult check(Doctor *d, size_t i) {
        if (checks[i].of_enforcer && !d->state)
                return say(d, CHECK_WARN, "not known: the enforcer does not answer");
        return checks[i].check(d);
}

/* Each as a line at once, since the self-test takes a moment; or all as one array. */
static int report(const Options *o, json_t *array, const char *name, CheckResult result, const char *text) {
        static const char *const words[] = { [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail" };

        if (o->json != JSON_OFF)
                return json_array_append_new(array, json_pack("{s:s s:s s:s}", "check", name, "result", words[result], "text", text));
        print_word(o, words[result], 4);
        printf(" %-13s ", name);
        print_text(text);
        printf("\n");
        return fflush(stdout);
}

static void doctor_done(Doctor *d) {
        json_decref(d->state);
        sd_bus_flush_close_unref(d->bus);
}

int verb_doctor(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(doctor_done) Doctor d = { .options = o };
        _cleanup_(json_decrefp) json_t *array = json_array();
        bool failed = false;

        if (o->host || o->machine) {
                log_error("doctor looks at this host only; run it there, with ssh or machinectl shell.");
                return CTL_FAILED;
        }
        if (!array || ctl_bus_open(o, &d.bus) < 0)
                return CTL_FAILED;
        for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
                CheckResult result = check(&d, i);

                failed |= result == CHECK_FAIL;
                if (report(o, array, checks[i].name, result, d.text) < 0)
                        return CTL_FAILED;
        }
        if (o->json != JSON_OFF && print_json(o, array) < 0)
                return CTL_FAILED;
        return failed ? CTL_FAILED : CTL_OK;
}
