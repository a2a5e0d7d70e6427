/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "enforcer/sandbox.h"
#include "util/sanitizer.h"
#include "util/try-calls.h"

static long open_flags(const void *flags) {
        return open("/dev/null", *(const int *) flags, 0600);
}

static long open_socket(const void *family) {
        return socket(*(const int *) family, SOCK_DGRAM, 0);
}

static long map_protected(const void *protection) {
        return mmap(NULL, 4096, *(const int *) protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long protect_executable(const void *argument) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? 0 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void no_program_identity_mount_module_or_other_process_is_within_reach(void **state) {
        static const char *const also[] = { "accept", "accept4", "ioctl", NULL };

        assert_int_equal(try_names(sandbox_enter, try_never), 0);
        assert_int_equal(try_names(sandbox_enter, also), 0);
}

static void files_are_opened_to_read_only(void **state) {
        static const int write_flags[] = { O_WRONLY, O_RDWR, O_WRONLY | O_CREAT, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND };
        const int read_flags = O_RDONLY | O_CLOEXEC;

        assert_int_equal(try_call(sandbox_enter, open_flags, &read_flags), 0);
        for (size_t i = 0; i < ELEMENTSOF(write_flags); i++)
                assert_true(try_is_refused(sandbox_enter, open_flags, &write_flags[i]));
}

static void only_unix_sockets_can_be_made(void **state) {
        static const int families[] = { AF_INET, AF_INET6, AF_NETLINK };
        const int local = AF_UNIX;

        assert_int_equal(try_call(sandbox_enter, open_socket, &local), 0);
        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                assert_true(try_is_refused(sandbox_enter, open_socket, &families[i]));
}

static long measure_verity(const void *argument) {
        struct fsverity_digest d = {};
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        long r = ioctl(fd, FS_IOC_MEASURE_VERITY, &d);

        close(fd);
        return r;
}

static long bytes_to_read(const void *argument) {
        int flags = 0, fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        long r = ioctl(fd, FIONREAD, &flags);

        close(fd);
        return r;
}

static void of_a_file_that_is_open_only_its_verity_digest_can_be_asked_for(void **state) {
        int r = try_call(sandbox_enter, measure_verity, NULL);

        assert_true(r == ENODATA || r == ENOTTY || r == EOPNOTSUPP || r == EOVERFLOW || r == ENOSYS); /* the file system's own answers */
        assert_true(try_is_refused(sandbox_enter, bytes_to_read, NULL));
}

static void memory_cannot_be_made_executable(void **state) {
        const int executable = PROT_READ | PROT_EXEC, plain = PROT_READ | PROT_WRITE;

        assert_int_equal(try_call(sandbox_enter, map_protected, &plain), 0);
        assert_true(try_is_refused(sandbox_enter, map_protected, &executable));
        assert_true(try_is_refused(sandbox_enter, protect_executable, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_program_identity_mount_module_or_other_process_is_within_reach),
                cmocka_unit_test(files_are_opened_to_read_only),
                cmocka_unit_test(only_unix_sockets_can_be_made),
                cmocka_unit_test(of_a_file_that_is_open_only_its_verity_digest_can_be_asked_for),
                cmocka_unit_test(memory_cannot_be_made_executable),
        };

        return sanitizer_skip() ?: cmocka_run_group_tests(tests, NULL, NULL);
}
