/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "policy/json-locate.h"
#include "policy/policy-json.h"
#include "util/array.h"

/* The bits of "Action"; the numbers are the file format's. */
enum {
        ACTION_ACCEPT = 1 << 0,
        ACTION_REJECT = 1 << 1,
        ACTION_ENCRYPT = 1 << 2,
        ACTION_LOG = 1 << 3,
        ACTION_OBSERVE = 1 << 4,
};

typedef struct Parser {
        const ConfigFile *file;
        ConfigErrors *errors;
        int r; /* -ENOMEM, for good; faults are in errors */
} Parser;

/* What "Policy" of a rule or an access list entry says. */
typedef struct Effect {
        unsigned action;
        const char *id; /* borrowed from the JSON tree; "" when there is none */
} Effect;

/* The rules of one direction, sorted by what they do. */
typedef struct Sorted {
        RuleList rejects, accepts, observed_rejects, observed_accepts;
} Sorted;

static void sorted_done(Sorted *s) {
        rule_list_done(&s->rejects);
        rule_list_done(&s->accepts);
        rule_list_done(&s->observed_rejects);
        rule_list_done(&s->observed_accepts);
}

void policy_rules_done(PolicyRules *r) {
        rule_set_unref(r->rejects);
        rule_set_unref(r->accepts);
        rule_set_unref(r->observed_rejects);
        rule_set_unref(r->observed_accepts);
}

static void named_policy_done(NamedPolicy *p) {
        free(p->name);
        policy_rules_done(&p->accept);
        policy_rules_done(&p->connect);
        acl_list_done(&p->accept_from);
        acl_list_done(&p->connect_to);
        *p = (NamedPolicy) {};
}

void policy_book_done(PolicyBook *b) {
        for (size_t i = 0; i < b->n_policies; i++)
                named_policy_done(b->policies + i);
        free(b->policies);
        *b = (PolicyBook) {};
}

const NamedPolicy *policy_book_find(const PolicyBook *b, const char *name) {
        for (size_t i = 0; i < b->n_policies; i++)
                if (streq(b->policies[i].name, name))
                        return b->policies + i;
        return NULL;
}

static void json_free(json_t **v) {
        json_decref(*v);
}

static void note(Parser *p, int r) {
        if (r < 0)
                p->r = r;
}

static void fault(Parser *p, const JsonPath *path, const char *format, ...) _printf_(3, 4);
static void fault(Parser *p, const JsonPath *path, const char *format, ...) {
        _cleanup_free_ char *where = json_path_format(path), *escaped = where ? tag_escape(where) : NULL, *text = NULL;
        unsigned line, column;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        if (!escaped || !text) {
                p->r = -ENOMEM;
                return;
        }
        json_locate(p->file->data, p->file->size, path, &line, &column);
        note(p, config_errors_add(p->errors, p->file->path, line, column, NULL, "%s%s%s", escaped, *escaped ? ": " : "", text));
}

/* Is v an object with no keys but these? */
static bool check_object(Parser *p, const json_t *v, const JsonPath *path, const char *const *known, size_t n_known) {
        const char *key;
        json_t *member;

        if (!json_is_object(v)) {
                fault(p, path, "an object is expected here");
                return false;
        }
        json_object_foreach((json_t *) v, key, member) {
                bool found = false;

                for (size_t i = 0; i < n_known; i++)
                        found = found || streq(key, known[i]);
                if (!found)
                        fault(p, &(JsonPath) { path, key, 0 }, "unknown key");
        }
        return true;
}

/* A list that an older file writes as one string: "Address", a newer one as "Addresses". *ret_path says which. NULL: neither, or a fault. */
static const json_t *either(Parser *p, const json_t *object, const JsonPath *path, const char *one, const char *many, JsonPath *ret_path) {
        const json_t *single = json_object_get(object, one), *list = json_object_get(object, many);

        *ret_path = (JsonPath) { path, single ? one : many, 0 };
        if (single && list) {
                fault(p, path, "\"%s\" and \"%s\" exclude each other", one, many);
                return NULL;
        }
        if (single && !json_is_string(single)) {
                fault(p, ret_path, "a string is expected here");
                return NULL;
        }
        if (list && !json_is_array(list)) {
                fault(p, ret_path, "a list of strings is expected here");
                return NULL;
        }
        return single ? single : list;
}

static size_t list_size(const json_t *v) {
        return json_is_array(v) ? json_array_size(v) : json_is_string(v) ? 1 : 0;
}

/* Entry i of what either() found; NULL after a fault. */
static const char *list_string(Parser *p, const json_t *v, const JsonPath *path, size_t i) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;

        if (!json_is_string(s))
                fault(p, &(JsonPath) { path, NULL, i }, "a string is expected here");
        return json_string_value(s);
}

static bool parse_effect(Parser *p, const json_t *rule, const JsonPath *path, Effect *ret) {
        static const char *const known[] = { "Action", "PolicyID", "ServiceID", "ObserveAction" };
        const JsonPath here = { path, "Policy", 0 }, at = { &here, "Action", 0 };
        const json_t *v = json_object_get(rule, "Policy"), *action, *observe;
        json_int_t bits;

        if (!v) {
                fault(p, path, "\"Policy\" is missing");
                return false;
        }
        if (!check_object(p, v, &here, known, ELEMENTSOF(known)))
                return false;
        for (size_t i = 1; i <= 2; i++) {
                const json_t *id = json_object_get(v, known[i]);

                if (id && !json_is_string(id))
                        fault(p, &(JsonPath) { &here, known[i], 0 }, "a string is expected here");
        }
        action = json_object_get(v, "Action");
        if (!json_is_integer(action)) {
                fault(p, action ? &at : &here, "\"Action\" must be a number: 1 accept or 2 reject, plus 8 log, plus 16 observe");
                return false;
        }
        bits = json_integer_value(action);
        if (bits & ACTION_ENCRYPT && bits > 0 && bits < 32)
                fault(p, &at, "4 (encrypt) is not supported: use TLS or WireGuard");
        else if (bits < 0 || bits >= 32 || !(bits & ACTION_ACCEPT) == !(bits & ACTION_REJECT))
                fault(p, &at, "exactly one of 1 (accept) and 2 (reject) is needed, plus 8 (log), plus 16 (observe)");
        observe = json_object_get(v, "ObserveAction");
        if (observe && (!json_is_integer(observe) || (json_integer_value(observe) != 0 && json_integer_value(observe) != 1)))
                fault(p, &(JsonPath) { &here, "ObserveAction", 0 }, "0 (none) or 1 (continue) is expected here");
        *ret = (Effect) { .action = (unsigned) bits | (json_integer_value(observe) == 1 ? ACTION_OBSERVE : 0), .id = json_string_value(json_object_get(v, "PolicyID")) };
        return true;
}

static char *make_name(Parser *p, const JsonPath *path, const Effect *effect) {
        _cleanup_free_ char *where = json_path_format(path);
        bool has_id = effect->id && *effect->id;
        char *name;

        if (!where || asprintf(&name, "%s: %s%s%s%s", p->file->path, where, has_id ? " (PolicyID " : "", has_id ? effect->id : "", has_id ? ")" : "") < 0) {
                p->r = -ENOMEM;
                return NULL;
        }
        return name;
}

/* ---- Dependencies, ExposureRules ---- */

static int operator_from_string(const char *s) {
        static const struct {
                const char *text;
                ClauseOperator op;
        } operators[] = {
                { "=", CLAUSE_EQUAL }, { "=!", CLAUSE_NOT_EQUAL }, { "!=", CLAUSE_NOT_EQUAL }, { "*", CLAUSE_PRESENT }, { "!*", CLAUSE_ABSENT },
        };

        for (size_t i = 0; s && i < ELEMENTSOF(operators); i++)
                if (streq(s, operators[i].text))
                        return operators[i].op;
        return -EINVAL;
}

static void parse_clause(Parser *p, const json_t *v, const JsonPath *path, Rule *rule) {
        static const char *const known[] = { "Key", "Operator", "Value" };
        const JsonPath at_value = { path, "Value", 0 };
        _cleanup_(clause_done) Clause clause = {};
        _cleanup_(freep) const char **values = NULL;
        const char *key, *text;
        const json_t *list;
        int op, r;

        if (!check_object(p, v, path, known, ELEMENTSOF(known)))
                return;
        key = json_string_value(json_object_get(v, "Key"));
        op = operator_from_string(json_string_value(json_object_get(v, "Operator")));
        list = json_object_get(v, "Value");
        if (!key || op < 0) {
                fault(p, path, !key ? "\"Key\" must be a string" : "\"Operator\" must be \"=\", \"!=\", \"*\" or \"!*\"");
                return;
        }
        if (list && !json_is_null(list) && !json_is_array(list)) {
                fault(p, &at_value, "a list of strings is expected here");
                return;
        }
        values = calloc(list_size(list) + 1, sizeof(*values));
        if (!values) {
                p->r = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < list_size(list); i++) {
                values[i] = list_string(p, list, &at_value, i);
                if (!values[i])
                        return;
        }
        r = clause_make((ClauseOperator) op, key, values, list_size(list), &clause, &text);
        if (r == -EINVAL)
                fault(p, path, "%s", text);
        else
                note(p, r < 0 ? r : rule_take_clause(rule, &clause));
}

static void parse_rule(Parser *p, const json_t *v, const JsonPath *path, Sorted *sorted) {
        static const char *const known[] = { "Clause", "Policy" };
        const JsonPath at_clause = { path, "Clause", 0 };
        size_t n_errors = p->errors->n_errors + p->errors->n_omitted;
        _cleanup_(rule_done) Rule rule = {};
        const json_t *clauses;
        Effect effect = {};

        if (!check_object(p, v, path, known, ELEMENTSOF(known)) || !parse_effect(p, v, path, &effect))
                return;
        clauses = json_object_get(v, "Clause");
        if (!json_is_array(clauses) || json_array_size(clauses) == 0) {
                fault(p, clauses ? &at_clause : path, "\"Clause\" must be a list of at least one clause");
                return;
        }
        for (size_t i = 0; i < json_array_size(clauses); i++)
                parse_clause(p, json_array_get(clauses, i), &(JsonPath) { &at_clause, NULL, i }, &rule);
        if (p->r < 0 || p->errors->n_errors + p->errors->n_omitted > n_errors)
                return;
        rule.name = make_name(p, path, &effect);
        rule.flags = (effect.action & ACTION_LOG ? RULE_LOG : 0) | (effect.action & ACTION_OBSERVE ? RULE_OBSERVE : 0);
        if (rule.name && effect.action & ACTION_OBSERVE)
                note(p, rule_list_take(effect.action & ACTION_REJECT ? &sorted->observed_rejects : &sorted->observed_accepts, &rule));
        else if (rule.name)
                note(p, rule_list_take(effect.action & ACTION_REJECT ? &sorted->rejects : &sorted->accepts, &rule));
}

static void parse_rules(Parser *p, const json_t *policy, const JsonPath *path, const char *key, PolicyRules *ret) {
        const json_t *list = json_object_get(policy, key);
        const JsonPath here = { path, key, 0 };
        _cleanup_(sorted_done) Sorted sorted = {};

        if (list && !json_is_null(list) && !json_is_array(list))
                fault(p, &here, "a list of rules is expected here");
        for (size_t i = 0; i < list_size(list); i++)
                parse_rule(p, json_array_get(list, i), &(JsonPath) { &here, NULL, i }, &sorted);
        note(p, rule_set_new(&sorted.rejects, &ret->rejects));
        note(p, rule_set_new(&sorted.accepts, &ret->accepts));
        note(p, rule_set_new(&sorted.observed_rejects, &ret->observed_rejects));
        note(p, rule_set_new(&sorted.observed_accepts, &ret->observed_accepts));
}

/* ---- ApplicationACLs, NetworkACLs ---- */

static int protocol_from_string(const char *s) {
        static const struct {
                const char *name;
                int protocol;
        } protocols[] = {
                { "tcp", IPPROTO_TCP }, { "6", IPPROTO_TCP },   { "udp", IPPROTO_UDP },      { "17", IPPROTO_UDP },
                { "icmp", IPPROTO_ICMP }, { "1", IPPROTO_ICMP }, { "icmp6", IPPROTO_ICMPV6 }, { "58", IPPROTO_ICMPV6 },
                { "all", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
                if (strcasecmp(s, protocols[i].name) == 0)
                        return protocols[i].protocol;
        return -EINVAL;
}

typedef struct AclSource {
        const json_t *addresses, *ports, *protocols;
        JsonPath at_addresses, at_ports, at_protocols;
} AclSource;

/* One address with every protocol and port. ICMP of the other family is passed over; whether nothing is left is checked by the caller. */
static void add_address(Parser *p, const AclSource *s, AclEntry e, AclList *list) {
        for (size_t i = 0; i < list_size(s->protocols); i++) {
                const char *name = list_string(p, s->protocols, &s->at_protocols, i), *port = "";
                int protocol = name ? protocol_from_string(name) : -EINVAL, r;
                bool icmp = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;

                if (protocol < 0) {
                        fault(p, &s->at_protocols, "\"tcp\", \"udp\", \"icmp\", \"icmp6\" or \"all\" is expected here");
                        return;
                }
                if (icmp && e.network.family != (protocol == IPPROTO_ICMP ? AF_INET : AF_INET6))
                        continue;
                e.protocol = (uint8_t) protocol;
                for (size_t k = 0; k < MAX(list_size(s->ports), (size_t) 1); k++) {
                        if (list_size(s->ports) > 0)
                                port = list_string(p, s->ports, &s->at_ports, k);
                        if (!port)
                                return;
                        r = icmp ? (*port ? -EINVAL : 0) : port_range_parse(port, &e.port_first, &e.port_last);
                        if (r < 0) {
                                fault(p, &s->at_ports, icmp ? "icmp has no ports" : r == -ERANGE ? "the port range is upside down" : "\"80\", \"1:65535\" or \"\" is expected here");
                                return;
                        }
                        if (icmp) {
                                e.port_first = 0;
                                e.port_last = 65535;
                        }
                        note(p, acl_list_add(list, &e));
                }
        }
}

static void parse_acl(Parser *p, const json_t *v, const JsonPath *path, AclList *list) {
        static const char *const known[] = { "Address", "Addresses", "Port", "Ports", "Protocol", "Protocols", "Policy" };
        size_t n_errors = p->errors->n_errors + p->errors->n_omitted, n_entries = list->n_entries;
        _cleanup_free_ char *name = NULL;
        Effect effect = {};
        AclSource s;

        if (!check_object(p, v, path, known, ELEMENTSOF(known)) || !parse_effect(p, v, path, &effect))
                return;
        if (effect.action & ACTION_OBSERVE)
                fault(p, path, "16 (observe) is not supported in access lists");
        s.addresses = either(p, v, path, "Address", "Addresses", &s.at_addresses);
        s.ports = either(p, v, path, "Port", "Ports", &s.at_ports);
        s.protocols = either(p, v, path, "Protocol", "Protocols", &s.at_protocols);
        if (list_size(s.addresses) == 0 || list_size(s.protocols) == 0) {
                fault(p, path, "\"Address\" and \"Protocol\" are needed");
                return;
        }
        name = make_name(p, path, &effect);
        for (size_t i = 0; name && i < list_size(s.addresses); i++) {
                AclEntry e = { .reject = effect.action & ACTION_REJECT, .log = effect.action & ACTION_LOG, .name = name };
                const char *address = list_string(p, s.addresses, &s.at_addresses, i), *text;

                if (!address)
                        return;
                if (ip_network_parse(address, &e.network, &text) < 0) {
                        fault(p, json_is_array(s.addresses) ? &(JsonPath) { &s.at_addresses, NULL, i } : &s.at_addresses, "%s", text);
                        return;
                }
                add_address(p, &s, e, list);
        }
        if (p->r >= 0 && p->errors->n_errors + p->errors->n_omitted == n_errors && list->n_entries == n_entries)
                fault(p, path, "icmp belongs to IPv4 addresses, icmp6 to IPv6 addresses");
}

static void parse_acls(Parser *p, const json_t *policy, const JsonPath *path, const char *key, AclList *ret) {
        const json_t *list = json_object_get(policy, key);
        const JsonPath here = { path, key, 0 };

        if (list && !json_is_null(list) && !json_is_array(list))
                fault(p, &here, "a list of access list entries is expected here");
        for (size_t i = 0; i < list_size(list); i++)
                parse_acl(p, json_array_get(list, i), &(JsonPath) { &here, NULL, i }, ret);
}

/* ---- the file ---- */

static void parse_policy(Parser *p, const char *name, const json_t *v, PolicyBook *book) {
        static const char *const known[] = { "ApplicationACLs", "NetworkACLs", "Dependencies", "ExposureRules" };
        _cleanup_(named_policy_done) NamedPolicy policy = {};
        const JsonPath path = { NULL, name, 0 };

        if (*name == '\0' || !tag_value_is_valid(name, strlen(name)))
                fault(p, &path, "a policy's name has 1 to 255 bytes and no control characters");
        if (!check_object(p, v, &path, known, ELEMENTSOF(known)))
                return;
        parse_acls(p, v, &path, "ApplicationACLs", &policy.connect_to);
        parse_acls(p, v, &path, "NetworkACLs", &policy.accept_from);
        parse_rules(p, v, &path, "Dependencies", &policy.connect);
        parse_rules(p, v, &path, "ExposureRules", &policy.accept);
        policy.name = strdup(name);
        if (!policy.name || !ARRAY_GROW(book->policies, book->n_policies)) {
                p->r = -ENOMEM;
                return;
        }
        book->policies[book->n_policies++] = policy;
        policy = (NamedPolicy) {};
}

static int parse_file(Parser *p, PolicyBook *book) {
        _cleanup_(json_free) json_t *root = NULL;
        json_error_t error;
        const char *name;
        json_t *v;

        root = json_loadb(p->file->data, p->file->size, JSON_REJECT_DUPLICATES, &error);
        if (!root && json_error_code(&error) == json_error_out_of_memory)
                return -ENOMEM;
        if (!root) {
                _cleanup_free_ char *text = text_escape(error.text);

                if (!text)
                        return -ENOMEM;
                return config_errors_add(p->errors, p->file->path, (unsigned) MAX(error.line, 1), (unsigned) MAX(error.column, 1), NULL, "%s%s",
                                         json_error_code(&error) == json_error_invalid_utf8 ? "the file is not UTF-8: " : "", text);
        }
        if (!json_is_object(root))
                fault(p, NULL, "an object of named policies is expected here");
        json_object_foreach(root, name, v)
                parse_policy(p, name, v, book);
        return p->r;
}

int policy_book_add(PolicyBook *b, const ConfigFile *file, ConfigErrors *errors) {
        size_t n_errors = errors->n_errors, n_omitted = errors->n_omitted;
        Parser p = { .file = file, .errors = errors };
        _cleanup_(policy_book_done) PolicyBook more = {};
        int r = parse_file(&p, &more);

        for (size_t i = 0; r >= 0 && i < more.n_policies; i++)
                if (policy_book_find(b, more.policies[i].name)) {
                        fault(&p, &(JsonPath) { NULL, more.policies[i].name, 0 }, "another file has a policy of this name");
                        r = p.r;
                }
        if (r >= 0 && (errors->n_errors > n_errors || errors->n_omitted > n_omitted))
                r = -EINVAL;
        for (size_t i = 0; r >= 0 && i < more.n_policies; i++) {
                if (!ARRAY_GROW(b->policies, b->n_policies + i))
                        r = -ENOMEM;
                else
                        b->policies[b->n_policies + i] = more.policies[i];
        }
        if (r < 0)
                return r;
        b->n_policies += more.n_policies;
        more.n_policies = 0;
        return 0;
}
