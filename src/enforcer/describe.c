/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/describe.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "enforcer/describe-keys.h"

#include "enforcer/identity.h"

static const char *const datapath_counter_names[_DATAPATH_COUNTER_MAX] = {
        [DATAPATH_COUNTER_PACKETS] = "packets",
        [DATAPATH_COUNTER_MALFORMED] = "malformed",
        [DATAPATH_COUNTER_OVERRUN] = "queue-overruns",
        [DATAPATH_COUNTER_PENDING_FULL] = "pending-full",
        [DATAPATH_COUNTER_FLOWS_FULL] = "flows-full",
        [DATAPATH_COUNTER_AUTHENTICATED] = "authenticated",
        [DATAPATH_COUNTER_REJECTED] = "rejected",
        [DATAPATH_COUNTER_BAD_MAC] = "bad-mac",
        [DATAPATH_COUNTER_BAD_ACK_NUMBER] = "bad-ack-number",
        [DATAPATH_COUNTER_NO_STATE] = "no-state",
        [DATAPATH_COUNTER_NO_ANSWER] = "no-answer",
};

size_t describe_counters(const Manager *m, Counter ret[static COUNTERS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < _DATAPATH_COUNTER_MAX; i++)
                ret[n++] = (Counter) { datapath_counter_names[i], m->counters.values[i] };
        ret[n++] = (Counter) { "half-open", m->counters.n_flows };
        ret[n++] = (Counter) { "peers", m->counters.n_peers };
        ret[n++] = (Counter) { "decisions", m->counters.n_decisions };
        ret[n++] = (Counter) { "pending", m->counters.n_pending };
        ret[n++] = (Counter) { "flows-accepted", m->flows.n_by_verdict[DATAPATH_FLOW_ACCEPT] };
        ret[n++] = (Counter) { "flows-rejected", m->flows.n_by_verdict[DATAPATH_FLOW_REJECT] };
        ret[n++] = (Counter) { "flows-would-reject", m->flows.n_by_verdict[DATAPATH_FLOW_WOULD_REJECT] };
        ret[n++] = (Counter) { "records-lost", m->n_flows_lost };
        ret[n++] = (Counter) { "cgroups", m->helper_state.n_units };
        ret[n++] = (Counter) { "cgroups-closed", m->helper_state.n_closed };
        ret[n++] = (Counter) { "table-lost", m->helper_state.table_lost };
        return n;
}

const char *unit_tag_origin(const Unit *u, const Tag *t) {
        return identity_origin(u, t);
}

static const char *acl_protocol(uint8_t protocol) {
        return protocol == IPPROTO_ICMPV6 ? "icmp6" : protocol == 0 ? "" : protocol_to_string(protocol);
}

char *acl_entry_text(const AclEntry *e) {
        _cleanup_free_ char *network = ip_network_format(&e->network);
        bool all = e->port_first == 0 && e->port_last == 65535;
        char ports[32] = "", *text;

        if (!network)
                return NULL;
        if (!all && e->port_first == e->port_last)
                (void) snprintf(ports, sizeof(ports), "/%u", e->port_first);
        else if (!all)
                (void) snprintf(ports, sizeof(ports), "/%u-%u", e->port_first, e->port_last);
        if (asprintf(&text, "%s%s %s%s", e->reject ? "reject " : "", network, acl_protocol(e->protocol), ports) < 0)
                return NULL;
        return text;
}

/* The new reference of value goes to array; a NULL value means out of memory. */
static int append_text(json_t *array, char *text) {
        int r = text ? json_array_append_new(array, json_string(text)) : -1;

        free(text);
        return r < 0 ? -ENOMEM : 0;
}

static int fill_labels(json_t *array, const TagSet *labels) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < labels->n_tags; i++)
                r = append_text(array, tag_format(&labels->tags[i]));
        return r;
}

static int describe_set(const RuleSet *rules, const char *prefix, describe_text_t done, void *userdata) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < rule_set_size(rules); i++) {
                _cleanup_free_ char *rule = rule_format(rule_set_rule(rules, i)), *text = NULL;

                if (!rule || asprintf(&text, "%s%s", prefix, rule) < 0)
                        return -ENOMEM;
                r = done(text, userdata);
        }
        return r;
}

int describe_rules(const UnitPolicy *p, bool connect, describe_text_t done, void *userdata) {
        const PolicySide side = unit_policy_side(p, connect);
        int r;

        r = describe_set(side.observed_rejects, "observe reject ", done, userdata);
        if (r >= 0)
                r = describe_set(side.rejects, "reject ", done, userdata);
        if (r >= 0)
                r = describe_set(side.observed_accepts, "observe ", done, userdata);
        if (r >= 0)
                r = describe_set(side.accepts, "", done, userdata);
        return r >= 0 && side.same_label ? done("same-label", userdata) : r;
}

static int fill_text(const char *text, void *userdata) {
        return append_text(userdata, strdup(text));
}

static int fill_acl(json_t *array, const AclList *list) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < list->n_entries; i++)
                r = append_text(array, acl_entry_text(&list->entries[i]));
        return r;
}

static int fill_policy(json_t *o, const UnitPolicy *p) {
        int r;

        r = fill_labels(json_object_get(o, "labels"), &p->labels);
        if (r >= 0)
                r = fill_labels(json_object_get(o, "tags"), &p->tags);
        if (r >= 0)
                r = describe_rules(p, false, fill_text, json_object_get(o, "accept"));
        if (r >= 0)
                r = describe_rules(p, true, fill_text, json_object_get(o, "connect"));
        if (r >= 0)
                r = fill_acl(json_object_get(o, "accept_from"), &p->accept_from);
        if (r >= 0)
                r = fill_acl(json_object_get(o, "connect_to"), &p->connect_to);
        for (char **f = p->files; r >= 0 && f && *f; f++)
                r = append_text(json_object_get(o, "files"), strdup(*f));
        return r;
}

/* Where each of the tags comes from, in their order. */
static int fill_origins(json_t *array, const Unit *u) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < u->policy->tags.n_tags; i++)
                r = append_text(array, strdup(unit_tag_origin(u, &u->policy->tags.tags[i])));
        return r;
}

static json_t *unit_to_json(const Unit *u) {
        json_t *o = json_pack("{s:s s:[] s:s s:s s:s s:s s:s s:s s:I s:i s:[] s:[] s:[] s:[] s:[] s:[] s:[] s:[]}", "unit", u->name, "labels", "mode", unit_mode_in_force(u),
                              "state", unit_state_to_string(u->state), "reason", u->reason_text ?: "", "cgroup", u->info.cgroup, "object", u->path,
                              "policy", u->policy && u->policy->name ? u->policy->name : "",
                              "cgroup_id", (json_int_t) u->info.cgroup_id, "index", (int) u->index, "tags", "tag_origins", "accept", "connect", "accept_from", "connect_to", "files", "plugin_faults");

        if (o && ((u->policy && (fill_policy(o, u->policy) < 0 || fill_origins(json_object_get(o, "tag_origins"), u) < 0)) || identity_faults(u, fill_text, json_object_get(o, "plugin_faults")) < 0)) {
                json_decref(o);
                return NULL;
        }
        return o;
}

/* Takes o; NULL: out of memory. Text that is no UTF-8 cannot be in here: tags are, and faults are escaped. */
static int json_to_text(json_t *o, char **ret) {
        char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

        json_decref(o);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int describe_unit(const Unit *u, char **ret) {
        return json_to_text(unit_to_json(u), ret);
}

static json_t *counters_to_json(const Manager *m) {
        Counter counters[COUNTERS_MAX];
        size_t n = describe_counters(m, counters);
        json_t *o = json_object();

        for (size_t i = 0; o && i < n; i++)
                if (json_object_set_new(o, counters[i].name, json_integer((json_int_t) counters[i].value)) < 0) {
                        json_decref(o);
                        return NULL;
                }
        return o;
}

static json_t *units_to_json(const Manager *m) {
        json_t *array = json_array();

        for (const Unit *u = m->units.first; array && u; u = u->next)
                if (!u->remnant && json_array_append_new(array, unit_to_json(u)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

int describe_manager(const Manager *m, char **ret) {
        uint64_t until = m->helper_state.disarmed_until_usec;
        char clock[512];
        json_t *o;

        wall_clock_text(&m->clock, clock_boottime_usec(), clock);

        /* "o" takes the references also when packing fails */
        o = json_pack("{s:s s:s s:b s:I s:s s:b s:s s:s s:s s:s s:{s:b s:b} s:b s:I s:o s:o s:o}", "version", TRIREME_VERSION, "hostname", m->hostname, "armed", until == 0,
                      "disarmed_until_usec", until == USEC_INFINITY ? (json_int_t) -1 : (json_int_t) until, "key_mode", key_mode_to_string(m->keys->mode),
                      "key_is_group_secret", m->keys->mode == KEY_PSK, "key_fault", m->keys->fault ?: "", "clock_fault", clock, "config_fault", m->config_fault ?: "", "policies_fault", m->policies_fault ?: "",
                      "connected", "helper", (int) m->helper_ready, "datapath", (int) m->datapath_ready, "native_queue", (int) m->helper_state.native_queue,
                      "clock_behind_sec", (json_int_t) m->clock.behind_sec, "key", describe_keys(m->keys),
                      "counters", counters_to_json(m), "units", units_to_json(m));
        return json_to_text(o, ret);
}
