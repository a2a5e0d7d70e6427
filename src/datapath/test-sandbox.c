/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/sandbox.h"
#include "util/sanitizer.h"
#include "util/try-calls.h"

static long map_protected(const void *protection) {
        return mmap(NULL, 4096, *(const int *) protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long open_socket(const void *family) {
        return socket(*(const int *) family, SOCK_DGRAM, 0);
}

static void no_program_identity_mount_module_or_other_process_is_within_reach(void **state) {
        assert_int_equal(try_names(sandbox_enter, try_never), 0);
}

static void nothing_is_left_that_opens_a_file_or_a_socket(void **state) {
        static const char *const names[] = { "open", "openat", "bind", "connect", "mkdir", "mkdirat", "unlink", "unlinkat", "read", "readlink", "memfd_create",
                                             "epoll_create1", "setsockopt", "fcntl", "dup", NULL };
        static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

        assert_int_equal(try_names(sandbox_enter, names), 0);
        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                assert_true(try_is_refused(sandbox_enter, open_socket, &families[i]));
}

static void memory_cannot_be_made_executable(void **state) {
        const int executable = PROT_READ | PROT_EXEC, plain = PROT_READ | PROT_WRITE;

        assert_int_equal(try_call(sandbox_enter, map_protected, &plain), 0);
        assert_true(try_is_refused(sandbox_enter, map_protected, &executable));
}

/* The workers run before the sandbox is entered. */
static pthread_barrier_t entered;
static bool has_thread;

static void *open_socket_late(void *userdata) {
        pthread_barrier_wait(&entered);
        (void) socket(AF_UNIX, SOCK_DGRAM, 0);
        return NULL;
}

static int enter_with_a_thread(void) {
        pthread_t thread;

        if (pthread_barrier_init(&entered, NULL, 2) != 0 || pthread_create(&thread, NULL, open_socket_late, NULL) != 0)
                return -EAGAIN;
        has_thread = true;
        return sandbox_enter();
}

static long let_the_thread_open_a_socket(const void *argument) {
        if (!has_thread)
                return 0;
        pthread_barrier_wait(&entered);
        return poll(NULL, 0, 5000); /* the whole process is killed before */
}

static void threads_that_run_already_are_bound_too(void **state) {
        assert_true(try_is_refused(enter_with_a_thread, let_the_thread_open_a_socket, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_program_identity_mount_module_or_other_process_is_within_reach),
                cmocka_unit_test(nothing_is_left_that_opens_a_file_or_a_socket),
                cmocka_unit_test(memory_cannot_be_made_executable),
                cmocka_unit_test(threads_that_run_already_are_bound_too),
        };

        return sanitizer_skip() ?: cmocka_run_group_tests(tests, NULL, NULL);
}
