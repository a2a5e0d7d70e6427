/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a taken-over enforcer could do by itself, without helper and datapath: read what its user may read, and speak on the sockets that its user may connect to. */
#include "enforcer/sandbox.h"

#include <errno.h>
#include <linux/fsverity.h>

#include "util/sandbox.h"

static const int allowed[] = {
        SANDBOX_BASE,
        SANDBOX_LIBSYSTEMD,
        SANDBOX_READ_FILES,
        /* labels of runs, in the runtime directory */
        SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
};

static const SandboxRule rules[] = {
        SANDBOX_OPEN_TO_READ,
        SANDBOX_OPEN_EXACTLY(O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW), /* labels of runs */
        SANDBOX_OPEN_EXACTLY(O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW), /* what peers were judged for */
        { SCMP_SYS(ioctl), 1, { SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, FS_IOC_MEASURE_VERITY) } }, /* asks the kernel for a digest of an open file */
        SANDBOX_SOCKET(AF_UNIX),
        SANDBOX_OWN_NAME,
        SANDBOX_PROTECT_MEMORY,
};

int sandbox_enter(void) {
        return sandbox_load(&(const SandboxList) {
                .otherwise = SCMP_ACT_ERRNO(EPERM),
                .allowed = allowed,
                .n_allowed = ELEMENTSOF(allowed),
                .rules = rules,
                .n_rules = ELEMENTSOF(rules),
        });
}
