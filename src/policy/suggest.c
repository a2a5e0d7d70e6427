/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/suggest.h"

#include <errno.h>
#include <stdio.h>

#include "policy/acl.h"
#include "policy/clause.h"
#include "policy/reason.h"
#include "policy/tags.h"
#include "util/array.h"

void suggestion_list_done(SuggestionList *l) {
        for (size_t i = 0; i < l->n_items; i++) {
                free(l->items[i].line);
                free(l->items[i].why);
        }
        free(l->items);
        *l = (SuggestionList) {};
}

char *suggest_line(bool connect, const char *rule) {
        const char *key = connect ? "TriremeConnect=" : "TriremeAccept=";
        char *line = malloc(strlen(key) + 2 * strlen(rule) + 1), *out = line;

        if (!line)
                return NULL;
        for (out = stpcpy(out, key); *rule; rule++) {
                if (*rule == '%')
                        *out++ = '%';
                *out++ = *rule;
        }
        *out = '\0';
        return line;
}

/* Tokens may carry values that mean something else in a clause ("a|b", "a*", "!a"). 1, 0: no clause says just this, -ENOMEM. */
static int is_clause(const Tag *t) {
        _cleanup_(clause_done) Clause c = {};
        _cleanup_free_ char *word = NULL;
        const char *fault;
        int r;

        if (asprintf(&word, "%s=%s", t->key, t->value) < 0) {
                word = NULL;
                return -ENOMEM;
        }
        r = clause_parse(word, &c, &fault);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        return c.op == CLAUSE_EQUAL && streq(c.key, t->key) && c.n_values == 1 && !c.values[0].prefix && streq(c.values[0].text, t->value);
}

/* All labels of the peer, or its unit's name if it has none: the narrowest rule that names it. NULL in *ret: there is none. */
static int make_rule(const SuggestDenial *d, const TagSet *labels, char **ret) {
        _cleanup_free_ char *rule = strdup("");
        int r;

        for (size_t i = 0; rule && i < labels->n_tags; i++) {
                _cleanup_free_ char *text = tag_format(&labels->tags[i]), *old = TAKE_PTR(rule);

                r = is_clause(&labels->tags[i]);
                if (r < 0)
                        return r;
                if (!text || asprintf(&rule, "%s%s%s", old, r > 0 && *old ? " " : "", r > 0 ? text : "") < 0)
                        return -ENOMEM;
        }
        if (rule && !*rule && d->peer_unit[0] && !strchr(d->peer_unit, '\\')) { /* of a name with an escape records do not say who escaped it */
                free(rule);
                if (asprintf(&rule, "@sys:unit=%s", d->peer_unit) < 0)
                        rule = NULL;
        }
        if (!rule)
                return -ENOMEM;
        *ret = *rule ? TAKE_PTR(rule) : NULL;
        return 0;
}

static int rule_for_peer(const SuggestDenial *d, char **ret) {
        _cleanup_(tag_set_done) TagSet labels = {};
        _cleanup_free_ char *rule = NULL, *text = NULL;
        char port[sizeof(" @port=tcp/65535")] = "";
        const char *fault;
        int r = tag_set_from_string(d->labels, &labels, &fault);

        if (r >= 0)
                r = make_rule(d, &labels, &rule);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !rule) {
                *ret = NULL;
                return 0;
        }
        if (d->port > 0 && (streq(d->protocol, "tcp") || streq(d->protocol, "udp")))
                (void) snprintf(port, sizeof(port), " @port=%s/%u", d->protocol, d->port);
        if (asprintf(&text, "%s%s", rule, port) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        *ret = suggest_line(d->connect, text);
        return *ret ? 0 : -ENOMEM;
}

/* NULL in *ret: not an address, or a protocol that has no access list for strangers in this direction. */
static int line_for_stranger(const SuggestDenial *d, char **ret) {
        bool has_ports = streq(d->protocol, "tcp") || streq(d->protocol, "udp"), icmp = streq(d->protocol, "icmp") || streq(d->protocol, "icmp6");
        _cleanup_free_ char *text = NULL;
        const char *fault;
        char port[8] = "";
        IpNetwork n;

        if (has_ports)
                (void) snprintf(port, sizeof(port), "/%u", d->port);
        *ret = NULL;
        if (ip_network_parse(d->address, &n, &fault) < 0 || !(has_ports || (icmp && d->connect)))
                return 0;
        text = ip_network_format(&n);
        if (text && asprintf(ret, "%s%s %s%s", d->connect ? "TriremeConnectTo=" : "TriremeAcceptFrom=", text, d->protocol, port) >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

/* Takes both strings. */
static int list_add(SuggestionList *l, const SuggestDenial *d, char *line, char *why, bool rule) {
        Suggestion *s = NULL;

        for (size_t i = 0; i < l->n_items && !s; i++) {
                Suggestion *other = &l->items[i];

                if (line ? other->line && streq(line, other->line) : !other->line && other->connect == d->connect && streq(why, other->why))
                        s = other;
        }
        if (!s) {
                if (!ARRAY_GROW(l->items, l->n_items)) {
                        free(line);
                        free(why);
                        return -ENOMEM;
                }
                s = &l->items[l->n_items++];
                *s = (Suggestion) { .line = TAKE_PTR(line), .why = TAKE_PTR(why), .connect = d->connect, .rule = rule };
        }
        free(line);
        free(why);
        s->n_denials++;
        return 0;
}

static char *make_why(const SuggestDenial *d, Reason reason, bool line) {
        bool rejected = reason == REASON_RULE || reason == REASON_ACL;
        char *why = NULL;

        if (line && d->claimed)
                return asprintf(&why, "%s, by a peer that showed such a token but did not prove that it is its own", d->reason) < 0 ? NULL : why;
        if (line)
                return strdup(d->reason);
        if (rejected && asprintf(&why, "%s: rejected by %s, which no line here overrules", d->address, d->rule[0] ? d->rule : "a rule") < 0)
                return NULL;
        if (!rejected && asprintf(&why, "%s: %s: %s", d->address, d->reason, reason_explain(reason)) < 0)
                return NULL;
        return why;
}

int suggest(const SuggestDenial *d, SuggestionList *l) {
        Reason reason = reason_from_string(d->reason);
        bool rule = reason == REASON_NO_RULE || reason == REASON_NOT_ANNOUNCED; /* its token was verified, or another reason would stand here */
        char *line = NULL, *why;
        int r = 0;

        if (rule)
                r = rule_for_peer(d, &line);
        else if (reason == REASON_NO_IDENTITY)
                r = line_for_stranger(d, &line);
        if (r < 0)
                return r;
        why = make_why(d, reason, line);
        if (!why) {
                free(line);
                return -ENOMEM;
        }
        return list_add(l, d, line, why, rule && line);
}
