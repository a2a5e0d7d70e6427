/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/test-policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "policy/unit-settings.h"

#define X "[X-Trireme]\n"

static const UnitSpecifiers specifiers = { .unit = "my-web@blue.service", .hostname = "host1", .machine_id = "0123456789abcdef0123456789abcdef" };

static int parse_bytes(const void *data, size_t size, UnitSettings *ret, ConfigErrors *errors) {
        const ConfigFile file = { .path = "/etc/x.conf", .data = data, .size = size };

        return unit_settings_parse(&file, 1, &specifiers, ret, errors);
}

static int parse(const char *text, UnitSettings *ret, ConfigErrors *errors) {
        return parse_bytes(text, strlen(text), ret, errors);
}

static char *acl_format(const AclList *l) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        for (size_t i = 0; i < l->n_entries; i++) {
                const AclEntry *e = l->entries + i;
                _cleanup_free_ char *network = ip_network_format(&e->network);

                fprintf(f, "%s%s %u/%u-%u", i > 0 ? "; " : "", network, e->protocol, e->port_first, e->port_last);
        }
        fclose(f);
        return text;
}

static char *rules_format(const RuleList *l) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        for (size_t i = 0; i < l->n_rules; i++) {
                _cleanup_free_ char *rule = rule_format(l->rules + i);

                fprintf(f, "%s%s", i > 0 ? "; " : "", rule);
        }
        fclose(f);
        return text;
}

/* Everything that differs from an empty section, in one line. */
static char *settings_format(const UnitSettings *s) {
        _cleanup_free_ char *labels = tag_set_format(&s->labels), *accept = rules_format(&s->accept), *connect = rules_format(&s->connect);
        _cleanup_free_ char *from = acl_format(&s->accept_from), *to = acl_format(&s->connect_to);
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fprintf(f, "%s", labels);
        fputs(s->drop_inherited ? " DROP" : "", f);
        if (s->accept_set)
                fprintf(f, " accept{%s}", accept);
        if (s->connect_set)
                fprintf(f, " connect{%s}", connect);
        if (s->accept_from_reset || s->accept_from.n_entries > 0)
                fprintf(f, " from%s{%s}", s->accept_from_reset ? "!" : "", from);
        if (s->connect_to_reset || s->connect_to.n_entries > 0)
                fprintf(f, " to%s{%s}", s->connect_to_reset ? "!" : "", to);
        if (s->policy)
                fprintf(f, " policy=%s", s->policy);
        if (s->mode != UNIT_MODE_DEFAULT)
                fprintf(f, " mode=%s", unit_mode_to_string(s->mode));
        fclose(f);
        return text;
}

static void settings_are_read_as_systemd_reads_a_unit_file(void **state) {
        static const struct {
                const char *text, *expected; /* NULL: not labelled */
        } cases[] = {
                { "", NULL },
                { "[Service]\nExecStart=/bin/true\n", NULL },
                { "# [X-Trireme]\n[Service]\nDescription=Trireme\n", NULL },
                { "[Unit]\nDescription=about the X-Trireme section\n# caf\xe9\n", NULL },
                { "[X-Other]\nTriremeLabels=app=web\n", NULL },
                { X, "" },
                { "[X-Trireme]", "" },
                { "[Service]\nEnvironment=P=\x1b[0m\nUser=\xee\x80\x80\n" X "TriremeLabels=a=1\n", "a=1" }, /* systemd accepts these, so they are no concern of ours */
                { X "TriremeLabels=app=web\n", "app=web" },
                { X "TriremeLabels=app=web", "app=web" },
                { X "  TriremeLabels \t=  app=web  \t\n", "app=web" },
                { X "TriremeLabels=app=web env=dev\nTriremeLabels=team=a\n", "app=web env=dev team=a" },
                { X "TriremeLabels=app=web app=db\n", "app=db app=web" },
                { X "TriremeLabels=app=web app=web\n", "app=web" },
                { X "TriremeLabels=a=1\nTriremeLabels=\nTriremeLabels=b=2\n", "b=2 DROP" },
                { X "TriremeLabels=\n", " DROP" },
                { X "TriremeLabels=a=1 \\\n   b=2 \\\n# a comment within\n ; another\n   c=3\n", "a=1 b=2 c=3" },
                { X "TriremeLabels=a=1 \\", "a=1" },
                { X "TriremeLabels=a=1 \\\n\nTriremeLabels=b=2\n", "a=1 b=2" },
                { X "; TriremeLabels=a=1\n# TriremeLabels=b=2\nTriremeLabels=c=3\n", "c=3" },
                { X "TriremeLabels=\"team=red blue\" 'x=1'\n", "team=red\\x20blue x=1" },
                { X "TriremeLabels=team=\"red blue\"\n", "team=red\\x20blue" },
                { X "TriremeLabels=\"a=\\x41\\u00e9\\s\\\\\\\"\"\n", "a=A\xc3\xa9\\x20\\x5c\\x22" },
                { X "TriremeLabels=a=\\u20ac\\U0001f600\\303\\251\n", "a=\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9" },
                /* Environment= of systemd 252 and 257 gives these words */
                { X "TriremeLabels=a=x\"y z\"w\n", "a=xy\\x20zw" },
                { X "TriremeLabels=a=\\\\\\x41\n", "a=\\x5cA" },
                { X "TriremeLabels=a=''b 'c=d''e' f=\"g'h\"\n", "a=b c=de f=g\\x27h" },
                { X "TriremeLabels=a=1 \\\n \\\n b=2\n", "a=1 b=2" },
                { X "TriremeLabels=a=\\101\n", "a=A" },
                { X "TriremeLabels=app.kubernetes.io/name=web v=1.2.3\n", "app.kubernetes.io/name=web v=1.2.3" },
                { X "TriremeLabels=url=http://x/?a=b\n", "url=http://x/?a=b" },
                { X "TriremeLabels=app=gr\xc3\xb6\xc3\x9f" "e\n", "app=gr\xc3\xb6\xc3\x9f" "e" },
                { "[Service]\nUser=x\n" X "TriremeLabels=a=1\n[Install]\nWantedBy=y\n" X "TriremeLabels=b=2\n", "a=1 b=2" },
                /* specifiers */
                { X "TriremeLabels=n=%n N=%N p=%p i=%i j=%j H=%H m=%m pc=100%%\n",
                  "H=host1 N=my-web@blue i=blue j=web m=0123456789abcdef0123456789abcdef n=my-web@blue.service p=my-web pc=100%" },
                { X "TriremeAccept=app=%p-%i|x%i*\n", " accept{app=my-web-blue|xblue*}" },
                { X "TriremeLabels=%p=x\n", "my-web=x" },
                /* rules */
                { X "TriremeAccept=app=ansible\n", " accept{app=ansible}" },
                { X "TriremeAccept=app=a|b* env!=dev team !x @sys:user=root @port=tcp/22 @cloud:zone=z\n",
                  " accept{app=a|b* env!=dev team !x @sys:user=root @port=tcp/22 @cloud:zone=z}" },
                { X "TriremeAccept=a=1\nTriremeAccept=b=2\nTriremeConnect=c=3\n", " accept{a=1; b=2} connect{c=3}" },
                { X "TriremeAccept=a=1\nTriremeAccept=\n", " accept{}" },
                { X "TriremeAccept=a=1\nTriremeAccept=\nTriremeAccept=b=2\n", " accept{b=2}" },
                { X "TriremeConnect=\n", " connect{}" },
                { X "TriremeAccept=\"name=a b\"\n", " accept{\"name=a b\"}" },
                /* access lists */
                { X "TriremeAcceptFrom=192.0.2.0/24 tcp/22\n", " from{192.0.2.0/24 6/22-22}" },
                { X "TriremeAcceptFrom=192.0.2.7 tcp\nTriremeAcceptFrom=2001:db8::/32 udp/53,5000-5010\n",
                  " from{192.0.2.7/32 6/0-65535; 2001:db8::/32 17/53-53; 2001:db8::/32 17/5000-5010}" },
                { X "TriremeConnectTo=0.0.0.0/0 udp/53 icmp\nTriremeConnectTo=::/0 icmp6 tcp/1:65535\n",
                  " to{0.0.0.0/0 17/53-53; 0.0.0.0/0 1/0-65535; ::/0 58/0-65535; ::/0 6/1-65535}" },
                { X "TriremeAcceptFrom=\n", " from!{}" },
                { X "TriremeConnectTo=10.0.0.0/8 tcp/1\nTriremeConnectTo=\nTriremeConnectTo=10.0.0.0/8 tcp/2\n", " to!{10.0.0.0/8 6/2-2}" },
                /* the rest */
                { X "TriremePolicy=Web\nTriremeMode=observe\n", " policy=Web mode=observe" },
                { X "TriremePolicy=Web\nTriremePolicy=\nTriremeMode=off\nTriremeMode=\n", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(unit_settings_done) UnitSettings s = {};
                int r = parse(cases[i].text, &s, &errors);
                _cleanup_free_ char *error = config_errors_format(&errors), *text = settings_format(&s);

                if (r != (cases[i].expected ? 1 : 0))
                        fail_msg("case %zu {%s}: %d, %s", i, cases[i].text, r, error);
                assert_int_equal(errors.n_errors, 0);
                assert_string_equal(text, cases[i].expected ? cases[i].expected : "");
        }
}

static void each_fault_names_file_line_key_and_remedy(void **state) {
        static const struct {
                const char *text, *error;
        } cases[] = {
                /* the section itself */
                { "[X-Trireme\nTriremeLabels=app=web\n", "/etc/x.conf:1: a section header without \"]\": systemd ignores this file from here on; add the bracket" },
                { "[Service\n" X, "/etc/x.conf:1: a section header without \"]\": systemd ignores this file from here on; add the bracket" },
                { "X-Trireme]\nTriremeLabels=app=web\n",
                  "/etc/x.conf:1: \"X-Trireme]\": a section header without \"[\"\n"
                  "/etc/x.conf:2: TriremeLabels=: stands outside of its section: write [X-Trireme] above it" },
                { "[x-trireme]\n", "/etc/x.conf:1: \"x-trireme\": write the section's name as [X-Trireme]" },
                { "[ X-Trireme ]\n", "/etc/x.conf:1: \"\\x20X-Trireme\\x20\": write the section's name as [X-Trireme]" },
                { "[Trireme]\nTriremeLabels=a=1\n", "/etc/x.conf:1: \"Trireme\": write the section's name as [X-Trireme]" },
                { "[Service]\nTriremeLabels=app=web\n", "/etc/x.conf:2: TriremeLabels=: stands outside of its section: write [X-Trireme] above it" },
                { "TriremeLabels=app=web\n", "/etc/x.conf:1: TriremeLabels=: stands outside of its section: write [X-Trireme] above it" },
                { "[Service]\nUser=\xff\n" X, "/etc/x.conf:2: bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8" },
                { X "TriremeLabels=app=caf\xe9\n", "/etc/x.conf:2: bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8" },
                { "[X-Trireme]\r\nTriremeLabels=app=web\r\n", "/etc/x.conf:1: lines end with a carriage return; save the file with Unix line ends (LF)" },
                { "\xef\xbb\xbf[X-Trireme]\n", "/etc/x.conf:1: the file begins with a byte order mark; save it as plain UTF-8" },
                { X "TriremeLabels=a=\x01\n", "/etc/x.conf:2: TriremeLabels=: \"a=\\x01\": the value is longer than 255 bytes, or has control characters" },
                { X "TriremePolicy=a\x1b\n", "/etc/x.conf:2: TriremePolicy=: \"a\\x1b\": write the name of one policy" },
                { X "TriremeLabels=a=1\rTriremeMode=off\n", "/etc/x.conf:2: a NUL or carriage return within a line, where systemd ends the line; remove it" },
                { "# comment\r[Service]\n" X, "/etc/x.conf:1: a NUL or carriage return within a line, where systemd ends the line; remove it" },
                { "[Service]\nUser=\xef\xbf\xbe\n" X, "/etc/x.conf:2: bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8" },
                { "[Service]\nUser=\xef\xb7\x90\n" X, "/etc/x.conf:2: bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8" },
                { "[Service]\nUser=\xf0\x9f\xbf\xbf\n" X, "/etc/x.conf:2: bytes that are not UTF-8 text: systemd ignores this file from here on; save it as UTF-8" },
                { X "# comment \xff\nTriremeMode=x\n", "/etc/x.conf:3: TriremeMode=: \"x\": write enforce, observe or off" },
                /* lines */
                { X "hello\n", "/etc/x.conf:2: \"hello\": not a setting: \"=\" is missing" },
                { X "TriremeLabel=app=web\n",
                  "/etc/x.conf:2: TriremeLabel=: unknown setting; there are TriremeLabels=, TriremeAccept=, TriremeConnect=, TriremeAcceptFrom=, "
                  "TriremeConnectTo=, TriremePolicy= and TriremeMode=" },
                { X "=a\n",
                  "/etc/x.conf:2: =: unknown setting; there are TriremeLabels=, TriremeAccept=, TriremeConnect=, TriremeAcceptFrom=, "
                  "TriremeConnectTo=, TriremePolicy= and TriremeMode=" },
                { X "TriremeLabels=\"a=1\n", "/etc/x.conf:2: TriremeLabels=: a quote without its end, or an unknown escape behind a backslash" },
                { X "TriremeLabels=a=1 \\\\\n", "/etc/x.conf:2: TriremeLabels=: \"\\x5c\": write KEY=VALUE" },
                { X "TriremeLabels=a=1\\\nb\n", "/etc/x.conf:2: TriremeLabels=: \"b\": write KEY=VALUE" },
                { X "TriremeLabels=a=1\\ \n", "/etc/x.conf:2: TriremeLabels=: a quote without its end, or an unknown escape behind a backslash" },
                { X "TriremeLabels=a=1 \\\n[Service]\\\n b=2\n", "/etc/x.conf:2: TriremeLabels=: \"[Service]\": write KEY=VALUE" },
                { X "TriremeLabels=a=\\x4\n", "/etc/x.conf:2: TriremeLabels=: a quote without its end, or an unknown escape behind a backslash" },
                { X "TriremeLabels=a=\\q\n", "/etc/x.conf:2: TriremeLabels=: a quote without its end, or an unknown escape behind a backslash" },
                { X "TriremeLabels=a=\\x00\n", "/etc/x.conf:2: TriremeLabels=: a quote without its end, or an unknown escape behind a backslash" },
                { X "\n\nTriremeLabels=a=1 \\\n b\n", "/etc/x.conf:4: TriremeLabels=: \"b\": write KEY=VALUE" },
                /* labels */
                { X "TriremeLabels=web\n", "/etc/x.conf:2: TriremeLabels=: \"web\": write KEY=VALUE" },
                { X "TriremeLabels==web\n", "/etc/x.conf:2: TriremeLabels=: \"=web\": the key is missing in front of \"=\"" },
                { X "TriremeLabels=app=\n", "/etc/x.conf:2: TriremeLabels=: \"app=\": the value is missing behind \"=\"" },
                { X "TriremeLabels=@sys:user=root\n",
                  "/etc/x.conf:2: TriremeLabels=: \"@sys:user=root\": a label's key may not begin with \"@\": such tags are found out by the system" },
                { X "TriremeLabels=@usr:app=web\n",
                  "/etc/x.conf:2: TriremeLabels=: \"@usr:app=web\": a label's key may not begin with \"@\": such tags are found out by the system" },
                { X "TriremeLabels=app=web*\n", "/etc/x.conf:2: TriremeLabels=: \"app=web*\": a label's value may not have \"|\" or \"*\": no rule could name it" },
                { X "TriremeLabels=a|b=c\n", "/etc/x.conf:2: TriremeLabels=: \"a|b=c\": the key is too long, or has other characters than letters, digits and _ . : / - + $ %" },
                { X "TriremeLabels=app!=c\n", "/etc/x.conf:2: TriremeLabels=: \"app!=c\": the key is too long, or has other characters than letters, digits and _ . : / - + $ %" },
                { X "TriremeLabels=a=1, b=2,c\n"
                    "TriremeLabels=\"a=\\n\"\n", "/etc/x.conf:3: TriremeLabels=: \"a=\\x0a\": the value is longer than 255 bytes, or has control characters" },
                /* specifiers */
                { X "TriremeLabels=a=%Z\n", "/etc/x.conf:2: TriremeLabels=: \"a=%Z\": unknown specifier: %n %N %p %i %j %H %m are known; write %% for a percent sign" },
                { X "TriremeLabels=a=100%\n", "/etc/x.conf:2: TriremeLabels=: \"a=100%\": unknown specifier: %n %N %p %i %j %H %m are known; write %% for a percent sign" },
                { X "TriremeAccept=%I\n", "/etc/x.conf:2: TriremeAccept=: \"%I\": unknown specifier: %n %N %p %i %j %H %m are known; write %% for a percent sign" },
                /* rules */
                { X "TriremeAccept=app=\n", "/etc/x.conf:2: TriremeAccept=: \"app=\": a value is missing" },
                { X "TriremeAccept=app=a|\n", "/etc/x.conf:2: TriremeAccept=: \"app=a|\": a value is missing" },
                { X "TriremeAccept=app=|a\n", "/etc/x.conf:2: TriremeAccept=: \"app=|a\": a value is missing" },
                { X "TriremeAccept==a\n", "/etc/x.conf:2: TriremeAccept=: \"=a\": the key is missing" },
                { X "TriremeAccept=!\n", "/etc/x.conf:2: TriremeAccept=: \"!\": the key is missing" },
                { X "TriremeAccept=\"\"\n", "/etc/x.conf:2: TriremeAccept=: \"\": the key is missing" },
                { X "TriremeAccept=app=a*b\n", "/etc/x.conf:2: TriremeAccept=: \"app=a*b\": \"*\" stands only at the end of a value" },
                { X "TriremeAccept=app=!a\n", "/etc/x.conf:2: TriremeAccept=: \"app=!a\": write key!=value" },
                { X "TriremeAccept=app==a\n", "/etc/x.conf:2: TriremeAccept=: \"app==a\": write key=value with one \"=\"" },
                { X "TriremeAccept=!app=a\n", "/etc/x.conf:2: TriremeAccept=: \"!app=a\": write key!=value, or !key without a value" },
                { X "TriremeAccept=a=1 && b=2\n",
                  "/etc/x.conf:2: TriremeAccept=: \"&&\": the key is too long, or has other characters than letters, digits and _ . : / - + $ %" },
                { X "TriremeAccept=a=1, b,\n",
                  "/etc/x.conf:2: TriremeAccept=: \"b,\": the key is too long, or has other characters than letters, digits and _ . : / - + $ %" },
                { X "TriremeAccept=@sys:nothing=a\n",
                  "/etc/x.conf:2: TriremeAccept=: \"@sys:nothing=a\": unknown tag namespace: write a label without \"@\", \"@sys:\" and a system tag, "
                  "\"@PLUG-IN:KEY\", or \"@port\"" },
                { X "TriremeAccept=@port=80\n", "/etc/x.conf:2: TriremeAccept=: \"@port=80\": \"@port\" takes values like tcp/5432, udp/53 or tcp/*" },
                { X "TriremeAccept=@port=tcp/080\n", "/etc/x.conf:2: TriremeAccept=: \"@port=tcp/080\": \"@port\" takes values like tcp/5432, udp/53 or tcp/*" },
                { X "TriremeAccept=@port=tcp/8*\n", "/etc/x.conf:2: TriremeAccept=: \"@port=tcp/8*\": \"@port\" takes values like tcp/5432, udp/53 or tcp/*" },
                { X "TriremeAccept=@port=tcp/70000\n", "/etc/x.conf:2: TriremeAccept=: \"@port=tcp/70000\": \"@port\" takes values like tcp/5432, udp/53 or tcp/*" },
                /* access lists */
                { X "TriremeAcceptFrom=192.0.2.0/24\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"192.0.2.0/24\": write a network and protocols with ports, as in \"192.0.2.0/24 tcp/22\"" },
                { X "TriremeAcceptFrom=tcp/22\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"tcp/22\": write a network and protocols with ports, as in \"192.0.2.0/24 tcp/22\"" },
                { X "TriremeAcceptFrom=192.0.2.1/24 tcp/22\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"192.0.2.1/24\\x20tcp/22\": the address has bits behind the prefix length: write the network's first address, "
                  "or a longer prefix" },
                { X "TriremeAcceptFrom=2001:db8::1/64 tcp/22\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"2001:db8::1/64\\x20tcp/22\": the address has bits behind the prefix length: write the network's first address, "
                  "or a longer prefix" },
                { X "TriremeAcceptFrom=192.0.2/24 tcp/22\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"192.0.2/24\\x20tcp/22\": not an IP network: write 192.0.2.0/24 or 2001:db8::/32" },
                { X "TriremeAcceptFrom=0.0.0.0/33 tcp/22\n",
                  "/etc/x.conf:2: TriremeAcceptFrom=: \"0.0.0.0/33\\x20tcp/22\": not an IP network: write 192.0.2.0/24 or 2001:db8::/32" },
                { X "TriremeAcceptFrom=0.0.0.0/0 icmp\n", "/etc/x.conf:2: TriremeAcceptFrom=: \"0.0.0.0/0\\x20icmp\": only tcp and udp can be named here" },
                { X "TriremeConnectTo=0.0.0.0/0 sctp/1\n",
                  "/etc/x.conf:2: TriremeConnectTo=: \"0.0.0.0/0\\x20sctp/1\": unknown protocol: write tcp/22, udp/53, icmp or icmp6" },
                { X "TriremeConnectTo=::/0 icmp\n", "/etc/x.conf:2: TriremeConnectTo=: \"::/0\\x20icmp\": icmp belongs to IPv4 networks, icmp6 to IPv6 networks" },
                { X "TriremeConnectTo=0.0.0.0/0 icmp/8\n", "/etc/x.conf:2: TriremeConnectTo=: \"0.0.0.0/0\\x20icmp/8\": icmp and icmp6 take no ports" },
                { X "TriremeConnectTo=0.0.0.0/0 tcp/0\n",
                  "/etc/x.conf:2: TriremeConnectTo=: \"0.0.0.0/0\\x20tcp/0\": bad ports: write 22, 8000-8080 or 80,443, from 1 to 65535" },
                { X "TriremeConnectTo=0.0.0.0/0 tcp/9-8\n",
                  "/etc/x.conf:2: TriremeConnectTo=: \"0.0.0.0/0\\x20tcp/9-8\": bad ports: write 22, 8000-8080 or 80,443, from 1 to 65535" },
                { X "TriremeConnectTo=0.0.0.0/0 tcp/\n",
                  "/etc/x.conf:2: TriremeConnectTo=: \"0.0.0.0/0\\x20tcp/\": bad ports: write 22, 8000-8080 or 80,443, from 1 to 65535" },
                { X "TriremeConnectTo=::ffff:192.0.2.1 tcp/1\n",
                  "/etc/x.conf:2: TriremeConnectTo=: \"::ffff:192.0.2.1\\x20tcp/1\": write an IPv4 network as such: no packet carries an IPv4-mapped address" },
                /* the rest */
                { X "TriremePolicy=a b\n", "/etc/x.conf:2: TriremePolicy=: \"a\\x20b\": write the name of one policy" },
                { X "TriremeMode=permissive\n", "/etc/x.conf:2: TriremeMode=: \"permissive\": write enforce, observe or off" },
                { X "TriremeMode=\"\"\n", "/etc/x.conf:2: TriremeMode=: \"\\x22\\x22\": write enforce, observe or off" },
                /* all of them are told */
                { X "TriremeLabels=a\nTriremeMode=x\n", "/etc/x.conf:2: TriremeLabels=: \"a\": write KEY=VALUE\n/etc/x.conf:3: TriremeMode=: \"x\": write enforce, observe or off" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(unit_settings_done) UnitSettings s = {};
                int r = parse(cases[i].text, &s, &errors);
                _cleanup_free_ char *error = config_errors_format(&errors);

                if (r != (cases[i].error ? -EINVAL : 1) || !streq(error, cases[i].error ? cases[i].error : ""))
                        fail_msg("case %zu {%s}: %d\n%s\nexpected\n%s", i, cases[i].text, r, error, cases[i].error ? cases[i].error : "none");
        }
}

static void a_nul_byte_is_a_fault_since_systemd_sees_two_lines(void **state) {
        static const char text[] = "# comment\0[Service]\n[X-Trireme]\nTriremeLabels=app=web\n";
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *error = NULL;

        assert_int_equal(parse_bytes(text, sizeof(text) - 1, &s, &errors), -EINVAL);
        error = config_errors_format(&errors);
        assert_string_equal(error, "/etc/x.conf:1: a NUL or carriage return within a line, where systemd ends the line; remove it");
}

static void a_line_beyond_systemds_bound_is_a_fault(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        size_t size = CONFIG_LINE_MAX + 64;
        _cleanup_free_ char *text = malloc(size + 1), *error = NULL;

        memset(text, 'a', size);
        memcpy(text, "[Service]\nA=", 12);
        strcpy(text + size - 13, "\n[X-Trireme]\n");
        assert_int_equal(parse(text, &s, &errors), -EINVAL);
        error = config_errors_format(&errors);
        assert_string_equal(error, "/etc/x.conf:2: a line of more than 1 MiB: systemd ignores this file from here on; split the line");
}

static void continued_lines_have_the_same_bound(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *text = NULL, *error = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fputs("[Service]\nA=", f);
        for (unsigned i = 0; i < CONFIG_LINE_MAX / 60; i++)
                fprintf(f, "%062d\\\n", 0);
        fputs("\n" X, f);
        fclose(f);
        assert_int_equal(parse(text, &s, &errors), -EINVAL);
        error = config_errors_format(&errors);
        assert_non_null(strstr(error, ": a line of more than 1 MiB: systemd ignores this file from here on"));
}

static void too_many_and_too_long_labels_are_faults(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *text = NULL, *error = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fputs(X "TriremeLabels=", f);
        for (unsigned i = 0; i < TAGS_MAX + 1; i++)
                fprintf(f, "k%u=v ", i);
        fprintf(f, "\nTriremeLabels=k=%0256d\nTriremeLabels=%0124d=v\nTriremeLabels=%0123d=v\n", 1, 2, 3);
        fclose(f);
        assert_int_equal(parse(text, &s, &errors), -EINVAL);
        error = config_errors_format(&errors);
        assert_non_null(strstr(error, "/etc/x.conf:2: TriremeLabels=: \"k256=v\": more than 256 tags\n"));
        assert_non_null(strstr(error, "0001\": the value is longer than 255 bytes"));
        assert_non_null(strstr(error, "0002=v\": the key is too long"));
        assert_null(strstr(error, "0003=v\": the key")); /* 128 bytes with "@usr:" */
}

static void faults_beyond_the_bound_are_counted(void **state) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *text = NULL, *error = NULL, *line = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fputs(X, f);
        for (unsigned i = 0; i < CONFIG_ERRORS_MAX + 7; i++)
                fputs("x\n", f);
        fclose(f);
        assert_int_equal(parse(text, &s, &errors), -EINVAL);
        assert_int_equal(errors.n_errors, CONFIG_ERRORS_MAX);
        error = config_errors_format(&errors);
        assert_non_null(strstr(error, "\n(7 more)"));
        line = config_errors_format_line(&errors);
        assert_non_null(strstr(line, "; (7 more)"));
        assert_null(strchr(line, '\n'));
}

static void drop_ins_apply_in_order_and_faults_of_unrelated_files_are_not_ours(void **state) {
        static const char vendor[] = "[Service]\nExecStart=/bin/x \xff\n[Broken\n", first[] = X "TriremeLabels=app=web\nTriremeAccept=a=1\n",
                          second[] = X "TriremeAccept=\nTriremeAccept=b=2\n";
        const ConfigFile files[] = {
                { "/usr/lib/x.service", vendor, sizeof(vendor) - 1 },
                { "/etc/x.service.d/10.conf", first, sizeof(first) - 1 },
                { "/etc/x.service.d/20.conf", second, sizeof(second) - 1 },
        };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *text = NULL;

        assert_int_equal(unit_settings_parse(files, 3, &specifiers, &s, &errors), 1);
        assert_int_equal(errors.n_errors, 0);
        text = settings_format(&s);
        assert_string_equal(text, "app=web accept{b=2}");
        assert_string_equal(s.accept.rules[0].name, "/etc/x.service.d/20.conf:3");
}

static void one_broken_file_leaves_the_result_untouched(void **state) {
        static const char good[] = X "TriremeLabels=app=web\n", bad[] = X "TriremeMode=x\n";
        const ConfigFile files[] = { { "/etc/1.conf", good, sizeof(good) - 1 }, { "/etc/2.conf", bad, sizeof(bad) - 1 } };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        UnitSettings s = { .mode = UNIT_MODE_OBSERVE };

        assert_int_equal(unit_settings_parse(files, 2, &specifiers, &s, &errors), -EINVAL);
        assert_int_equal(s.mode, UNIT_MODE_OBSERVE);
        assert_int_equal(s.labels.n_tags, 0);
}

static void specifiers_without_a_value_or_with_a_meaning_are_faults(void **state) {
        static const struct {
                UnitSpecifiers specifiers;
                const char *text, *error;
        } cases[] = {
                { { .unit = "plain.service" }, X "TriremeLabels=i=%i\n",
                  "/etc/x.conf:2: TriremeLabels=: \"i=%i\": \"%i\" is empty: the unit is not an instance of a template" },
                { { .unit = "plain.service" }, X "TriremeLabels=h=%H\n", "/etc/x.conf:2: TriremeLabels=: \"h=%H\": a specifier has no value here" },
                { { .unit = "x@a|b.service" }, X "TriremeAccept=app=%i\n",
                  "/etc/x.conf:2: TriremeAccept=: \"app=%i\": what a specifier stands for has one of the characters space \" ' = ! | * ," },
                { { .unit = "x@*.service" }, X "TriremeAccept=app=%i\n",
                  "/etc/x.conf:2: TriremeAccept=: \"app=%i\": what a specifier stands for has one of the characters space \" ' = ! | * ," },
                { { .unit = "x@@sys:user.service" }, X "TriremeLabels=%i=root\n",
                  "/etc/x.conf:2: TriremeLabels=: \"@sys:user=root\": a label's key may not begin with \"@\": such tags are found out by the system" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const ConfigFile file = { "/etc/x.conf", cases[i].text, strlen(cases[i].text) };
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(unit_settings_done) UnitSettings s = {};
                _cleanup_free_ char *error = NULL;

                assert_int_equal(unit_settings_parse(&file, 1, &cases[i].specifiers, &s, &errors), -EINVAL);
                error = config_errors_format(&errors);
                assert_string_equal(error, cases[i].error);
        }
}

static void labels_come_down_from_the_slices_above(void **state) {
        static const struct {
                const char *own, *slice, *root, *expected;
        } cases[] = {
                { X "TriremeLabels=a=1\n", X "TriremeLabels=b=2\n", X "TriremeLabels=c=3\n", "a=1 b=2 c=3" },
                { X "TriremeLabels=\nTriremeLabels=a=1\n", X "TriremeLabels=b=2\n", X "TriremeLabels=c=3\n", "a=1" },
                { X "TriremeLabels=a=1\n", X "TriremeLabels=\nTriremeLabels=b=2\n", X "TriremeLabels=c=3\n", "a=1 b=2" },
                { X "TriremeLabels=a=1\n", X "TriremeLabels=a=2\n", X, "a=1 a=2" },
                { X, X, X "TriremeLabels=c=3\n", "c=3" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_(unit_settings_done) UnitSettings own = {}, slice = {}, root = {};
                _cleanup_(tag_set_done) TagSet labels = {};
                _cleanup_free_ char *text = NULL;

                assert_int_equal(parse(cases[i].own, &own, &errors), 1);
                assert_int_equal(parse(cases[i].slice, &slice, &errors), 1);
                assert_int_equal(parse(cases[i].root, &root, &errors), 1);
                assert_int_equal(unit_labels_inherit(&own, (const UnitSettings *const[]) { &slice, &root }, 2, &labels), 0);
                text = tag_set_format(&labels);
                assert_string_equal(text, cases[i].expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(settings_are_read_as_systemd_reads_a_unit_file),
                cmocka_unit_test(each_fault_names_file_line_key_and_remedy),
                cmocka_unit_test(a_nul_byte_is_a_fault_since_systemd_sees_two_lines),
                cmocka_unit_test(a_line_beyond_systemds_bound_is_a_fault),
                cmocka_unit_test(continued_lines_have_the_same_bound),
                cmocka_unit_test(too_many_and_too_long_labels_are_faults),
                cmocka_unit_test(faults_beyond_the_bound_are_counted),
                cmocka_unit_test(drop_ins_apply_in_order_and_faults_of_unrelated_files_are_not_ours),
                cmocka_unit_test(one_broken_file_leaves_the_result_untouched),
                cmocka_unit_test(specifiers_without_a_value_or_with_a_meaning_are_faults),
                cmocka_unit_test(labels_come_down_from_the_slices_above),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
