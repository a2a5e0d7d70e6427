/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/macro.h"
#include "util/utf8.h"

#define S(s) s, sizeof(s) - 1

static void text_is_told_from_other_bytes(void **state) {
        static const struct {
                const char *what, *s;
                size_t n;
                bool expected;
        } cases[] = {
                { "nothing",                      S(""),                 true },
                { "ASCII from space to tilde",    S(" aZ09~"),           true },
                { "two, three and four bytes",    S("é€𝄞"),              true },
                { "the first and last of two",    S("\xc2\xa0\xdf\xbf"), true },
                { "the first of three",           S("\xe0\xa0\x80"),     true },
                { "the last of three",            S("\xef\xbf\xbf"),     true },
                { "the first of four",            S("\xf0\x90\x80\x80"), true },
                { "the last of all",              S("\xf4\x8f\xbf\xbf"), true },
                { "beyond the last of all",       S("\xf4\x90\x80\x80"), false },
                { "five bytes",                   S("\xf8\x88\x80\x80\x80"), false },
                { "a byte alone",                 S("\x80"),             false },
                { "0xff",                         S("\xff"),             false },
                { "overlong in two",              S("\xc1\xbf"),         false },
                { "overlong in three",            S("\xe0\x9f\xbf"),     false },
                { "overlong in four",             S("\xf0\x8f\xbf\xbf"), false },
                { "the first surrogate",          S("\xed\xa0\x80"),     false },
                { "the last surrogate",           S("\xed\xbf\xbf"),     false },
                { "before the surrogates",        S("\xed\x9f\xbf"),     true },
                { "cut after one of two",         S("a\xc3"),            false },
                { "cut after two of three",       S("\xe2\x82"),         false },
                { "cut after three of four",      S("\xf0\x9d\x84"),     false },
                { "third byte wrong",             S("\xe2\x82" "a"),     false },
                { "NUL",                          S("a\0b"),             false },
                { "tab",                          S("\t"),               false },
                { "the last of C0",               S("\x1f"),             false },
                { "DEL",                          S("\x7f"),             false },
                { "the first of C1",              S("\xc2\x80"),         false },
                { "the last of C1",               S("\xc2\x9f"),         false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                /* Of its own size, so that sanitizers see the first byte read beyond it. */
                _cleanup_free_ char *s = malloc(MAX(cases[i].n, (size_t) 1));

                assert_non_null(s);
                memcpy(s, cases[i].s, cases[i].n);
                if (utf8_is_printable(s, cases[i].n) != cases[i].expected)
                        fail_msg("%s", cases[i].what);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(text_is_told_from_other_bytes) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
