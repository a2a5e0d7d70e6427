/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The seccomp filter of a process: a list of what it may call, everything else is refused. Each process says in its own sandbox.c what is on its list and why. */

#include <fcntl.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "util/macro.h"

/* A system call with some arguments only. Rules for one call add up. */
typedef struct SandboxRule {
        int call;
        unsigned n_arguments;
        struct scmp_arg_cmp arguments[2]; /* SCMP_A0() .. SCMP_A5() */
} SandboxRule;

typedef struct SandboxList {
        uint32_t otherwise;           /* SCMP_ACT_KILL_PROCESS, or SCMP_ACT_ERRNO() where libraries try what they can do without */
        const int *allowed;           /* with any arguments */
        size_t n_allowed;
        const SandboxRule *rules;
        size_t n_rules;
} SandboxList;

/* No core dumps, nobody may trace us, no new privileges, and the filter, for good. Memory can be had, but none that can be executed. -errno. */
_must_use_ int sandbox_load(const SandboxList *list);

/* Memory, time, randomness, the log on stderr, and the end, also by abort(). */
#define SANDBOX_BASE \
        SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), \
        SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(exit_group), SCMP_SYS(exit), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), \
        SCMP_SYS(rt_sigaction), SCMP_SYS(restart_syscall), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill)

/* sd-event, sd-bus and sd-journal of systemd 252 to 257, but for the sockets that they open. What pidfd_open() gives nothing on the list could use. */
#define SANDBOX_LIBSYSTEMD \
        SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), \
        SCMP_SYS(ppoll), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4), SCMP_SYS(eventfd2), SCMP_SYS(inotify_init1), \
        SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(shutdown), SCMP_SYS(getsockname), \
        SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), \
        SCMP_SYS(recvmsg), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(close), \
        SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), \
        SCMP_SYS(getppid), SCMP_SYS(pidfd_open)

/* What is open is read, and looked at; opening itself takes a rule. */
#define SANDBOX_READ_FILES \
        SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), \
        SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(getdents64), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(access), \
        SCMP_SYS(faccessat), SCMP_SYS(faccessat2)

/* Rules */
#define SANDBOX_OPEN_TO_READ { SCMP_SYS(openat), 1, { SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY) } }
#define SANDBOX_OPEN_EXACTLY(flags) { SCMP_SYS(openat), 1, { SCMP_A2(SCMP_CMP_EQ, flags) } }
#define SANDBOX_SOCKET(domain) { SCMP_SYS(socket), 1, { SCMP_A0(SCMP_CMP_EQ, domain) } }
#define SANDBOX_NETLINK(protocol) { SCMP_SYS(socket), 2, { SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, protocol) } }
#define SANDBOX_OWN_NAME { SCMP_SYS(prctl), 1, { SCMP_A0(SCMP_CMP_EQ, PR_GET_NAME) } } /* sd-bus puts it into its socket's address */
#define SANDBOX_PROTECT_MEMORY { SCMP_SYS(mprotect), 1, { SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } }
