/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/sandbox.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void filter_free(scmp_filter_ctx *filter) {
        if (*filter)
                seccomp_release(*filter);
}

static int filter_load(const SandboxList *list) {
        _cleanup_(filter_free) scmp_filter_ctx filter = seccomp_init(list->otherwise);
        int r = 0;

        if (!filter)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < list->n_allowed; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, list->allowed[i], 0);
        for (size_t i = 0; r >= 0 && i < list->n_rules; i++)
                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, list->rules[i].call, list->rules[i].n_arguments, list->rules[i].arguments);
        if (r >= 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return r < 0 ? r : seccomp_load(filter);
}

int sandbox_load(const SandboxList *list) {
        const struct rlimit none = {};

        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_load(list);
}
