/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "policy/acl.h"
#include "policy/evaluate.h"
#include "policy/policy-eval.h"
#include "policy/policy-json.h"

void policy_eval_result_done(PolicyEvalResult *r) {
        free(r->rule);
        free(r->text);
        *r = (PolicyEvalResult) {};
}

int policy_port_parse(const char *s, uint8_t *ret_protocol, uint16_t *ret_port) {
        const char *slash = strchr(s, '/'), *protocol = slash ? slash + 1 : "tcp";
        size_t n = slash ? (size_t) (slash - s) : strlen(s);
        uint16_t first, last;
        char port[6];

        if (n == 0 || n >= sizeof(port) || (!streq(protocol, "tcp") && !streq(protocol, "udp")))
                return -EINVAL;
        memcpy(port, s, n);
        port[n] = '\0';
        if (port_range_parse(port, &first, &last) < 0 || first != last)
                return -EINVAL;
        *ret_protocol = streq(protocol, "tcp") ? IPPROTO_TCP : IPPROTO_UDP;
        *ret_port = first;
        return 0;
}

/* One --rule=, named after its own text. 0 also when a fault was noted. */
static int add_rule(const char *text, RuleList *list, ConfigErrors *errors) {
        _cleanup_(rule_done) Rule rule = { .name = strdup(text) };
        const char *s = text, *why;
        int r;

        if (!rule.name)
                return -ENOMEM;
        for (;;) {
                _cleanup_(clause_done) Clause clause = {};
                _cleanup_free_ char *word = NULL, *escaped = NULL;

                r = config_word(&s, &word);
                if (r == 0)
                        break;
                why = "a quote without its end, or an unknown escape behind a backslash";
                if (r > 0)
                        r = clause_parse(word, &clause, &why);
                if (r >= 0)
                        r = rule_take_clause(&rule, &clause);
                if (r != -EINVAL && r < 0)
                        return r;
                if (r >= 0)
                        continue;
                escaped = text_escape(word ? word : text);
                return escaped ? config_errors_add(errors, "--rule", 0, 0, NULL, "\"%s\": %s", escaped, why) : -ENOMEM;
        }
        if (rule.n_clauses == 0)
                return config_errors_add(errors, "--rule", 0, 0, NULL, "a rule needs at least one clause, as in app=web");
        return rule_list_take(list, &rule);
}

static int add_rules(const PolicyEvalInput *in, RuleSet **ret, ConfigErrors *errors) {
        _cleanup_(rule_list_done) RuleList list = {};

        for (size_t i = 0; i < in->n_rules; i++) {
                int r = add_rule(in->rules[i], &list, errors);

                if (r < 0)
                        return r;
        }
        return rule_set_new(&list, ret);
}

static int find_policy(const PolicyEvalInput *in, const PolicyBook *book, const NamedPolicy **ret, ConfigErrors *errors) {
        *ret = in->policy_name ? policy_book_find(book, in->policy_name) : book->n_policies == 1 ? book->policies : NULL;
        if (*ret)
                return 0;
        if (!in->policy_name)
                return config_errors_add(errors, "--name", 0, 0, NULL, "the file has %zu policies: say which", book->n_policies);
        return config_errors_add(errors, "--name", 0, 0, NULL, "the file has no policy of this name");
}

static int read_request(const PolicyEvalInput *in, TagSet *tags, PolicyRequest *ret, ConfigErrors *errors) {
        const char *why;
        int r = tag_set_from_string(in->tags, tags, &why);

        if (r == -EINVAL)
                r = config_errors_add(errors, "--tags", 0, 0, NULL, "%s", why);
        if (r < 0)
                return r;
        *ret = (PolicyRequest) { .tags = tags, .announced = TAG_FAMILIES_ALL, .protocol = IPPROTO_TCP };
        if (in->port && policy_port_parse(in->port, &ret->protocol, &ret->port) < 0)
                return config_errors_add(errors, "--port", 0, 0, NULL, "write 80/tcp, 53/udp, or 80");
        return 0;
}

static int decide(const PolicySide *side, const PolicyRequest *request, PolicyEvalResult *ret) {
        Verdict v = policy_evaluate(side, request);
        _cleanup_free_ char *rule = v.rule ? strdup(v.rule->name) : NULL, *text = policy_explain(side, request);

        if (!text || (v.rule && !rule))
                return -ENOMEM;
        *ret = (PolicyEvalResult) { .accept = v.accept, .reason = reason_to_string(v.reason), .rule = TAKE_PTR(rule), .text = TAKE_PTR(text) };
        return 0;
}

int policy_eval(const PolicyEvalInput *in, PolicyEvalResult *ret, ConfigErrors *errors) {
        _cleanup_(rule_set_unrefp) RuleSet *rules = NULL;
        _cleanup_(policy_book_done) PolicyBook book = {};
        _cleanup_(tag_set_done) TagSet tags = {};
        size_t n_errors = errors->n_errors;
        const NamedPolicy *policy = NULL;
        PolicyRequest request;
        PolicySide side = {};
        int r;

        r = add_rules(in, &rules, errors);
        if (r >= 0 && in->policy)
                r = policy_book_add(&book, in->policy, errors);
        if (r >= 0 && in->policy)
                r = find_policy(in, &book, &policy, errors);
        if (r >= 0)
                r = read_request(in, &tags, &request, errors);
        if (r >= 0 && errors->n_errors > n_errors)
                r = -EINVAL;
        if (r < 0)
                return r;
        if (policy) {
                const PolicyRules *of = in->connect ? &policy->connect : &policy->accept;

                side = (PolicySide) { of->rejects, of->accepts, NULL, of->observed_rejects, of->observed_accepts };
        }
        if (in->n_rules > 0)
                side.accepts = rules;
        return decide(&side, &request, ret);
}
