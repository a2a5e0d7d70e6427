/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "policy/policy-eval.h"
#include "policy/policy-json.h"

/* In the shape of the file that came with the first Trireme. */
static const char original[] =
        "{ \"Web\": { \"ApplicationACLs\": [{\"Address\": \"192.30.253.0/24\", \"Port\": \"80\", \"Protocol\": \"TCP\",\n"
        "                                  \"Policy\": {\"Action\": 1, \"PolicyID\": \"1\", \"ServiceID\": \"\"}},\n"
        "                                 {\"Address\": \"0.0.0.0/0\", \"Port\": \"\", \"Protocol\": \"icmp\", \"Policy\": {\"Action\": 1, \"PolicyID\": \"3\"}}],\n"
        "           \"NetworkACLs\": [{\"Address\": \"10.0.0.0/8\", \"Port\": \"1:65535\", \"Protocol\": \"tcp\", \"Policy\": {\"Action\": 10}}],\n"
        "           \"Dependencies\": [{\"Clause\": [{\"Key\": \"@usr:app\", \"Operator\": \"=\", \"Value\": [\"db\"]}],\n"
        "                              \"Policy\": {\"Action\": 1, \"PolicyID\": \"8\", \"ServiceID\": \"\"}}],\n"
        "           \"ExposureRules\": [{\"Clause\": [{\"Key\": \"@usr:env\", \"Operator\": \"=\", \"Value\": [\"dev\", \"te*\"]}], \"Policy\": {\"Action\": 1, \"PolicyID\": \"8\"}},\n"
        "                               {\"Clause\": [{\"Key\": \"@usr:env\", \"Operator\": \"=!\", \"Value\": [\"x\"]}, {\"Key\": \"bad\", \"Operator\": \"*\"}],\n"
        "                                \"Policy\": {\"Action\": 2, \"PolicyID\": \"9\"}},\n"
        "                               {\"Clause\": [{\"Key\": \"@usr:env\", \"Operator\": \"!*\", \"Value\": null}], \"Policy\": {\"Action\": 18}}] },\n"
        "  \"DB\": {} }\n";

static int add(PolicyBook *book, const char *text, ConfigErrors *errors) {
        return policy_book_add(book, &(ConfigFile) { "/etc/p.json", text, strlen(text) }, errors);
}

static void the_original_file_loads_as_it_is(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(policy_book_done) PolicyBook book = {};
        _cleanup_free_ char *error = NULL, *rule = NULL, *network = NULL;
        const NamedPolicy *p;

        if (add(&book, original, &errors) < 0)
                fail_msg("%s", error = config_errors_format(&errors));
        assert_int_equal(book.n_policies, 2);
        assert_non_null(policy_book_find(&book, "DB"));
        assert_null(policy_book_find(&book, "db"));
        p = policy_book_find(&book, "Web");
        assert_int_equal(p->connect_to.n_entries, 2);
        network = ip_network_format(&p->connect_to.entries[0].network);
        assert_string_equal(network, "192.30.253.0/24");
        assert_int_equal(p->connect_to.entries[0].port_last, 80);
        assert_string_equal(p->connect_to.entries[0].name, "/etc/p.json: Web.ApplicationACLs[0] (PolicyID 1)");
        assert_int_equal(p->connect_to.entries[1].protocol, IPPROTO_ICMP);
        assert_true(p->accept_from.entries[0].reject && p->accept_from.entries[0].log);
        assert_int_equal(rule_set_size(p->connect.accepts), 1);
        assert_int_equal(rule_set_size(p->accept.accepts), 1);
        assert_int_equal(rule_set_size(p->accept.rejects), 1);
        assert_int_equal(rule_set_size(p->accept.observed_rejects), 1);
        assert_string_equal(rule_set_rule(p->accept.rejects, 0)->name, "/etc/p.json: Web.ExposureRules[1] (PolicyID 9)");
        rule = rule_format(rule_set_rule(p->accept.rejects, 0));
        assert_string_equal(rule, "env!=x bad");
}

static void newer_files_with_lists_load_too(void **state) {
        static const char text[] = "{\"P\":{\"ApplicationACLs\":[{\"Addresses\":[\"10.0.0.0/8\",\"fd00::/8\"],\"Ports\":[\"80\",\"443\"],\"Protocols\":[\"tcp\",\"udp\"],"
                                   "\"Policy\":{\"Action\":1}},{\"Addresses\":[\"10.0.0.0/8\",\"fd00::/8\"],\"Protocols\":[\"icmp6\"],\"Policy\":{\"Action\":1,\"ObserveAction\":0}}]}}";
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(policy_book_done) PolicyBook book = {};

        assert_int_equal(add(&book, text, &errors), 0);
        assert_int_equal(book.policies[0].connect_to.n_entries, 9);
}

#define RULE(clause, action) "{\n\"P\": {\"ExposureRules\": [\n  {\"Clause\": [" clause "], \"Policy\": {\"Action\": " action "}}]}}"
#define CLAUSE "{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": [\"web\"]}"
#define ACL(fields) "{\"P\": {\"NetworkACLs\": [{" fields "\"Policy\": {\"Action\": 1}}]}}"

static void each_fault_is_named_with_line_and_column(void **state) {
        static const struct {
                const char *text, *error;
        } cases[] = {
                { "", "/etc/p.json:1:1: '[' or '{' expected near end of file" },
                { "{\"P\xff\": {}}", "/etc/p.json:1:3: the file is not UTF-8: unable to decode byte 0xff near '\"P'" },
                { "[]", "/etc/p.json:1:1: an object of named policies is expected here" },
                { "{\"P\": {},}", "/etc/p.json:1:10: string or '}' expected near '}'" },
                { "{\"P\": {},\n \"P\": {}}", "/etc/p.json:2:4: duplicate object key near '\"P\"'" },
                { "{\"P\": {\"NetworkACLs\": [], \"NetworkACLs\": []}}", "/etc/p.json:1:39: duplicate object key near '\"NetworkACLs\"'" },
                { "{\"P\": 7}", "/etc/p.json:1:2: P: an object is expected here" },
                { "{\"P\": {\n  \"Rules\": []}}", "/etc/p.json:2:3: P.Rules: unknown key" },
                { "{\"P\": {\"ExposureRules\": {}}}", "/etc/p.json:1:8: P.ExposureRules: a list of rules is expected here" },
                { "{\"\": {}}", "/etc/p.json:1:2: a policy's name has 1 to 255 bytes and no control characters" },
                { RULE("", "1"), "/etc/p.json:3:4: P.ExposureRules[0].Clause: \"Clause\" must be a list of at least one clause" },
                { RULE(CLAUSE, "0"), "/etc/p.json:3:78: P.ExposureRules[0].Policy.Action: exactly one of 1 (accept) and 2 (reject) is needed, plus 8 (log), plus 16 (observe)" },
                { RULE(CLAUSE, "3"), "/etc/p.json:3:78: P.ExposureRules[0].Policy.Action: exactly one of 1 (accept) and 2 (reject) is needed, plus 8 (log), plus 16 (observe)" },
                { RULE(CLAUSE, "33"), "/etc/p.json:3:78: P.ExposureRules[0].Policy.Action: exactly one of 1 (accept) and 2 (reject) is needed, plus 8 (log), plus 16 (observe)" },
                { RULE(CLAUSE, "5"), "/etc/p.json:3:78: P.ExposureRules[0].Policy.Action: 4 (encrypt) is not supported: use TLS or WireGuard" },
                { RULE(CLAUSE, "\"1\""), "/etc/p.json:3:78: P.ExposureRules[0].Policy.Action: \"Action\" must be a number: 1 accept or 2 reject, plus 8 log, plus 16 observe" },
                { "{\"P\": {\"ExposureRules\": [{\"Clause\": [" CLAUSE "]}]}}", "/etc/p.json:1:26: P.ExposureRules[0]: \"Policy\" is missing" },
                { RULE(CLAUSE ", {\"Key\": \"app\", \"Operator\": \"=\", \"Value\": []}", "1"), "/etc/p.json:3:66: P.ExposureRules[0].Clause[1]: a value is missing" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"=\"}", "1"), "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: a value is missing" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": [\"\"]}", "1"), "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: a value is missing" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"*\", \"Value\": [\"x\"]}", "1"),
                  "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: this operator takes no value" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"~\", \"Value\": [\"x\"]}", "1"),
                  "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: \"Operator\" must be \"=\", \"!=\", \"*\" or \"!*\"" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": \"x\"}", "1"),
                  "/etc/p.json:3:47: P.ExposureRules[0].Clause[0].Value: a list of strings is expected here" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": [7]}", "1"),
                  "/etc/p.json:3:57: P.ExposureRules[0].Clause[0].Value[0]: a string is expected here" },
                { RULE("{\"Key\": \"@sys:port\", \"Operator\": \"=\", \"Value\": [\"7\"]}", "1"),
                  "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: unknown tag namespace: write a label without \"@\", \"@sys:\" and a system tag, \"@PLUG-IN:KEY\", or \"@port\"" },
                { RULE("{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": [\"x\"], \"ID\": \"\"}", "1"), "/etc/p.json:3:63: P.ExposureRules[0].Clause[0].ID: unknown key" },
                { ACL("\"Address\": \"10.0.0.1/8\", \"Protocol\": \"tcp\", "),
                  "/etc/p.json:1:25: P.NetworkACLs[0].Address: the address has bits behind the prefix length: write the network's first address, or a longer prefix" },
                { ACL("\"Address\": \"!10.0.0.0/8\", \"Protocol\": \"tcp\", "),
                  "/etc/p.json:1:25: P.NetworkACLs[0].Address: not an IP network: write 192.0.2.0/24 or 2001:db8::/32" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Addresses\": [], \"Protocol\": \"tcp\", "),
                  "/etc/p.json:1:24: P.NetworkACLs[0]: \"Address\" and \"Addresses\" exclude each other\n/etc/p.json:1:24: P.NetworkACLs[0]: \"Address\" and \"Protocol\" are needed" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Protocol\": \"tcp\", \"Port\": \"9:8\", "),
                  "/etc/p.json:1:69: P.NetworkACLs[0].Port: the port range is upside down" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Protocol\": \"tcp\", \"Port\": \"9-x\", "),
                  "/etc/p.json:1:69: P.NetworkACLs[0].Port: \"80\", \"1:65535\" or \"\" is expected here" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Protocol\": \"tcp\", \"Port\": 80, "), "/etc/p.json:1:69: P.NetworkACLs[0].Port: a string is expected here" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Protocol\": \"gre\", "),
                  "/etc/p.json:1:50: P.NetworkACLs[0].Protocol: \"tcp\", \"udp\", \"icmp\", \"icmp6\" or \"all\" is expected here" },
                /* what stands in front of the fault does not mislead the search for it */
                { "{\"P\": {\"ExposureRules\": [{\"Policy\": {\"Action\": 1, \"PolicyID\": \"a\\\"}]\"},\n \"Clause\": []}]}}",
                  "/etc/p.json:2:2: P.ExposureRules[0].Clause: \"Clause\" must be a list of at least one clause" },
                { "{\"P\": {\"Dependencies\": null, \"NetworkACLs\": [],\n\"ExposureRules\": 7}}", "/etc/p.json:2:1: P.ExposureRules: a list of rules is expected here" },
                { "{\"P\": {\"NetworkACLs\": {}}}", "/etc/p.json:1:8: P.NetworkACLs: a list of access list entries is expected here" },
                { "{\"\\u0050\": {\"Foo\": 1}}", "/etc/p.json:1:1: P.Foo: unknown key" }, /* a key with escapes is not found: the object above it is */
                { RULE("7", "1"), "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: an object is expected here" },
                { RULE("{\"Operator\": \"*\"}", "1"), "/etc/p.json:3:15: P.ExposureRules[0].Clause[0]: \"Key\" must be a string" },
                { RULE(CLAUSE, "1, \"PolicyID\": 7"), "/etc/p.json:3:91: P.ExposureRules[0].Policy.PolicyID: a string is expected here" },
                { RULE(CLAUSE, "1, \"ObserveAction\": 2"), "/etc/p.json:3:91: P.ExposureRules[0].Policy.ObserveAction: 0 (none) or 1 (continue) is expected here" },
                { "{\"P\": {\"NetworkACLs\": [{\"Address\": \"10.0.0.0/8\", \"Protocol\": \"tcp\", \"Policy\": {\"Action\": 17}}]}}",
                  "/etc/p.json:1:24: P.NetworkACLs[0]: 16 (observe) is not supported in access lists" },
                { ACL("\"Addresses\": \"10.0.0.0/8\", \"Protocol\": \"tcp\", "),
                  "/etc/p.json:1:25: P.NetworkACLs[0].Addresses: a list of strings is expected here\n/etc/p.json:1:24: P.NetworkACLs[0]: \"Address\" and \"Protocol\" are needed" },
                { ACL("\"Addresses\": [\"10.0.0.0/8\", 7], \"Protocol\": \"tcp\", "), "/etc/p.json:1:53: P.NetworkACLs[0].Addresses[1]: a string is expected here" },
                { ACL("\"Address\": \"10.0.0.0/8\", \"Protocol\": \"icmp\", \"Port\": \"8\", "), "/etc/p.json:1:70: P.NetworkACLs[0].Port: icmp has no ports" },
                { ACL("\"Address\": \"fd00::/8\", \"Protocol\": \"icmp\", "), "/etc/p.json:1:24: P.NetworkACLs[0]: icmp belongs to IPv4 addresses, icmp6 to IPv6 addresses" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(policy_book_done) PolicyBook book = {};
                int r = add(&book, cases[i].text, &errors);
                _cleanup_free_ char *error = config_errors_format(&errors);

                assert_int_equal(book.n_policies, 0);
                if (r != -EINVAL || !streq(error, cases[i].error))
                        fail_msg("case %zu {%s}: %d\n%s\nexpected\n%s", i, cases[i].text, r, error, cases[i].error);
        }
}

static void two_files_may_not_define_one_policy(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(policy_book_done) PolicyBook book = {};
        _cleanup_free_ char *error = NULL;

        assert_int_equal(add(&book, "{\"P\": {}}", &errors), 0);
        assert_int_equal(add(&book, "{\"Q\": {}, \"P\": {}}", &errors), -EINVAL);
        assert_int_equal(book.n_policies, 1);
        error = config_errors_format(&errors);
        assert_string_equal(error, "/etc/p.json:1:11: P: another file has a policy of this name");
}

static void policy_eval_decides_from_text(void **state) {
        static const ConfigFile file = { "/etc/p.json", original, sizeof(original) - 1 };
        const struct {
                PolicyEvalInput in;
                bool accept;
                const char *reason, *rule;
        } cases[] = {
                { { .rules = (const char *const[]) { "app=web", "env=dev team" }, .n_rules = 2, .tags = "app=web" }, true, "rule", "app=web" },
                { { .rules = (const char *const[]) { "app=web", "env=dev team" }, .n_rules = 2, .tags = "env=dev team=x" }, true, "rule", "env=dev team" },
                { { .rules = (const char *const[]) { "app=web" }, .n_rules = 1, .tags = "app=db" }, false, "no-rule", NULL },
                { { .rules = (const char *const[]) { "app=web @port=tcp/80" }, .n_rules = 1, .tags = "app=web", .port = "80/tcp" }, true, "rule", "app=web @port=tcp/80" },
                { { .rules = (const char *const[]) { "app=web @port=tcp/80" }, .n_rules = 1, .tags = "app=web", .port = "80/udp" }, false, "no-rule", NULL },
                { { .tags = "app=web" }, false, "no-rule", NULL },
                { { .policy = &file, .policy_name = "Web", .tags = "env=dev" }, true, "rule", "/etc/p.json: Web.ExposureRules[0] (PolicyID 8)" },
                { { .policy = &file, .policy_name = "Web", .tags = "env=dev bad=1" }, false, "rule", "/etc/p.json: Web.ExposureRules[1] (PolicyID 9)" },
                { { .policy = &file, .policy_name = "Web", .tags = "app=db", .connect = true }, true, "rule", "/etc/p.json: Web.Dependencies[0] (PolicyID 8)" },
                /* rules of a unit replace the policy's accepts; its rejects stay */
                { { .rules = (const char *const[]) { "app" }, .n_rules = 1, .policy = &file, .policy_name = "Web", .tags = "app=1 env=dev" }, true, "rule", "app" },
                { { .rules = (const char *const[]) { "app" }, .n_rules = 1, .policy = &file, .policy_name = "Web", .tags = "env=dev" }, false, "no-rule", NULL },
                { { .rules = (const char *const[]) { "app" }, .n_rules = 1, .policy = &file, .policy_name = "Web", .tags = "app=1 bad=1" }, false, "rule",
                  "/etc/p.json: Web.ExposureRules[1] (PolicyID 9)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(policy_eval_result_done) PolicyEvalResult result = {};

                assert_int_equal(policy_eval(&cases[i].in, &result, &errors), 0);
                assert_int_equal(result.accept, cases[i].accept);
                assert_string_equal(result.reason, cases[i].reason);
                assert_string_equal(result.rule ? result.rule : "-", cases[i].rule ? cases[i].rule : "-");
                assert_true(strlen(result.text) > 0);
        }
}

static void policy_eval_names_what_it_cannot_read(void **state) {
        static const ConfigFile file = { "/etc/p.json", original, sizeof(original) - 1 };
        const struct {
                PolicyEvalInput in;
                const char *error;
        } cases[] = {
                { { .rules = (const char *const[]) { "app=" }, .n_rules = 1, .tags = "" }, "--rule: \"app=\": a value is missing" },
                { { .rules = (const char *const[]) { " " }, .n_rules = 1, .tags = "" }, "--rule: a rule needs at least one clause, as in app=web" },
                { { .rules = (const char *const[]) { "a 'b" }, .n_rules = 1, .tags = "" },
                  "--rule: \"a 'b\": a quote without its end, or an unknown escape behind a backslash" },
                { { .tags = "app" }, "--tags: write KEY=VALUE" },
                { { .tags = "@port=80" }, "--tags: \"@port\" stands in rules only" },
                { { .tags = "", .port = "http" }, "--port: write 80/tcp, 53/udp, or 80" },
                { { .tags = "", .port = "80-90/tcp" }, "--port: write 80/tcp, 53/udp, or 80" },
                { { .tags = "", .policy = &file }, "--name: the file has 2 policies: say which" },
                { { .tags = "", .policy = &file, .policy_name = "x" }, "--name: the file has no policy of this name" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(policy_eval_result_done) PolicyEvalResult result = {};
                _cleanup_free_ char *error = NULL;

                assert_int_equal(policy_eval(&cases[i].in, &result, &errors), -EINVAL);
                error = config_errors_format(&errors);
                assert_string_equal(error, cases[i].error);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_original_file_loads_as_it_is),
                cmocka_unit_test(newer_files_with_lists_load_too),
                cmocka_unit_test(each_fault_is_named_with_line_and_column),
                cmocka_unit_test(two_files_may_not_define_one_policy),
                cmocka_unit_test(policy_eval_decides_from_text),
                cmocka_unit_test(policy_eval_names_what_it_cannot_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
