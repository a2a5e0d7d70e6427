/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdint.h>

#include "policy/unit-settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is printed for a person must mean the same when she writes it into a file. */
static void check_rule(const Rule *rule) {
        _cleanup_free_ char *text = rule_format(rule);
        const char *s = text;

        for (size_t i = 0; i < rule->n_clauses; i++) {
                _cleanup_free_ char *word = NULL, *before = NULL, *after = NULL;
                _cleanup_(clause_done) Clause clause = {};
                const char *fault;

                if (config_word(&s, &word) <= 0 || clause_parse(word, &clause, &fault) < 0)
                        abort();
                before = clause_format(rule->clauses + i);
                after = clause_format(&clause);
                if (!streq(before, after) || clause.n_values != rule->clauses[i].n_values)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const UnitSpecifiers specifiers = { .unit = "my-web@blue.service", .hostname = "host", .machine_id = "0123" };
        const ConfigFile file = { .path = "x.service", .data = data, .size = size };
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(unit_settings_done) UnitSettings s = {};
        _cleanup_free_ char *text = NULL, *labels = NULL;
        int r = unit_settings_parse(&file, 1, &specifiers, &s, &errors);

        text = config_errors_format(&errors);
        labels = tag_set_format(&s.labels);
        if ((r == -EINVAL) != (errors.n_errors > 0) || !text || !labels)
                abort();
        /* No control character reaches a terminal or the journal, whatever the file had. */
        for (const char *p = text; *p; p++)
                if (((unsigned char) *p < 0x20 && *p != '\n') || *p == 0x7f)
                        abort();
        for (size_t i = 0; i < s.accept.n_rules; i++)
                check_rule(s.accept.rules + i);
        return 0;
}
