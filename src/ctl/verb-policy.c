/* SPDX-License-Identifier: GPL-2.0-or-later */

/* policy eval, policy check: rules without a daemon, for the CI of a policy. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/output.h"
#include "policy/policy-eval.h"
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

/* A unit file or drop-in. Its unit's name is not known, but what a specifier expands to matters only for its length and characters. */
static int check_file(const char *path) {
        static const UnitSpecifiers specifiers = { "check@instance.service", "host", "00000000000000000000000000000000" };
        _cleanup_(unit_settings_done) UnitSettings settings = {};
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_(file_data_done) FileData file = {};
        ConfigFile config;
        int r = file_read(path, &file);

        if (r < 0)
                return r;
        config = (ConfigFile) { path, file.data, file.size };
        r = unit_settings_parse(&config, 1, &specifiers, &settings, &errors);
        if (r == 0) {
                log_error("%s: no section [X-Trireme]", path);
                r = -EINVAL;
        } else if (r < 0)
                print_faults(&errors);
        return r;
}

int verb_policy(const Options *o, int argc, char **argv) {
        int r = CTL_OK;

        if (streq(argv[1], "eval") && argc == 2)
                return policy_eval_verb(o);
        if (!streq(argv[1], "check") || argc < 3) {
                log_error("Try policy eval OPTIONS, or policy check FILE...");
                return CTL_FAILED;
        }
        for (int i = 2; i < argc; i++)
                if (check_file(argv[i]) < 0)
                        r = CTL_FAILED;
        return r;
}
