/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A bug in a parser of packets must not become more than a bug in a parser of packets. What CAP_NET_ADMIN could do needs a netlink socket of
 * another family or another process; the filter leaves neither. */

#include <errno.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "datapath/sandbox.h"
#include "util/log.h"

static const int allowed[] = {
        /* the loop */
        SCMP_SYS(ppoll), SCMP_SYS(poll), SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall),
        /* queue, sock_diag and control sockets, all open already but the one that accept4() gives */
        SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(close),
        /* the log, on stderr */
        SCMP_SYS(write), SCMP_SYS(writev),
        /* nonces, memory of units and keys, libcrypto's locks */
        SCMP_SYS(getrandom), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
        /* the end, also by abort() */
        SCMP_SYS(exit_group), SCMP_SYS(exit), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid),
        SCMP_SYS(tgkill),
};

static void filter_free(scmp_filter_ctx *filter) {
        if (*filter)
                seccomp_release(*filter);
}

static int sandbox_filter(void) {
        _cleanup_(filter_free) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r;

        if (!filter)
                return -ENOMEM;
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* for threads that run already, too */
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(allowed); i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (r >= 0) /* memory, but none that can be executed */
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r >= 0) /* the C library sees whether stderr is a terminal */
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0);
        return r < 0 ? r : seccomp_load(filter);
}

int sandbox_enter(void) {
        const struct rlimit none = {};
        int r;

        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return log_error_errno(errno, "Cannot give up core dumps and privileges");
        r = sandbox_filter();
        if (r < 0)
                return log_error_errno(r, "Cannot load the seccomp filter");
        return 0;
}
