/* SPDX-License-Identifier: GPL-2.0-or-later */

/* ping: what the path to a server does to identities.
 *
 * One connection with labels, from a scope of its own, and one without, from here. How both came out, and what the enforcer recorded of the first, tell where an
 * identity ends up. The server's node never says why it refuses; only where the server is on this host is its record at hand. */

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/connect.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "util/clock.h"
#include "util/log.h"

#define TIMEOUT_USEC (5 * USEC_PER_SEC)        /* TCP repeats a SYN after 1 and 3 s; the third may go without a token */
#define THIRD_SYN_USEC (2500 * USEC_PER_MSEC)
#define PLAIN_TIMEOUT_USEC (2 * USEC_PER_SEC)
#define RECORDS_MAX 256u                       /* of the last connections, ours is among them */
#define RECORD_TRIES 10                        /* the datapath tells of them in batches */
#define RECORD_INTERVAL_MSEC 50

typedef enum PingResult {
        PING_AUTHORIZED,
        PING_DENIED_HERE,
        PING_DENIED_THERE,
        PING_UNVERIFIED,
        PING_STRANGER,
        PING_STRANGER_DENIED,
        PING_STRIPPED,
        PING_TOKEN_LOST,
        PING_REFUSED,
        PING_SILENT,
        PING_UNREACHABLE,
} PingResult;

static const struct {
        const char *name;
        const char *identity;    /* what became of ours on the way there, and of theirs on the way back, as far as can be told from here */
        const char *answered_by;
        const char *text;
        CtlExit exit;
} results[] = {
        [PING_AUTHORIZED] = { "authorized", "arrived", "identity", "The identity arrived, and both ends accept the connection.", CTL_OK },
        [PING_DENIED_HERE] = { "denied-here", "arrived", "identity", "The peer showed its identity; the rules of this end refuse it.", CTL_DENIED },
        [PING_DENIED_THERE] = { "denied-there", "arrived", "kernel", "The server's end refuses these labels.", CTL_DENIED },
        [PING_UNVERIFIED] = { "unverified", "arrived", "unverified", "The peer answered with an identity that cannot be verified here.", CTL_DENIED },
        [PING_STRANGER] = { "stranger", "none", "stranger", "The server answered without an identity, and was reached as a stranger.", CTL_OK },
        [PING_STRANGER_DENIED] = { "no-identity", "none", "stranger", "The server shows no identity: nothing listens there, the port belongs to no labelled unit, there is no Trireme, or the "
                                                  "path takes tokens out. A unit reaches it with TriremeConnectTo= only.", CTL_DENIED },
        [PING_STRIPPED] = { "stripped", "stripped", "stranger", "An identity was seen there before, and now the answer has none: something on the path takes identities out, or answers in the "
                                                             "server's place.", CTL_DENIED },
        [PING_TOKEN_LOST] = { "token-lost", "dropped", "nobody", "SYNs with an identity get no answer, one without does: something on the path drops SYNs that carry data, or the server's end "
                                            "drops these labels in silence (DenyAction=drop).", CTL_FAILED },
        [PING_REFUSED] = { "refused", "unknown", "kernel", "Reset: nothing listens there, the server's end refuses these labels or this path, or something on the path took the identity out of the SYN; there, "
                                                        "\"triremectl flows --denied\" tells.", CTL_DENIED },
        [PING_SILENT] = { "silent", "unknown", "nobody", "No answer, with an identity or without: the host is down, a packet filter drops, or its DenyAction=drop.", CTL_FAILED },
        [PING_UNREACHABLE] = { "unreachable", "unknown", "nobody", "There is no way to that address.", CTL_FAILED },
};

typedef struct Ping {
        SocketAddress server;
        Attempt labelled, plain;
        json_t *own, *other; /* record of our end; of the server's, if it is on this host */
        PingResult result;
} Ping;

static void ping_done(Ping *p) {
        json_decref(p->own);
        json_decref(p->other);
}

static bool has_text(json_t *record, const char *key, const char *text) {
        return streq(json_string_value(json_object_get(record, key)) ?: "", text);
}

static int find_records(sd_bus *bus, const char *scope, Ping *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_decrefp) json_t *records = NULL;
        json_t *record;
        size_t i;
        int r = ctl_bus_call(bus, "list the connections", "ListFlows", &reply, "ub", RECORDS_MAX, false);

        if (r < 0)
                return r;
        r = bus_message_to_json(reply, &records);
        if (r < 0)
                return ctl_bus_error(r, NULL, "list the connections");
        json_array_foreach(records, i, record) {
                json_t **side = has_text(record, "local_unit", scope) ? &p->own : has_text(record, "peer_unit", scope) ? &p->other : NULL;

                if (side && !*side) /* the first decided; what follows are leftovers of a connection that was refused */
                        *side = json_incref(record);
        }
        return 0;
}

static PingResult ping_result(const Ping *p) {
        json_t *decided = p->own ?: p->other; /* on one host, one record may stand for both ends */
        bool rejected = has_text(p->own, "verdict", "reject"), by_acl = has_text(decided, "reason", "acl");

        if (has_text(p->other, "verdict", "reject"))
                return PING_DENIED_THERE;
        if (rejected && json_is_true(json_object_get(p->own, "claimed")))
                return PING_UNVERIFIED;
        if (rejected && has_text(p->own, "reason", "stripped"))
                return PING_STRIPPED;
        if (rejected && (by_acl || has_text(p->own, "reason", "no-identity")))
                return PING_STRANGER_DENIED;
        if (rejected && !has_text(p->own, "reason", "peer-silent"))
                return PING_DENIED_HERE;
        switch (p->labelled.error) {
        case 0: return decided && !by_acl ? PING_AUTHORIZED : p->labelled.usec >= THIRD_SYN_USEC ? PING_TOKEN_LOST : PING_STRANGER;
        case ECONNREFUSED: case ECONNRESET: return p->plain.error == 0 ? PING_DENIED_THERE : PING_REFUSED;
        case ETIMEDOUT: return p->plain.error == 0 || p->plain.error == ECONNREFUSED ? PING_TOKEN_LOST : PING_SILENT;
        default: return PING_UNREACHABLE;
        }
}

static json_t *ping_to_json(const Ping *p, const char *address, const char *port) {
        json_t *deciding = (p->result == PING_DENIED_THERE && p->other) || !p->own ? p->other : p->own;
        json_t *v = json_pack("{s:s s:s s:s s:s s:s s:s s:b s:s s:I s:s s:O*}", "result", results[p->result].name, "text", results[p->result].text,
                              "identity", results[p->result].identity, "answered_by", results[p->result].answered_by, "address", address,
                              "port", port, "connected", p->labelled.error == 0, "outcome", p->labelled.error ? strerror(p->labelled.error) : "connected",
                              "usec", (json_int_t) p->labelled.usec, "plain", p->plain.error ? strerror(p->plain.error) : "connected",
                              "server_unit", json_object_get(p->other, "local_unit"));
        static const char *const keys[] = { "reason", "rule", "peer_unit", "peer_labels", "translated" };

        for (size_t i = 0; v && i < ELEMENTSOF(keys); i++) {
                json_t *from = deciding == p->other && (i == 2 || i == 3) ? NULL : deciding; /* there, the peer is ourselves */

                if (from && json_object_get(from, keys[i]) && json_object_set(v, keys[i], json_object_get(from, keys[i])) < 0) {
                        json_decref(v);
                        return NULL;
                }
        }
        return v;
}

static void print_ping(const Ping *p, json_t *v, const char *address, const char *port) {
        printf(strchr(address, ':') ? "[%s]:%s: %s" : "%s:%s: %s", address, port, results[p->result].name);
        printf(" (%s after %.1f ms; without labels: %s)\n%s\n", p->labelled.error ? strerror(p->labelled.error) : "connected",
               (double) p->labelled.usec / USEC_PER_MSEC, p->plain.error ? strerror(p->plain.error) : "connected", results[p->result].text);
        if (p->other)
                print_field("Server", json_object_get(p->other, "local_unit"));
        print_field("Peer", json_object_get(v, "peer_unit"));
        print_field("Labels", json_object_get(v, "peer_labels"));
        print_field("Reason", json_object_get(v, "reason"));
        print_field("Rule", json_object_get(v, "rule"));
        if (p->result == PING_AUTHORIZED)
                printf("%12s: %s\n", "Path", json_is_true(json_object_get(v, "translated")) ? "addresses, ports or sequence numbers are translated on the way" : "direct");
}

static int ping_print(const Options *o, const Ping *p) {
        _cleanup_(json_decrefp) json_t *v = NULL;
        char address[NI_MAXHOST], port[NI_MAXSERV];

        if (getnameinfo(&p->server.any, p->server.len, address, sizeof(address), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return log_error_errno(-EINVAL, "Cannot print the address");
        v = ping_to_json(p, address, port);
        if (!v)
                return log_error_errno(-ENOMEM, "Cannot print");
        if (o->json != JSON_OFF)
                return print_json(o, v);
        print_ping(p, v, address, port);
        return 0;
}

/* Disarmed, everything passes and nothing is recorded: the answer would be nonsense. */
static int check_armed(sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int armed, r = sd_bus_get_property_trivial(bus, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "Armed", &error, 'b', &armed);

        if (r < 0)
                return ctl_bus_error(r, &error, "ask whether Trireme is armed");
        if (!armed) {
                log_error("Trireme is disarmed, so identities decide nothing. Try triremectl arm.");
                return -EHOSTDOWN;
        }
        return 0;
}

static int ping(const Options *o, const CtlList *labels, Ping *p) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *scope = NULL;
        int r = ctl_bus_open(o, &bus);

        if (r >= 0)
                r = check_armed(bus);
        if (r >= 0)
                r = connect_labelled(o, labels, &p->server, TIMEOUT_USEC, &p->labelled, &scope);
        if (r < 0)
                return r;
        p->plain = connect_attempt(&p->server, PLAIN_TIMEOUT_USEC);
        for (int i = 0; r >= 0 && !p->own && !p->other && i < RECORD_TRIES; i++) {
                (void) poll(NULL, 0, RECORD_INTERVAL_MSEC);
                r = find_records(bus, scope, p);
        }
        p->result = ping_result(p);
        return r;
}

int verb_ping(const Options *o, int argc, char **argv) {
        static const CtlList nobody = { { "trireme=ping" }, 1 }; /* a token must have a label */
        const CtlList *labels = o->labels.n_items > 0 ? &o->labels : &nobody;
        _cleanup_(ping_done) Ping p = {};

        if (o->host || o->machine) {
                log_error("ping works from this host only.");
                return CTL_FAILED;
        }
        if (check_labels(labels->items, labels->n_items) < 0 || address_resolve(argv[1], &p.server) < 0 || ping(o, labels, &p) < 0 || ping_print(o, &p) < 0)
                return CTL_FAILED;
        return results[p.result].exit;
}
