/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/serve.h"

#include "util/sandbox.h"

static const int allowed[] = {
        SANDBOX_BASE,
        /* requests and answers, on the one socket there is */
        SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(poll), SCMP_SYS(ppoll),
        /* the files that came with them */
        SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(fstat), SCMP_SYS(close), SCMP_SYS(alarm), SCMP_SYS(setitimer),
};

static const SandboxRule rules[] = {
        { SCMP_SYS(newfstatat), 1, { SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH) } }, /* fstat() of glibc 2.33 to 2.38 */
};

int inspect_sandbox_enter(void) {
        return sandbox_load(&(const SandboxList) {
                .otherwise = SCMP_ACT_KILL_PROCESS,
                .allowed = allowed,
                .n_allowed = ELEMENTSOF(allowed),
                .rules = rules,
                .n_rules = ELEMENTSOF(rules),
        });
}
