/* SPDX-License-Identifier: GPL-2.0-or-later */

/* graph: who may connect to whom among the units of this host, which the enforcer is asked pair by pair, and who did, as far as it remembers.
 * A row is one client, server and port: the ports that rules name, those that were used, and ANY_PORT for all others. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "policy/clause.h"
#include "policy/config-file.h"
#include "util/log.h"

#define ANY_PORT "any"

typedef struct Graph {
        sd_bus *bus;
        json_t *units;  /* rows of "list" */
        json_t *only;   /* set of units: nothing else is shown; empty: everything */
        json_t *named;  /* unit -> set of the ports that its rules name */
        json_t *rows;   /* "client\nserver\nport" -> row, in the order of their making */
} Graph;

static void graph_done(Graph *g) {
        json_decref(g->units);
        json_decref(g->only);
        json_decref(g->named);
        json_decref(g->rows);
}

static bool is_wanted(const Graph *g, const char *client, const char *server) {
        return json_object_size(g->only) == 0 || json_object_get(g->only, client) || json_object_get(g->only, server);
}

/* The row, made if need be. NULL: no memory. */
static json_t *row_get(Graph *g, const char *client, const char *server, const char *port) {
        _cleanup_free_ char *key = NULL;
        json_t *row;

        if (asprintf(&key, "%s\n%s\n%s", client, server, port) < 0) {
                key = NULL;
                return NULL;
        }
        row = json_object_get(g->rows, key);
        if (row)
                return row;
        row = json_pack("{s:s s:s s:s s:n s:s s:s s:i s:i s:i}", "client", client, "server", server, "port", port, "allowed", "reason", "", "rule", "",
                        "accepted", 0, "rejected", 0, "would_reject", 0);
        return row && json_object_set_new(g->rows, key, row) == 0 ? row : NULL;
}

/* ---- who did ---- */

/* A unit of this host by its name, others by their address, since names repeat. */
static char *peer_name(json_t *flow, bool client) {
        const char *unit = json_text(flow, "peer_unit"), *address = json_text(flow, client ? "source" : "destination");
        char *name;

        if (json_is_true(json_object_get(flow, "peer_local")))
                return strdup(unit);
        return asprintf(&name, "%s%s%s", unit, *unit ? " on " : "", address) < 0 ? NULL : name;
}

static int count(json_t *row, const char *verdict) {
        const char *key = streq(verdict, "accept") ? "accepted" : streq(verdict, "reject") ? "rejected" : "would_reject";

        return json_object_set_new(row, key, json_integer(json_integer_value(json_object_get(row, key)) + 1));
}

static int add_flow(Graph *g, json_t *flow) {
        bool accept = streq(json_text(flow, "direction"), "accept");
        const char *local = json_text(flow, "local_unit"), *protocol = json_text(flow, "protocol"), *client, *server;
        _cleanup_free_ char *peer = peer_name(flow, accept), *port = NULL;
        json_t *row;

        if (!peer || asprintf(&port, "%d/%s", (int) json_integer_value(json_object_get(flow, "port")), protocol) < 0) {
                port = NULL;
                return -ENOMEM;
        }
        client = accept ? peer : local;
        server = accept ? local : peer;
        if (!is_wanted(g, client, server))
                return 0;
        row = row_get(g, client, server, startswith(protocol, "icmp") ? protocol : port);
        return row && count(row, json_text(flow, "verdict")) == 0 ? 0 : -ENOMEM;
}

static int add_flows(Graph *g) {
        _cleanup_(json_decrefp) json_t *flows = NULL;
        json_t *flow;
        size_t i;
        int r = ctl_bus_list_flows(g->bus, CTL_FLOWS_ALL, false, &flows);

        json_array_foreach(flows, i, flow)
                if (r >= 0) {
                        r = add_flow(g, flow);
                        if (r < 0)
                                return log_error_errno(r, "Cannot count the connections");
                }
        return r;
}

/* ---- who may ---- */

/* "@port=tcp/80|tcp/443" of a rule as the enforcer tells it: "80/tcp", "443/tcp". Connections with an identity are TCP. */
static int add_named_ports(json_t *ports, const char *rule) {
        for (;;) {
                _cleanup_free_ char *word = NULL;
                _cleanup_(clause_done) Clause c = {};
                const char *fault;
                int r = config_word(&rule, &word);

                if (r <= 0)
                        return MIN(r, 0);
                if (clause_parse(word, &c, &fault) < 0 || !streq(c.key, TAG_PORT)) /* "reject", "observe" stand before rules */
                        continue;
                for (size_t i = 0; i < c.n_values; i++) {
                        const char *number = startswith(c.values[i].text, "tcp/");
                        char port[sizeof("65535/tcp")];

                        if (!number || c.values[i].prefix)
                                continue;
                        (void) snprintf(port, sizeof(port), "%.5s/tcp", number);
                        if (json_object_set_new(ports, port, json_true()) < 0)
                                return -ENOMEM;
                }
        }
}

static int read_named_ports(Graph *g, json_t *unit) {
        static const char *const keys[] = { "accept", "connect" };
        _cleanup_(json_decrefp) json_t *description = NULL;
        json_t *ports = json_object(), *rule;
        size_t i;
        int r;

        if (!ports || json_object_set_new(g->named, json_text(unit, "unit"), ports) < 0)
                return log_error_errno(-ENOMEM, "Cannot read the rules");
        r = ctl_bus_describe(g->bus, json_text(unit, "object"), TRIREME_UNIT, &description);
        for (size_t k = 0; r >= 0 && k < ELEMENTSOF(keys); k++)
                json_array_foreach(json_object_get(description, keys[k]), i, rule)
                        if (r >= 0) {
                                r = add_named_ports(ports, json_string_value(rule) ?: "");
                                if (r < 0)
                                        return log_error_errno(r, "Cannot read the rules");
                        }
        return r;
}

/* Stands for all ports that no rule names. */
static void other_port(const Graph *g, const char *client, const char *server, char ret[static 16]) {
        unsigned n = 65535;

        do
                (void) snprintf(ret, 16, "%u/tcp", n--);
        while (n > 0 && (json_object_get(json_object_get(g->named, client), ret) || json_object_get(json_object_get(g->named, server), ret)));
}

static int ask(Graph *g, const char *client, const char *server, const char *port, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int allowed, r = ctl_bus_call(g->bus, "explain", "Explain", &reply, "sss", client, server, port);

        if (r >= 0)
                r = sd_bus_message_read(reply, "bs", &allowed, &text);
        if (r < 0)
                return r;
        *ret = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        return *ret ? 0 : log_error_errno(-EBADMSG, "The enforcer's answer is not JSON");
}

/* A row for this port if there is one, or if it is allowed unlike the others. */
static int add_port(Graph *g, const char *client, const char *server, const char *port, bool *any_allowed) {
        _cleanup_(json_decrefp) json_t *answer = NULL;
        _cleanup_free_ char *key = NULL;
        char asked[16];
        bool any = streq(port, ANY_PORT), allowed;
        json_t *row;
        int r;

        other_port(g, client, server, asked);
        r = ask(g, client, server, any ? asked : port, &answer);
        if (r < 0)
                return r;
        allowed = json_is_true(json_object_get(answer, "allowed"));
        if (any)
                *any_allowed = allowed;
        if (asprintf(&key, "%s\n%s\n%s", client, server, port) < 0) {
                key = NULL;
                return log_error_errno(-ENOMEM, "Cannot draw the graph");
        }
        if (!json_object_get(g->rows, key) && allowed == (!any && *any_allowed))
                return 0;
        row = row_get(g, client, server, port);
        if (!row || json_object_set_new(row, "allowed", json_boolean(allowed)) < 0 || json_object_set(row, "reason", json_object_get(answer, "reason")) < 0 ||
            json_object_set(row, "rule", json_object_get(answer, "rule")) < 0)
                return log_error_errno(-ENOMEM, "Cannot draw the graph");
        return 0;
}

/* Of the ports that were used. */
static int ports_used(const Graph *g, const char *client, const char *server, json_t *ports) {
        const char *key;
        json_t *row;

        json_object_foreach(g->rows, key, row) {
                const char *port = json_text(row, "port"), *slash = strchr(port, '/');

                if (slash && streq(slash, "/tcp") && streq(json_text(row, "client"), client) && streq(json_text(row, "server"), server) &&
                    json_object_set_new(ports, port, json_true()) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int add_pair(Graph *g, const char *client, const char *server) {
        _cleanup_(json_decrefp) json_t *ports = json_object();
        bool any_allowed = false;
        const char *port;
        json_t *v;
        int r;

        if (!ports || json_object_update(ports, json_object_get(g->named, client)) < 0 || json_object_update(ports, json_object_get(g->named, server)) < 0 ||
            ports_used(g, client, server, ports) < 0)
                return log_error_errno(-ENOMEM, "Cannot draw the graph");
        r = add_port(g, client, server, ANY_PORT, &any_allowed);
        json_object_foreach(ports, port, v)
                if (r >= 0)
                        r = add_port(g, client, server, port, &any_allowed);
        return r;
}

static int add_pairs(Graph *g) {
        json_t *client, *server;
        size_t i, k;
        int r = 0;

        json_array_foreach(g->units, i, client)
                if (r >= 0)
                        r = read_named_ports(g, client);
        json_array_foreach(g->units, i, client)
                json_array_foreach(g->units, k, server)
                        if (r >= 0 && is_wanted(g, json_text(client, "unit"), json_text(server, "unit")))
                                r = add_pair(g, json_text(client, "unit"), json_text(server, "unit"));
        return r;
}

/* ---- what is printed ---- */

/* A string of the DOT language; label: where a backslash begins an escape. */
static void print_quoted(const char *s, bool label) {
        _cleanup_free_ char *text = text_printable(s);

        putchar('"');
        for (const char *p = text ?: ""; *p; p++) {
                if (*p == '"' || (label && *p == '\\'))
                        putchar('\\');
                putchar(*p);
        }
        putchar('"');
}

/* Dashed: may, but was not seen; red: was denied. */
static void print_edge(json_t *row) {
        bool accepted = json_integer_value(json_object_get(row, "accepted")) > 0;
        bool denied = json_integer_value(json_object_get(row, "rejected")) + json_integer_value(json_object_get(row, "would_reject")) > 0;

        printf("        ");
        print_quoted(json_text(row, "client"), false);
        printf(" -> ");
        print_quoted(json_text(row, "server"), false);
        printf(" [label=");
        print_quoted(json_text(row, "port"), true);
        printf("%s%s];\n", accepted || denied ? "" : ", style=dashed", denied && !accepted ? ", color=red" : json_is_false(json_object_get(row, "allowed")) ? ", color=red" : "");
}

static void print_dot(const Graph *g, json_t *rows) {
        json_t *v;
        size_t i;

        printf("digraph trireme {\n        rankdir=LR;\n        node [shape=box];\n");
        json_array_foreach(g->units, i, v) {
                const char *unit = json_text(v, "unit");
                _cleanup_free_ char *labels = json_to_text(json_object_get(v, "labels")), *text = NULL;

                if (!is_wanted(g, unit, unit))
                        continue;
                printf("        ");
                print_quoted(unit, false);
                printf(" [label=");
                if (asprintf(&text, "%s %s", unit, labels ?: "") < 0)
                        text = NULL;
                print_quoted(text ?: unit, true);
                printf("];\n");
        }
        json_array_foreach(rows, i, v)
                print_edge(v);
        printf("}\n");
}

static int print_graph(const Options *o, const Graph *g) {
        static const Column columns[] = {
                { "CLIENT", "client", 0.25, false }, { "SERVER", "server", 0.25, false }, { "PORT", "port", 8, false }, { "ALLOWED", "allowed", 7, false },
                { "ACCEPTED", "accepted", 8, false }, { "DENIED", "rejected", 6, false }, { "OBSERVED", "would_reject", 8, false },
                { "REASON", "reason", 0.1, true }, { "RULE", "rule", 0.2, true },
        };
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        _cleanup_(json_decrefp) json_t *rows = json_array();
        const char *key;
        json_t *row;

        json_object_foreach(g->rows, key, row)
                if (json_array_append(rows, row) < 0)
                        return log_error_errno(-ENOMEM, "Cannot print");
        if (o->json != JSON_OFF)
                return print_json(o, rows);
        pager = pager_open(o);
        if (!o->dot)
                return print_table(o, rows, columns, ELEMENTSOF(columns), "connections");
        print_dot(g, rows);
        return 0;
}

int verb_graph(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(graph_done) Graph g = { .only = json_object(), .named = json_object(), .rows = json_object() };
        int r = g.only && g.named && g.rows ? 0 : log_error_errno(-ENOMEM, "Cannot draw the graph");

        for (int i = 1; r >= 0 && i < argc; i++) {
                _cleanup_free_ char *unit = NULL;

                r = unit_name_mangle(argv[i], &unit);
                if (r >= 0 && json_object_set_new(g.only, unit, json_true()) < 0)
                        r = log_error_errno(-ENOMEM, "Cannot draw the graph");
        }
        if (r >= 0)
                r = ctl_bus_open(o, &bus);
        g.bus = bus;
        if (r >= 0)
                r = ctl_bus_list_units(bus, &g.units);
        if (r >= 0)
                r = add_flows(&g);
        if (r >= 0)
                r = add_pairs(&g);
        return r < 0 || print_graph(o, &g) < 0 ? CTL_FAILED : CTL_OK;
}
