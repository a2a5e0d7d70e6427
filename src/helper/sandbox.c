/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The helper keeps its rights, so its filter is about what these rights would be used for: CAP_SYS_PTRACE reads /proc and nothing else, CAP_NET_ADMIN works on
 * the table and on sockets and on nothing else, and root's files are not written but where the unit file leaves a place to write. */
#include "helper/sandbox.h"

#include <errno.h>
#include <linux/netlink.h>

#include "util/sandbox.h"

static const int allowed[] = {
        SANDBOX_BASE,
        SANDBOX_LIBSYSTEMD,
        SANDBOX_READ_FILES,
        /* clients */
        SCMP_SYS(accept4),
        /* control groups, and files that say "attached" */
        SCMP_SYS(mkdirat), SCMP_SYS(unlinkat),
        /* what plug-ins print, passed on unread */
        SCMP_SYS(pipe2),
};

static const SandboxRule rules[] = {
        SANDBOX_OPEN_TO_READ,
        SANDBOX_OPEN_EXACTLY(O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC),
        SANDBOX_OPEN_EXACTLY(O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC),
        SANDBOX_SOCKET(AF_UNIX),
        SANDBOX_NETLINK(NETLINK_SOCK_DIAG),
        SANDBOX_NETLINK(NETLINK_NETFILTER),
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
