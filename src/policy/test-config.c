/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "policy/config.h"
#include "policy/reason.h"

#define T "[Trireme]\n"
#define FINGERPRINT "CA:FE:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:ca:fe"

static struct in6_addr address(const char *text) {
        struct in6_addr a = {};

        assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &a), 1);
        return a;
}

static uint8_t family(const char *text) {
        return strchr(text, ':') ? AF_INET6 : AF_INET;
}

static bool is_target(const Config *c, const char *text) {
        struct in6_addr a = address(text);

        return network_list_contains(&c->target_networks, family(text), &a);
}

static int parse(const char *text, Config *ret, ConfigErrors *errors) {
        return config_parse(&(ConfigFile) { "/etc/t.conf", text, strlen(text) }, 1, ret, errors);
}

static void tokens_stay_out_of_the_internet_by_default(void **state) {
        static const char *const in[] = { "127.0.0.1", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
                                          "169.254.1.1", "::1", "fd12::1", "fc00::1", "fe80::1", "febf::1" };
        static const char *const out[] = { "8.8.8.8", "172.32.0.0", "172.15.255.255", "192.169.0.0", "100.128.0.0", "100.63.255.255", "11.0.0.0",
                                           "::2", "2001:db8::1", "fec0::1", "::ffff:10.0.0.1" };
        _cleanup_(config_done) Config c = {};

        assert_int_equal(config_init(&c), 0);
        for (size_t i = 0; i < ELEMENTSOF(in); i++)
                if (!is_target(&c, in[i]))
                        fail_msg("%s gets no token", in[i]);
        for (size_t i = 0; i < ELEMENTSOF(out); i++)
                if (is_target(&c, out[i]))
                        fail_msg("%s gets a token", out[i]);
        assert_int_equal(c.mode, UNIT_MODE_ENFORCE);
        assert_int_equal(c.default_policy, DEFAULT_POLICY_SAME_LABEL);
        assert_false(c.failure_open || c.require_direct_path || c.deny_drop);
        assert_int_equal(c.conntrack_mark_mask, 0xfffff000u);
        assert_int_equal(c.announce, 1 << TAG_FAMILY_LABELS | 1 << TAG_FAMILY_UNIT | 1 << TAG_FAMILY_EXE | 1 << TAG_FAMILY_EXE_SHA256 | 1 << TAG_FAMILY_USER |
                                             1 << TAG_FAMILY_GROUP | 1 << TAG_FAMILY_HOST);
}

static void every_setting_is_read(void **state) {
        static const char text[] = T "TargetNetworks=203.0.113.0/24 2001:db8::/32\nTargetNetworks=198.51.100.1\nExcludedNetworks=203.0.113.128/25\n"
                                     "AnnounceTags=labels machine plug-ins\nDefaultPolicy=deny\nMode=observe\nFailureMode=open\n"
                                     "FailsafeAcceptFrom=192.0.2.0/24 tcp/22\nFailsafeAcceptFrom=192.0.2.1\nRequireDirectPath=yes\n"
                                     "AcceptTranslatedTo=203.0.113.9 tcp/443\nConntrackMarkMask=0x00fffff0\nDenyAction=drop\n"
                                     "DeniedNodes=web1 " FINGERPRINT "\nTokenLifeSec=60\nKeyLifeSec=3600\n";
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(config_done) Config c = {};

        assert_int_equal(parse(text, &c, &errors), 0);
        assert_true(is_target(&c, "203.0.113.7") && is_target(&c, "2001:db8::1") && is_target(&c, "198.51.100.1"));
        assert_false(is_target(&c, "10.0.0.1")); /* what is set replaces the default */
        assert_int_equal(c.excluded_networks.n_networks, 1);
        assert_int_equal(c.announce, 1 << TAG_FAMILY_LABELS | 1 << TAG_FAMILY_MACHINE | 1 << TAG_FAMILY_PLUGIN);
        assert_int_equal(c.default_policy, DEFAULT_POLICY_DENY);
        assert_int_equal(c.mode, UNIT_MODE_OBSERVE);
        assert_true(c.failure_open && c.require_direct_path && c.deny_drop);
        assert_int_equal(c.failsafe_accept_from.n_entries, 2);
        assert_int_equal(c.failsafe_accept_from.entries[0].protocol, 0); /* the longer prefix first */
        assert_int_equal(c.accept_translated_to.entries[0].port_first, 443);
        assert_int_equal(c.conntrack_mark_mask, 0x00fffff0);
        assert_string_equal(c.denied_nodes.nodes[0].host, "web1");
        assert_int_equal(c.denied_nodes.n_nodes, 2);
        assert_int_equal(c.denied_nodes.nodes[1].fingerprint[31], 0xfe);
        assert_int_equal(c.token_life_sec, 60);
        assert_int_equal(c.key_life_sec, 3600);
}

static void later_files_win_and_empty_values_reset_lists(void **state) {
        static const char first[] = T "Mode=off\nTargetNetworks=203.0.113.0/24\nFailsafeAcceptFrom=192.0.2.0/24 tcp/22\n",
                          second[] = T "Mode=enforce\nTargetNetworks=\nFailsafeAcceptFrom=\n";
        const ConfigFile files[] = { { "/etc/t.conf", first, sizeof(first) - 1 }, { "/etc/t.conf.d/1.conf", second, sizeof(second) - 1 } };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(config_done) Config c = {};

        assert_int_equal(config_parse(files, 2, &c, &errors), 0);
        assert_int_equal(c.mode, UNIT_MODE_ENFORCE);
        assert_int_equal(c.target_networks.n_networks, 0);
        assert_int_equal(c.failsafe_accept_from.n_entries, 0);
}

static void faults_are_named_and_change_nothing(void **state) {
        static const struct {
                const char *text, *error;
        } cases[] = {
                { "Mode=off\n", "/etc/t.conf:1: Mode=: stands outside of its section: write [Trireme] above it" },
                { "[Manager]\nMode=off\n", "/etc/t.conf:1: \"Manager\": unknown section: all settings stand under [Trireme]" },
                { T "Color=red\n", "/etc/t.conf:2: Color=: unknown setting; see trireme.conf(5)" },
                { T "Mode\n", "/etc/t.conf:2: \"Mode\": not a setting: \"=\" is missing" },
                { T "Mode=\n", "/etc/t.conf:2: Mode=: \"\": write enforce, observe or off" },
                { T "DefaultPolicy=allow\n", "/etc/t.conf:2: DefaultPolicy=: \"allow\": write same-label or deny" },
                { T "FailureMode=yes\n", "/etc/t.conf:2: FailureMode=: \"yes\": write closed or open" },
                { T "DenyAction=reject\n", "/etc/t.conf:2: DenyAction=: \"reject\": write reset or drop" },
                { T "RequireDirectPath=2\n", "/etc/t.conf:2: RequireDirectPath=: \"2\": write yes or no" },
                { T "TargetNetworks=10.0.0.0/8 10.1/16\n", "/etc/t.conf:2: TargetNetworks=: \"10.1/16\": not an IP network: write 192.0.2.0/24 or 2001:db8::/32" },
                { T "ExcludedNetworks=10.0.0.1/8\n",
                  "/etc/t.conf:2: ExcludedNetworks=: \"10.0.0.1/8\": the address has bits behind the prefix length: write the network's first address, or a longer prefix" },
                { T "TargetNetworks='10.0.0.0/8\n", "/etc/t.conf:2: TargetNetworks=: \"\\x2710.0.0.0/8\": a quote without its end, or an unknown escape behind a backslash" },
                { T "FailsafeAcceptFrom='10.0.0.0/8\n",
                  "/etc/t.conf:2: FailsafeAcceptFrom=: \"\\x2710.0.0.0/8\": a quote without its end, or an unknown escape behind a backslash" },
                { T "FailsafeAcceptFrom=1 2 3 4 5 6 7 8 9 a b c d e f g\n",
                  "/etc/t.conf:2: FailsafeAcceptFrom=: \"1\\x202\\x203\\x204\\x205\\x206\\x207\\x208\\x209\\x20a\\x20b\\x20c\\x20d\\x20e\\x20f\\x20g\": "
                  "too many words: use more lines" },
                { T "AnnounceTags=labels color\n",
                  "/etc/t.conf:2: AnnounceTags=: \"color\": unknown tag family; there are labels, unit, exe, exe.sha256, exe.verity, lib, user, uid, group, gid, groups, "
                  "selinux, apparmor, host, machine and plug-ins" },
                { T "AcceptTranslatedTo=203.0.113.9\n",
                  "/etc/t.conf:2: AcceptTranslatedTo=: \"203.0.113.9\": write a network and protocols with ports, as in \"192.0.2.0/24 tcp/22\"" },
                { T "FailsafeAcceptFrom=192.0.2.1 icmp\n", "/etc/t.conf:2: FailsafeAcceptFrom=: \"192.0.2.1\\x20icmp\": only tcp and udp can be named here" },
                { T "ConntrackMarkMask=0xffff\n", "/etc/t.conf:2: ConntrackMarkMask=: \"0xffff\": write 0x and a mask of at least 20 bits side by side, as in 0xfffff000" },
                { T "ConntrackMarkMask=0xfffef000\n", "/etc/t.conf:2: ConntrackMarkMask=: \"0xfffef000\": write 0x and a mask of at least 20 bits side by side, as in 0xfffff000" },
                { T "ConntrackMarkMask=0x1fffff000\n", "/etc/t.conf:2: ConntrackMarkMask=: \"0x1fffff000\": write 0x and a mask of at least 20 bits side by side, as in 0xfffff000" },
                { T "ConntrackMarkMask=0\n", "/etc/t.conf:2: ConntrackMarkMask=: \"0\": write 0x and a mask of at least 20 bits side by side, as in 0xfffff000" },
                { T "DeniedNodes=CAFE00000000000000000000000000000000000000000000000000000000CAF\n", /* a digit is missing */
                  "/etc/t.conf:2: DeniedNodes=: \"CAFE00000000000000000000000000000000000000000000000000000000CAF\": write a host name, or the SHA-256 fingerprint of a certificate "
                  "(openssl x509 -noout -fingerprint -sha256)" },
                { T "DeniedNodes=web1,web2\n", "/etc/t.conf:2: DeniedNodes=: \"web1,web2\": write a host name, or the SHA-256 fingerprint of a certificate (openssl x509 -noout "
                  "-fingerprint -sha256)" },
                { T "TokenLifeSec=2h\n", "/etc/t.conf:2: TokenLifeSec=: \"2h\": write a number of seconds from 4 to 3600" },
                { T "TokenLifeSec=3601\n", "/etc/t.conf:2: TokenLifeSec=: \"3601\": write a number of seconds from 4 to 3600" },
                { T "KeyLifeSec=86401\n", "/etc/t.conf:2: KeyLifeSec=: \"86401\": write a number of seconds from 8 to 86400" },
                { T "Mode=off\r\n", "/etc/t.conf:2: lines end with a carriage return; save the file with Unix line ends (LF)" },
                { "[Trireme\n", "/etc/t.conf:1: a section header without \"]\": systemd ignores this file from here on; add the bracket" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                Config c = { .mode = UNIT_MODE_OFF };
                _cleanup_free_ char *error = NULL;

                assert_int_equal(parse(cases[i].text, &c, &errors), -EINVAL);
                error = config_errors_format(&errors);
                assert_string_equal(error, cases[i].error);
                assert_int_equal(c.mode, UNIT_MODE_OFF);
                assert_null(c.target_networks.networks);
        }
}

static void access_lists_decide_in_the_order_of_the_manual(void **state) {
        static const struct {
                const char *address;
                uint8_t protocol;
                uint16_t port;
                const char *name; /* of the deciding entry, NULL: none */
        } cases[] = {
                { "10.1.2.3", IPPROTO_TCP, 22, "reject10.1" },
                { "10.2.2.3", IPPROTO_TCP, 22, "accept10" },
                { "10.2.2.3", IPPROTO_TCP, 23, "any" },
                { "10.2.2.3", IPPROTO_UDP, 22, NULL },
                { "10.1.0.7", IPPROTO_TCP, 22, "reject10.1" },    /* a longer accept does not beat a reject */
                { "10.1.0.7", IPPROTO_TCP, 80, "accept10.1.0.7" },
                { "192.0.2.1", IPPROTO_TCP, 1, "any" },
                { "2001:db8::1", IPPROTO_TCP, 1, NULL },
                { "fd00::1", IPPROTO_ICMPV6, 0, "icmp6" },
        };
        static const struct {
                const char *network, *words, *name;
                bool reject;
        } entries[] = {
                { "0.0.0.0/0", "tcp", "any", false },           { "10.0.0.0/8", "tcp/22", "accept10", false }, { "10.1.0.0/16", "tcp/22", "reject10.1", true },
                { "10.1.0.7", "tcp/1-65535", "accept10.1.0.7", false }, { "fd00::/8", "icmp6", "icmp6", false },
        };
        _cleanup_(acl_list_done) AclList l = {};

        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                char *words[] = { (char *) entries[i].network, (char *) entries[i].words };
                _cleanup_(acl_list_done) AclList one = {};
                const char *fault;

                assert_int_equal(acl_parse(words, 2, ACL_TCP_UDP | ACL_ICMP, entries[i].name, &one, &fault), 0);
                one.entries[0].reject = entries[i].reject;
                assert_int_equal(acl_list_merge(&l, &one), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct in6_addr a = address(cases[i].address);
                const AclEntry *e = acl_decide(&l, family(cases[i].address), &a, cases[i].protocol, cases[i].port);

                assert_string_equal(e ? e->name : "-", cases[i].name ? cases[i].name : "-");
        }
}

static void access_lists_are_equal_when_they_decide_alike(void **state) {
        static const struct {
                const char *a, *b;
                bool equal;
        } cases[] = {
                { "10.0.0.0/8 tcp/22", "10.0.0.0/8 tcp/22", true },     { "10.0.0.0/8 tcp/22", "10.0.0.0/8 tcp/23", false },
                { "10.0.0.0/8 tcp/22", "10.0.0.0/9 tcp/22", false },    { "10.0.0.0/8 tcp/22", "11.0.0.0/8 tcp/22", false },
                { "10.0.0.0/8 tcp/22", "10.0.0.0/8 udp/22", false },    { "10.0.0.0/8 tcp/22", "10.0.0.0/8 tcp/22-23", false },
                { "10.0.0.0/8 tcp/22", "10.0.0.0/8 tcp/22 udp/22", false }, { "0.0.0.0/0 tcp", "::/0 tcp", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_done) Config a = {}, b = {};
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                char text[128];

                snprintf(text, sizeof(text), T "FailsafeAcceptFrom=%s\n", cases[i].a);
                assert_int_equal(parse(text, &a, &errors), 0);
                snprintf(text, sizeof(text), T "\nFailsafeAcceptFrom=%s\n", cases[i].b); /* other names */
                assert_int_equal(parse(text, &b, &errors), 0);
                assert_int_equal(acl_list_equal(&a.failsafe_accept_from, &b.failsafe_accept_from), cases[i].equal);
        }
}

static void networks_contain_what_their_prefix_says(void **state) {
        static const struct {
                const char *network, *inside, *outside;
        } cases[] = {
                { "0.0.0.0/0", "255.255.255.255", "::1" },   { "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },    { "10.128.0.0/9", "10.128.0.0", "10.127.255.255" },
                { "10.0.0.0/31", "10.0.0.1", "10.0.0.2" },   { "10.0.0.1/32", "10.0.0.1", "10.0.0.0" },     { "::/0", "ffff::", "1.2.3.4" },
                { "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" }, { "2001:db8::1/128", "2001:db8::1", "2001:db8::" }, { "fe80::/10", "febf::", "fec0::" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct in6_addr in = address(cases[i].inside), out = address(cases[i].outside);
                _cleanup_free_ char *text = NULL;
                const char *fault;
                IpNetwork n;

                assert_int_equal(ip_network_parse(cases[i].network, &n, &fault), 0);
                assert_true(ip_network_contains(&n, family(cases[i].inside), &in));
                assert_false(ip_network_contains(&n, family(cases[i].outside), &out));
                text = ip_network_format(&n);
                assert_string_equal(text, cases[i].network);
        }
}

static void every_reason_has_a_name_and_a_sentence(void **state) {
        for (int i = 0; i < _REASON_MAX; i++) {
                assert_string_not_equal(reason_to_string(i), "unknown");
                assert_int_equal(reason_from_string(reason_to_string(i)), i);
                assert_non_null(strchr(reason_explain(i), '.'));
                assert_null(strstr(reason_explain(i), "not known to this version"));
        }
        assert_int_equal(reason_from_string("unknown"), _REASON_INVALID);
        assert_string_equal(reason_to_string(_REASON_MAX), "unknown");
        assert_string_equal(reason_to_string(_REASON_INVALID), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(tokens_stay_out_of_the_internet_by_default),
                cmocka_unit_test(every_setting_is_read),
                cmocka_unit_test(later_files_win_and_empty_values_reset_lists),
                cmocka_unit_test(faults_are_named_and_change_nothing),
                cmocka_unit_test(access_lists_decide_in_the_order_of_the_manual),
                cmocka_unit_test(access_lists_are_equal_when_they_decide_alike),
                cmocka_unit_test(networks_contain_what_their_prefix_says),
                cmocka_unit_test(every_reason_has_a_name_and_a_sentence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
