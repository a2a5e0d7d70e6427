/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coarse by design: the unit file's SystemCallFilter= is the wall, this is the net below it for whoever starts the enforcer otherwise. */
#include "enforcer/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static const char *const refused[] = {
        "execve", "execveat", "fork", "vfork",                                             /* no program, no child */
        "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",          /* no other process's memory or files */
        "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsmount",
        "bpf", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "perf_event_open", "userfaultfd",
        "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register",
        "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset",
        "settimeofday", "clock_settime", "adjtimex", "reboot", "swapon", "swapoff", "mknod", "mknodat",
};

static int filter_load(scmp_filter_ctx filter) {
        int r;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                int nr = seccomp_syscall_resolve_name(refused[i]);

                if (nr == __NR_SCMP_ERROR) /* this libseccomp does not know it */
                        continue;
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), nr, 0);
                if (r < 0)
                        return r;
        }
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
        return r < 0 ? r : seccomp_load(filter);
}

int sandbox_enter(void) {
        const struct rlimit none = {};
        scmp_filter_ctx filter;
        int r;

        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        filter = seccomp_init(SCMP_ACT_ALLOW);
        if (!filter)
                return -ENOMEM;
        r = filter_load(filter);
        seccomp_release(filter);
        return r;
}
