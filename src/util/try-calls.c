/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/try-calls.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const try_never[] = {
        "execve", "execveat", "fork", "clone", "clone3",
        "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "pidfd_send_signal", "kill", "tkill", "rt_sigqueueinfo", "process_madvise",
        "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr",
        "bpf", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "perf_event_open", "userfaultfd", "iopl", "ioperm",
        "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register",
        "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setgroups", "capset", "personality", "prlimit64", "setrlimit",
        "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "reboot", "swapon", "swapoff", "acct", "quotactl", "syslog", "sethostname", "setdomainname",
        "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "lchown", "rename", "renameat2", "link", "linkat", "symlink", "symlinkat",
        "truncate", "setxattr", "fsetxattr", "utimensat", "open_by_handle_at", "openat2", "creat", "fanotify_init", "memfd_secret", "shmget", "msgget", "mq_open",
        "listen", "socketpair", "pkey_mprotect", "remap_file_pages", "sched_setscheduler", "setpriority", "landlock_create_ruleset", "seccomp", NULL,
};

int try_call(try_enter_t enter, try_call_t call, const void *argument) {
        int status;
        pid_t pid = fork();

        if (pid < 0)
                abort();
        if (pid == 0) {
                if (enter && enter() < 0)
                        abort();
                _exit(call(argument) < 0 ? errno : 0);
        }
        if (waitpid(pid, &status, 0) != pid)
                abort();
        if (WIFSIGNALED(status)) {
                if (WTERMSIG(status) != SIGSYS)
                        abort();
                return TRY_KILLED;
        }
        return WEXITSTATUS(status);
}

bool try_is_refused(try_enter_t enter, try_call_t call, const void *argument) {
        int with = try_call(enter, call, argument), without = try_call(NULL, call, argument);

        return (with == EPERM || with == TRY_KILLED) && with != without;
}

static long call_number(const void *argument) {
        return syscall(*(const int *) argument, -1L, -1L, -1L, -1L, -1L, -1L);
}

unsigned try_names(try_enter_t enter, const char *const *names) {
        unsigned n_passed = 0, n_tried = 0;

        for (; *names; names++) {
                int number = seccomp_syscall_resolve_name(*names), without;

                if (number < 0) /* not on this architecture, or too new for this libseccomp */
                        continue;
                without = try_call(NULL, call_number, &number);
                if (without == EPERM || without == ENOSYS)
                        continue;
                n_tried++;
                if (try_is_refused(enter, call_number, &number))
                        continue;
                printf("%s was let through\n", *names);
                n_passed++;
        }
        if (n_tried == 0)
                printf("nothing could be tried: start this test with the rights of root\n");
        return n_tried == 0 ? 1 : n_passed;
}
