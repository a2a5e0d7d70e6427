/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verify/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const int allowed[] = {
        /* requests and answers, on the one socket there is */
        SCMP_SYS(recvmsg), SCMP_SYS(sendto),
        /* the trust store that came with one */
        SCMP_SYS(fstat), SCMP_SYS(close), SCMP_SYS(alarm), SCMP_SYS(setitimer),
        /* libcrypto: memory, blinding, once-only initialisation, dates */
        SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime),
        /* a word on stderr, and the end, also by abort() */
        SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(exit_group), SCMP_SYS(exit), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
        SCMP_SYS(restart_syscall), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
};

static void filter_free(scmp_filter_ctx *filter) {
        if (*filter)
                seccomp_release(*filter);
}

static int filter_load(void) {
        _cleanup_(filter_free) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r = 0;

        if (!filter)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(allowed); i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (r >= 0) /* fstat() of glibc 2.33 to 2.38 */
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
        if (r >= 0) /* memory, but none that can be executed */
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return r < 0 ? r : seccomp_load(filter);
}

int verify_sandbox_enter(void) {
        const struct rlimit none = {};

        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_load();
}
