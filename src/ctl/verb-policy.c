/* SPDX-License-Identifier: GPL-2.0-or-later */

/* policy eval, policy check: rules without a daemon, for the CI of a policy. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/output.h"
#include "policy/policy-check.h"
#include "policy/policy-eval.h"
#include "policy/policy-json.h"
#include "policy/unit-settings.h"
#include "util/fd.h"
#include "util/log.h"

#define FILE_SIZE_MAX (16u << 20) /* a policy of a hundred thousand rules; a device or a pipe must end somewhere */

typedef struct FileData {
        char *data;
        size_t size;
} FileData;

static void file_data_done(FileData *f) {
        free(f->data);
}

static int file_read(const char *path, FileData *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *data = NULL;
        size_t len = 0, size = 0;
        ssize_t n;

        if (fd < 0)
                return log_error_errno(errno, "Cannot open %s", path);
        do {
                if (len == size) {
                        char *p = size < FILE_SIZE_MAX ? realloc(data, size > 0 ? size * 2 : 64u << 10) : NULL;

                        if (!p)
                                return log_error_errno(size < FILE_SIZE_MAX ? -ENOMEM : -EFBIG, "Cannot read %s", path);
                        data = p;
                        size = size > 0 ? size * 2 : 64u << 10;
                }
                n = read(fd, data + len, size - len);
                if (n < 0)
                        return log_error_errno(errno, "Cannot read %s", path);
                len += (size_t) n;
        } while (n > 0);
        *ret = (FileData) { TAKE_PTR(data), len };
        return 0;
}

static void print_faults(const ConfigErrors *errors) {
        _cleanup_free_ char *text = config_errors_format(errors);

        fprintf(stderr, "%s\n", text ?: "Out of memory");
}

static int print_result(const Options *o, const PolicyEvalResult *result) {
        _cleanup_(json_decrefp) json_t *v = NULL;

        if (o->json != JSON_OFF) {
                v = json_pack("{s:s, s:s?, s:s, s:s?}", "action", result->accept ? "accept" : "reject", "rule", result->rule, "reason", result->reason,
                              "text", result->text);
                return v ? print_json(o, v) : log_error_errno(-ENOMEM, "Cannot print");
        }
        printf("%s: %s", result->accept ? "accept" : "reject", result->reason);
        if (result->rule) {
                printf(" (");
                print_text(result->rule);
                printf(")");
        }
        printf("\n");
        if (result->text)
                printf("%s\n", result->text);
        return 0;
}

static int policy_eval_verb(const Options *o) {
        _cleanup_(policy_eval_result_done) PolicyEvalResult result = {};
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(file_data_done) FileData file = {};
        ConfigFile policy;
        PolicyEvalInput in = { .rules = o->rules.items, .n_rules = o->rules.n_items, .policy_name = o->policy_name, .tags = o->tags, .port = o->port };

        if (!o->direction || !(streq(o->direction, "accept") || streq(o->direction, "connect")) || !o->tags || (!o->policy && o->rules.n_items == 0)) {
                log_error("policy eval needs --direction=accept or connect, --tags=, and --rule= or --policy=");
                return CTL_FAILED;
        }
        in.connect = streq(o->direction, "connect");
        if (o->policy) {
                if (file_read(o->policy, &file) < 0)
                        return CTL_FAILED;
                policy = (ConfigFile) { o->policy, file.data, file.size };
                in.policy = &policy;
        }
        if (policy_eval(&in, &result, &errors) < 0) {
                print_faults(&errors);
                return CTL_FAILED;
        }
        if (print_result(o, &result) < 0)
                return CTL_FAILED;
        return result.accept ? CTL_OK : CTL_DENIED;
}

static void print_warnings(const ConfigErrors *warnings) {
        for (size_t i = 0; i < warnings->n_errors; i++) {
                _cleanup_free_ char *text = config_error_format(&warnings->errors[i]);

                fprintf(stderr, "%s\n", text ?: "Out of memory");
        }
        if (warnings->n_omitted > 0)
                fprintf(stderr, "and %zu more\n", warnings->n_omitted);
}

static int check_rules(RuleList *rules, ConfigErrors *warnings) {
        _cleanup_(rule_set_unrefp) RuleSet *set = NULL;
        int r = rule_set_new(rules, &set);

        return r < 0 ? r : policy_check_side(&(const PolicySide) { .accepts = set }, warnings);
}

/* A unit file or drop-in. Its unit's name is not known, but what a specifier expands to matters only for its length and characters. */
static int check_unit(const ConfigFile *file, ConfigErrors *errors, ConfigErrors *warnings) {
        static const UnitSpecifiers specifiers = { "check@instance.service", "host", "00000000000000000000000000000000" };
        _cleanup_(unit_settings_done) UnitSettings settings = {};
        int r;

        r = unit_settings_parse(file, 1, &specifiers, &settings, errors);
        if (r == 0) {
                log_error("%s: no section [X-Trireme]", file->path);
                return -EINVAL;
        }
        if (r >= 0)
                r = check_rules(&settings.accept, warnings);
        return r < 0 ? r : check_rules(&settings.connect, warnings);
}

static bool is_json(const ConfigFile *file) {
        const char *data = file->data;
        size_t n = strlen(file->path), i = 0;

        while (i < file->size && strchr(" \t\r\n", data[i]) && data[i])
                i++;
        return (n > 5 && streq(file->path + n - 5, ".json")) || (i < file->size && data[i] == '{');
}

/* book: policies of the files before it, for names must not repeat. */
static int check_file(const char *path, PolicyBook *book) {
        _cleanup_(config_errors_done) ConfigErrors errors = {}, warnings = {};
        _cleanup_(file_data_done) FileData data = {};
        size_t n_before = book->n_policies;
        ConfigFile file;
        int r = file_read(path, &data);

        if (r < 0)
                return r;
        file = (ConfigFile) { path, data.data, data.size };
        if (is_json(&file)) {
                r = policy_book_add(book, &file, &errors);
                if (r >= 0)
                        r = policy_check_book(&(const PolicyBook) { book->policies + n_before, book->n_policies - n_before }, &warnings);
        } else
                r = check_unit(&file, &errors, &warnings);
        if (errors.n_errors > 0)
                print_faults(&errors);
        else if (r == -ENOMEM)
                log_error("Out of memory");
        print_warnings(&warnings);
        return r;
}

static int policy_check_verb(char **paths) {
        _cleanup_(policy_book_done) PolicyBook book = {};
        int r = CTL_OK;

        for (; *paths; paths++)
                if (check_file(*paths, &book) < 0)
                        r = CTL_FAILED;
        return r;
}

int verb_policy(const Options *o, int argc, char **argv) {
        if (streq(argv[1], "eval") && argc == 2)
                return policy_eval_verb(o);
        if (streq(argv[1], "check") && argc >= 3)
                return policy_check_verb(argv + 2);
        log_error("Try policy eval OPTIONS, or policy check FILE...");
        return CTL_FAILED;
}
