/* SPDX-License-Identifier: GPL-2.0-or-later */

/* flows: who connected to whom, and what came of it. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/output.h"
#include "policy/reason.h"
#include "util/clock.h"
#include "util/log.h"

#define FOLLOW_MAX 1000u       /* asked for at once while following; what is beyond is said to be missing */
#define FOLLOW_INTERVAL_MSEC 500

static uint64_t serial_of(json_t *flow) {
        return (uint64_t) json_integer_value(json_object_get(flow, "serial"));
}

static void print_endpoint(json_t *flow, const char *address_key, const char *port_key) {
        const char *address = json_text(flow, address_key);

        if (startswith(json_text(flow, "protocol"), "icmp")) { /* what others keep ports in is its type and code */
                print_text(address);
                return;
        }
        fputs(strchr(address, ':') ? "[" : "", stdout);
        print_text(address);
        printf(strchr(address, ':') ? "]:%lld" : ":%lld", (long long) json_integer_value(json_object_get(flow, port_key)));
}

/* TIME VERDICT LOCAL accepts|connects to SOURCE -> DESTINATION/PROTOCOL peer UNIT (LABELS): REASON (RULE) */
static void print_flow(const Options *o, json_t *flow) {
        uint64_t usec = (uint64_t) json_integer_value(json_object_get(flow, "time"));
        time_t sec = (time_t) (usec / USEC_PER_SEC);
        _cleanup_free_ char *labels = NULL;
        json_t *peer_labels = json_object_get(flow, "peer_labels");
        struct tm tm;
        char when[32] = "-";

        if (localtime_r(&sec, &tm))
                (void) strftime(when, sizeof(when), "%b %d %H:%M:%S", &tm);
        printf("%s.%03u ", when, (unsigned) (usec % USEC_PER_SEC / USEC_PER_MSEC));
        print_word(o, json_text(flow, "verdict"), 12);
        printf(" ");
        print_text(json_text(flow, "local_unit"));
        printf(" %s ", json_text(flow, "direction"));
        print_endpoint(flow, "source", "source_port");
        printf(" -> ");
        print_endpoint(flow, "destination", "port");
        if (startswith(json_text(flow, "protocol"), "icmp"))
                printf(" %s type %lld peer ", json_text(flow, "protocol"), (long long) json_integer_value(json_object_get(flow, "source_port")));
        else
                printf("/%s peer ", json_text(flow, "protocol"));
        print_text(json_text(flow, "peer_unit"));
        labels = json_array_size(peer_labels) > 0 ? json_to_text(peer_labels) : NULL;
        if (labels)
                printf(" %s[%s]", json_is_true(json_object_get(flow, "claimed")) ? "claims " : "", labels);
        printf(": %s", json_text(flow, "reason"));
        if (*json_text(flow, "rule")) {
                printf(" (");
                print_text(json_text(flow, "rule"));
                printf(")");
        }
        printf("%s\n", json_is_true(json_object_get(flow, "translated")) ? " [NAT]" : "");
}

/* Those newer than *serial, one a line. */
static int print_newer(const Options *o, json_t *flows, uint64_t *serial) {
        size_t i, n = json_array_size(flows);
        json_t *flow;

        if (n == 0 || serial_of(json_array_get(flows, n - 1)) < *serial) /* another enforcer, which counts from one again */
                *serial = 0;
        if (!o->denied && *serial > 0 && n > 0 && serial_of(json_array_get(flows, 0)) > *serial + 1)
                log_warning("%llu connections are not shown", (unsigned long long) (serial_of(json_array_get(flows, 0)) - *serial - 1));
        json_array_foreach(flows, i, flow) {
                if (serial_of(flow) <= *serial)
                        continue;
                *serial = serial_of(flow);
                if (o->json == JSON_OFF)
                        print_flow(o, flow);
                else if (print_json(o, flow) < 0)
                        return -EIO;
        }
        return fflush(stdout) == 0 ? 0 : log_error_errno(errno, "Cannot write");
}

/* What each reason means for which anything was denied, or would have been. */
static void print_reasons(json_t *flows) {
        bool said[_REASON_MAX] = {};
        json_t *flow;
        size_t i;

        json_array_foreach(flows, i, flow) {
                int reason = reason_from_string(json_text(flow, "reason"));

                if (reason < 0 || said[reason] || streq(json_text(flow, "verdict"), "accept"))
                        continue;
                said[reason] = true;
                printf("\n%s: %s", reason_to_string((Reason) reason), reason_explain((Reason) reason));
        }
        if (memchr(said, true, sizeof(said)))
                printf("\n");
}

static int follow(const Options *o, sd_bus *bus) {
        uint64_t serial = 0;
        uint32_t max = o->lines;

        for (;;) {
                _cleanup_(json_decrefp) json_t *flows = NULL;
                int r = ctl_bus_list_flows(bus, max, o->denied, &flows);

                if (r >= 0)
                        r = print_newer(o, flows, &serial);
                if (r < 0)
                        return r;
                max = FOLLOW_MAX;
                (void) poll(NULL, 0, FOLLOW_INTERVAL_MSEC);
        }
}

int verb_flows(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *flows = NULL;
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        json_t *flow;
        size_t i;
        int r = ctl_bus_open(o, &bus);

        if (r < 0)
                return CTL_FAILED;
        if (o->follow)
                return follow(o, bus) < 0 ? CTL_FAILED : CTL_OK;
        if (ctl_bus_list_flows(bus, o->lines, o->denied, &flows) < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                return print_json(o, flows) < 0 ? CTL_FAILED : CTL_OK;
        pager = pager_open(o);
        json_array_foreach(flows, i, flow)
                print_flow(o, flow);
        if (!o->no_legend)
                print_reasons(flows);
        if (!o->no_legend)
                printf("%s%zu connections listed.\n", json_array_size(flows) > 0 ? "\n" : "", json_array_size(flows));
        return CTL_OK;
}
