/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units that run are taken as they are in force; settings of others are read for the purpose; labels alone stand for what triremectl run would make of them. */
#include "enforcer/explain.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "enforcer/decide.h"
#include "enforcer/helper-client.h"
#include "enforcer/load.h"
#include "policy/policy-eval.h"
#include "util/log.h"

typedef struct Explain Explain;

typedef struct Who {
        Explain *explain;
        char *name;           /* "" for labels */
        Unit *unit;           /* a copy, in no table; NULL: not labelled, a stranger */
} Who;

struct Explain {
        Manager *manager;
        sd_bus_message *call;
        Who who[2];           /* client, server */
        unsigned n_waiting, at;
        uint8_t protocol;
        uint16_t port;
        bool failed;          /* the caller got an error */
};

static void explain_free(Explain *e) {
        for (size_t i = 0; i < ELEMENTSOF(e->who); i++) {
                Unit *u = e->who[i].unit;

                free(e->who[i].name);
                if (u) {
                        unit_policy_unref(u->policy);
                        free(u->reason_text);
                        free(u);
                }
        }
        sd_bus_message_unref(e->call);
        free(e);
}

static int who_new(Who *w, UnitState state, Reason reason, const char *text, UnitPolicy *policy) {
        Unit *u = calloc(1, sizeof(*u));

        if (!u)
                return -ENOMEM;
        u->state = state;
        u->reason = reason;
        if (text && !(u->reason_text = strdup(text))) {
                free(u);
                return -ENOMEM;
        }
        u->policy = policy ? unit_policy_ref(policy) : NULL;
        w->unit = u;
        return 0;
}

static json_t *labels_to_json(const Unit *u) {
        json_t *array = json_array();

        for (size_t i = 0; array && u && u->policy && i < u->policy->labels.n_tags; i++) {
                _cleanup_free_ char *text = tag_format(&u->policy->labels.tags[i]);

                if (!text || json_array_append_new(array, json_string(text)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static void decide_side(const Explain *e, bool connect, Decision *ret) {
        const Unit *self = e->who[connect ? 0 : 1].unit, *other = e->who[connect ? 1 : 0].unit;
        const struct in6_addr loopback = { .s6_addr = { 127, 0, 0, 1 } }; /* a unit of this host without labels is met there */
        PeerTags tags;

        *ret = (Decision) { .allow = !self };
        if (!self)
                return;
        if (!other || !other->policy || other->state == UNIT_DENIED)
                decide_stranger(self, connect, AF_INET, &loopback, e->protocol, e->port, ret);
        else {
                tags = (PeerTags) { &other->policy->tags, other->policy->families };
                decide_peer(self, connect, &tags, e->protocol, e->port, ret);
        }
}

static char *side_text(const Explain *e, bool connect) {
        const Unit *self = e->who[connect ? 0 : 1].unit, *other = e->who[connect ? 1 : 0].unit;
        PolicyRequest request = { .protocol = e->protocol, .port = e->port };
        PolicySide side;

        if (!self)
                return strdup("It is not labelled, so this end asks nothing.");
        if (self->state == UNIT_DENIED || !self->policy)
                return strdup(self->reason_text ?: reason_explain(self->reason));
        if (!other || !other->policy || other->state == UNIT_DENIED)
                return strdup(connect ? "The other end shows no identity: TriremeConnectTo= decides by address, here 127.0.0.1."
                                      : "The other end shows no identity: TriremeAcceptFrom= decides by address, here 127.0.0.1.");
        request.tags = &other->policy->tags;
        request.announced = other->policy->families;
        side = unit_policy_side(self->policy, connect);
        return policy_explain(&side, &request);
}

static json_t *side_to_json(const Explain *e, bool connect, const Decision *d) {
        const Who *w = &e->who[connect ? 0 : 1];
        _cleanup_free_ char *text = side_text(e, connect);

        if (!text)
                return NULL;
        return json_pack("{s:s s:o s:b s:s s:s s:s}", "unit", w->name, "labels", labels_to_json(w->unit), "allowed", (int) d->allow,
                         "reason", reason_to_string(d->reason), "rule", d->rule, "text", text);
}

static int explain_write(const Explain *e, bool *ret_allowed, char **ret) {
        const Decision *deciding;
        Decision client, server;
        json_t *o;

        decide_side(e, true, &client);
        decide_side(e, false, &server);
        deciding = !server.allow ? &server : !client.allow ? &client : e->who[1].unit ? &server : &client;
        *ret_allowed = client.allow && server.allow;
        o = json_pack("{s:b s:s s:s s:s s:o s:o}", "allowed", (int) *ret_allowed, "reason", reason_to_string(deciding->reason), "rule", deciding->rule,
                      "text", reason_explain(deciding->reason), "client", side_to_json(e, true, &client), "server", side_to_json(e, false, &server));
        *ret = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        json_decref(o);
        return *ret ? 0 : -ENOMEM;
}

static void explain_fail(Explain *e, int error, const char *format, const char *what) {
        int r;

        if (e->failed)
                return;
        e->failed = true;
        r = sd_bus_reply_method_errorf(e->call, error == -ENOENT ? "org.trireme.NoSuchUnit" : "org.trireme.Error.Failed", format, what, strerror(-error));
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

/* When both ends are known. */
static void explain_finish(Explain *e) {
        _cleanup_free_ char *text = NULL;
        bool allowed;
        int r = 0;

        if (e->n_waiting > 0)
                return;
        if (!e->failed) {
                r = explain_write(e, &allowed, &text);
                if (r >= 0)
                        r = sd_bus_reply_method_return(e->call, "bs", (int) allowed, text);
        }
        if (r < 0)
                explain_fail(e, r, "Cannot explain%s: %s", "");
        explain_free(e);
}

static void on_loaded(Manager *m, const HelperUnit *info, LoadResult *result, void *userdata) {
        Who *w = userdata;
        Explain *e = w->explain;
        int r = result->error;

        e->n_waiting--;
        if (r >= 0 && result->policy && result->policy->mode != UNIT_MODE_OFF)
                r = who_new(w, result->policy->mode == UNIT_MODE_OBSERVE ? UNIT_OBSERVING : UNIT_ENFORCING, REASON_NONE, NULL, result->policy);
        else if (r >= 0 && result->labelled && !result->policy)
                r = who_new(w, UNIT_DENIED, result->reason, result->text, NULL);
        if (r < 0)
                explain_fail(e, r, "Cannot read the settings of %s: %s", info->unit);
        explain_finish(e);
}

/* A unit that runs, as it is in force. */
static int who_found(Who *w, const Unit *u) {
        return who_new(w, u->state, u->reason, u->reason_text, u->policy);
}

/* PID 1 calls it info->unit, and we do, whatever alias it was asked about by. */
static void who_take(Who *w, const HelperUnit *info) {
        const LoadRequest request = { .info = info, .done = on_loaded, .userdata = w };
        char *name = strdup(info->unit);
        Explain *e = w->explain;
        const Unit *u;
        int r = -ENOMEM;

        if (name) {
                free(w->name);
                w->name = name;
                u = units_find(&e->manager->units, name);
                r = u ? who_found(w, u) : load_start(e->manager, &request);
                if (r >= 0 && !u)
                        e->n_waiting++;
        }
        if (r < 0)
                explain_fail(e, r, "Cannot read the settings of %s: %s", w->name);
}

static void on_unit(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Who *w = userdata;
        Explain *e = w->explain;

        if (msg) {
                if (msg->header->type == HELPER_UNIT && msg->len == sizeof(HelperUnit) && !w->unit)
                        who_take(w, (const HelperUnit *) msg->header);
                return;
        }
        e->n_waiting--;
        if (result == -ENOENT)
                explain_fail(e, result, "%s is no unit of this host (labels are written KEY=VALUE)", w->name);
        else if (result < 0)
                explain_fail(e, result, "Cannot ask about %s: %s", w->name);
        explain_finish(e);
}

static int who_from_labels(Explain *e, Who *w, const char *text, const char **ret_fault) {
        _cleanup_(unit_policy_unrefp) UnitPolicy *policy = NULL;
        const UnitFacts facts = { .unit = "", .triggers = "", .hostname = e->manager->hostname, .machine = e->manager->machine };
        UnitSettings settings = { .labelled = true };
        int r;

        *ret_fault = "these labels cannot be";
        r = tag_set_from_string(text, &settings.labels, ret_fault);
        if (r >= 0)
                r = unit_policy_new(&settings, NULL, 0, &facts, &e->manager->config, &policy);
        unit_settings_done(&settings);
        return r < 0 ? r : who_new(w, UNIT_ENFORCING, REASON_NONE, NULL, policy);
}

static int who_start(Explain *e, Who *w, const char *text, const char **ret_fault) {
        static const char *const suffixes[] = { ".service", ".socket", ".slice", ".scope" };
        const char *dot = strrchr(text, '.');
        bool complete = false;
        const Unit *u;
        int r;

        *ret_fault = "it is neither a unit nor labels";
        if (strchr(text, '=') || !text[0]) {
                w->name = strdup("");
                return w->name ? who_from_labels(e, w, text, ret_fault) : -ENOMEM;
        }
        for (size_t i = 0; dot && i < ELEMENTSOF(suffixes); i++)
                complete = complete || streq(dot, suffixes[i]);
        if (asprintf(&w->name, "%s%s", text, complete ? "" : ".service") < 0) {
                w->name = NULL;
                return -ENOMEM;
        }
        u = units_find(&e->manager->units, w->name);
        if (u)
                return who_found(w, u);
        r = helper_request(e->manager, HELPER_GET_UNIT, w->name, 0, on_unit, w);
        if (r >= 0)
                e->n_waiting++;
        return r;
}

int explain_start(Manager *m, sd_bus_message *call, const char *from, const char *to, const char *port, sd_bus_error *error) {
        const char *const texts[] = { from, to };
        const char *fault;
        Explain *e;
        int r = 0;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        *e = (Explain) { .manager = m, .call = sd_bus_message_ref(call), .protocol = IPPROTO_TCP, .n_waiting = 1 }; /* 1: not before we return */
        if (port[0] && policy_port_parse(port, &e->protocol, &e->port) < 0) {
                explain_free(e);
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "\"%s\" is no port; write 80/tcp", port);
        }
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++) {
                e->who[i].explain = e;
                r = who_start(e, &e->who[i], texts[i], &fault);
                if (r < 0) {
                        explain_fail(e, r, "%s", fault);
                        for (size_t k = i; k < ELEMENTSOF(texts); k++)
                                if (!e->who[k].name)
                                        e->who[k].name = strdup("");
                }
        }
        e->n_waiting--;
        explain_finish(e);
        return 0;
}
