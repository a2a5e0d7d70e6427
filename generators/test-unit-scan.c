/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit-name.h"
#include "unit-scan.h"
#include "util/macro.h"

typedef struct ScanCase {
        const char *text;
        size_t len; /* 0: strlen */
        bool labelled;
        const char *values; /* "S:a.service s:b.socket " */
} ScanCase;

static void on_value(void *userdata, UnitScanKey key, const char *value, size_t len) {
        char *out = userdata;

        assert_true(len > 0);
        sprintf(out + strlen(out), "%c:%.*s ", key == UNIT_SCAN_SERVICE ? 'S' : 's', (int) len, value);
}

static void check_scans(const ScanCase *cases, size_t n_cases) {
        for (size_t i = 0; i < n_cases; i++) {
                char values[1024] = "";
                size_t len = cases[i].len > 0 ? cases[i].len : strlen(cases[i].text);

                print_message("%s\n", cases[i].text);
                assert_int_equal(unit_scan(cases[i].text, len, on_value, values), cases[i].labelled);
                assert_string_equal(values, cases[i].values ?: "");
        }
}

static void test_finds_the_section_wherever_pid1_or_a_person_would(void **state) {
        static const ScanCase cases[] = {
                { "[X-Trireme]\n", 0, true },
                { "[X-Trireme]", 0, true },
                { "  \t[X-Trireme]  \nTriremeLabels=a=b\n", 0, true },
                { "[Unit]\r\nDescription=x\r\n[X-Trireme]\r\n", 0, true },
                { "\xef\xbb\xbf[X-Trireme]\n", 0, true },
                { "[X-Trireme\nTriremeLabels=a=b\n", 0, true },      /* no bracket: the enforcer will say so */
                { "[X-Trireme ]\n", 0, true },
                { "[X-Trireme][Unit]\n", 0, true },
                { "[Unit]\n\xff\xfe\n[X-Trireme]\n", 0, true },      /* PID 1 gives up at the bad byte; the label was meant */
                { "[Unit]\0[X-Trireme]\n", 19, true },               /* a NUL ends a line for PID 1 */
                { "[Service]\nExecStart=x \\\n[X-Trireme]\n", 0, true }, /* continuation of a key that is not looked at: in doubt, yes */
                { "[x-trireme]\n", 0, true },
                { "[ XTRIREME ]\n", 0, true },
                { "[X_Trireme]\n", 0, true },
                { "[Trireme]\n", 0, true },
                { "[[X-Trireme]]\n", 0, true },
                { "X-Trireme]\n", 0, true },                         /* no bracket at the other end */
                { " X-Trireme \n", 0, true },
                { "[Service]\nTriremeLabels=a=b\n", 0, true },       /* outside of its section */
                { "TriremeNonsense = 1\n", 0, true },
                { "[Service]\nSockets=a.socket \\\n[X-Trireme]\n", 0, true, "s:a.socket s:[X-Trireme] " },
        };

        check_scans(cases, ELEMENTSOF(cases));
}

static void test_leaves_all_other_files_alone(void **state) {
        static const ScanCase cases[] = {
                { "\n", 0, false },
                { "[Unit]\nDescription=[X-Trireme]\n", 0, false },
                { "#[X-Trireme]\n;[X-Trireme]\n  # [X-Trireme]\n", 0, false },
                { "[X-TriremeOther]\n[X-Trireme-2]\n[X-Trireme_]\n[TriremeX]\n[X-Tri", 0, false },
                { "[Unit]\nWants=trireme.service\nDescription=X-Trireme\nTrireme\\\nTriremeLabels\nTrireme is=nice\n", 0, false },
        };

        check_scans(cases, ELEMENTSOF(cases));
}

static void test_finds_which_service_a_socket_triggers(void **state) {
        static const ScanCase cases[] = {
                { "[Socket]\nService=a.service\n", 0, false, "S:a.service " },
                { "[Socket]\n Service = a.service \n[X-Trireme]\n", 0, true, "S:a.service " },
                { "[Service]\nSockets=a.socket b.socket\nSockets=c.socket\n", 0, false, "s:a.socket s:b.socket s:c.socket " },
                { "[Service]\nSockets=a.socket \\\n# comment\n  b.socket\nUser=x\n", 0, false, "s:a.socket s:b.socket " },
                { "[Socket]\nServiceX=a\nService a\nService=\nServices=b\n", 0, false, "" },
                { "[Unit]\nService=a.service\n[Install]\nSockets=b.socket\n", 0, false, "" },
                { "[Socket]\nSockets=b.socket\n[Service]\nService=a.service\n", 0, false, "" },
        };

        check_scans(cases, ELEMENTSOF(cases));
}

static void test_a_dropin_directory_covers_what_pid1_reads_it_for(void **state) {
        static const struct { const char *name, *unit; bool covers; } cases[] = {
                { "foo.service", "foo.service", true },
                { "foo.service", "foo.socket", false },
                { "foo.service", "foo-bar.service", false },
                { "foo-.service", "foo-bar.service", true },
                { "foo-.service", "foo-bar-baz.service", true },
                { "foo-.service", "foo.service", false },
                { "foo-.service", "foobar.service", false },
                { "foo-.service", "foo-bar@i.service", false }, /* the instance stays when the prefix is cut */
                { "foo-@.service", "foo-bar@i.service", true },
                { "foo-@j.service", "foo-bar@i.service", false },
                { "foo@.service", "foo@i.service", true },
                { "foo@.service", "foo@.service", true },
                { "foo@i.service", "foo@.service", false },
                { "foo@i.service", "foo@i.service", true },
                { "foo@i.service", "foo@ij.service", false },
                { "foo@.service", "foo.service", false },
                { "service", "foo.service", true },
                { "service", "foo@i.service", true },
                { "service", "foo.socket", false },
                { "service", "service", true },
                { "foo@.service", "foo@%i.service", true },
                { "foo@x.service", "foo@%i.service", true },
                { "bar@x.service", "foo@%i.service", false },
                { "anything.service", "%i.service", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                print_message("%s %s\n", cases[i].name, cases[i].unit);
                assert_int_equal(dropin_name_covers(cases[i].name, cases[i].unit), cases[i].covers);
        }
}

static void test_sockets_have_the_name_of_their_service(void **state) {
        static const struct { const char *service; bool accept; const char *socket; } cases[] = {
                { "foo.service", false, "foo.socket" },
                { "foo-.service", false, "foo-.socket" },
                { "foo@.service", false, "foo@.socket" },
                { "foo@.service", true, "foo.socket" },
                { "foo@i.service", false, "foo@i.socket" },
                { "foo@i.service", true, NULL },
                { "foo.service", true, NULL },
                { "service", false, "socket" },
                { "foo.slice", false, NULL },
                { "foo.socket", false, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char socket[UNIT_NAME_MAX] = "";

                print_message("%s\n", cases[i].service);
                assert_int_equal(dropin_name_to_socket(cases[i].service, cases[i].accept, socket), cases[i].socket != NULL);
                if (cases[i].socket)
                        assert_string_equal(socket, cases[i].socket);
        }
}

static void test_only_services_sockets_slices_and_scopes_can_be_labelled(void **state) {
        char long_name[UNIT_NAME_MAX + 16];

        assert_true(unit_name_is_labellable("a.service"));
        assert_true(unit_name_is_labellable("a@.socket"));
        assert_true(unit_name_is_labellable("a-.slice"));
        assert_true(unit_name_is_labellable("scope"));
        assert_false(unit_name_is_labellable("a.mount"));
        assert_false(unit_name_is_labellable("a.services"));
        assert_false(unit_name_is_labellable("services"));
        assert_false(unit_name_is_labellable(""));
        memset(long_name, 'a', sizeof(long_name));
        strcpy(long_name + UNIT_NAME_MAX, ".service");
        assert_false(unit_name_is_labellable(long_name));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_finds_the_section_wherever_pid1_or_a_person_would),
                cmocka_unit_test(test_leaves_all_other_files_alone),
                cmocka_unit_test(test_finds_which_service_a_socket_triggers),
                cmocka_unit_test(test_a_dropin_directory_covers_what_pid1_reads_it_for),
                cmocka_unit_test(test_sockets_have_the_name_of_their_service),
                cmocka_unit_test(test_only_services_sockets_slices_and_scopes_can_be_labelled),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
