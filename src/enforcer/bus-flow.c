/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "enforcer/bus.h"
#include "policy/reason.h"

static int append_s(sd_bus_message *m, const char *key, const char *value) {
        return sd_bus_message_append(m, "{sv}", key, "s", value);
}

static int append_peer_labels(sd_bus_message *m, const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;
        int r;

        if (!copy)
                return -ENOMEM;
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "peer_labels");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        /* spaces inside a tag are escaped, so words are tags */
        for (char *word = strtok_r(copy, " ", &state); r >= 0 && word; word = strtok_r(NULL, " ", &state))
                r = sd_bus_message_append(m, "s", word);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_addresses(sd_bus_message *m, const DatapathFlow *f) {
        char saddr[INET6_ADDRSTRLEN], daddr[INET6_ADDRSTRLEN];
        int r;

        address_to_string(f->family, &f->saddr, saddr);
        address_to_string(f->family, &f->daddr, daddr);
        r = append_s(m, "source", saddr);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "source_port", "q", f->sport);
        if (r >= 0)
                r = append_s(m, "destination", daddr);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "port", "q", f->dport);
        return r < 0 ? r : append_s(m, "protocol", protocol_to_string(f->protocol));
}

int bus_append_flow(sd_bus_message *m, const Flow *f, const Names *rules) {
        const DatapathFlow *d = &f->record;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "time", "t", d->time_usec);
        if (r >= 0)
                r = append_s(m, "verdict", flow_verdict_to_string(d->verdict));
        if (r >= 0)
                r = append_s(m, "reason", reason_to_string((Reason) d->reason));
        if (r >= 0)
                r = append_s(m, "rule", names_string(rules, d->rule));
        if (r >= 0)
                r = append_addresses(m, d);
        if (r >= 0)
                r = append_s(m, "local_unit", f->unit);
        if (r >= 0)
                r = append_s(m, "direction", d->direction == DATAPATH_CONNECT ? "connect" : "accept");
        if (r >= 0)
                r = append_s(m, "peer_unit", f->peer_unit);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "peer_local", "b", d->peer_unit != 0);
        if (r >= 0)
                r = append_peer_labels(m, f->peer_labels);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "claimed", "b", (int) f->claimed);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "translated", "b", (d->flags & DATAPATH_FLOW_TRANSLATED) != 0);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "serial", "t", f->serial);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
