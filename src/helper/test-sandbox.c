/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "helper/sandbox.h"
#include "util/sanitizer.h"
#include "util/try-calls.h"

typedef struct Kind {
        int family, protocol;
        bool allowed;
} Kind;

static long open_socket(const void *argument) {
        const Kind *kind = argument;

        return socket(kind->family, kind->family == AF_NETLINK || kind->family == AF_PACKET ? SOCK_RAW : SOCK_DGRAM, kind->protocol);
}

static long open_flags(const void *flags) {
        return open("/dev/null", *(const int *) flags, 0600);
}

static void no_program_identity_mount_module_or_other_process_is_within_reach(void **state) {
        static const char *const also[] = { "mkdir", "unlink", "rmdir", "ioctl", "accept", "process_vm_readv", NULL };

        assert_int_equal(try_names(sandbox_enter, try_never), 0);
        assert_int_equal(try_names(sandbox_enter, also), 0);
}

static void only_the_sockets_it_needs_can_be_made(void **state) {
        static const Kind kinds[] = {
                { AF_UNIX, 0, true }, { AF_NETLINK, NETLINK_SOCK_DIAG, true }, { AF_NETLINK, NETLINK_NETFILTER, true },
                { AF_NETLINK, NETLINK_ROUTE, false }, { AF_NETLINK, NETLINK_AUDIT, false }, { AF_NETLINK, NETLINK_GENERIC, false },
                { AF_NETLINK, NETLINK_KOBJECT_UEVENT, false }, { AF_INET, 0, false }, { AF_INET6, 0, false }, { AF_PACKET, 0, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (kinds[i].allowed)
                        assert_int_equal(try_call(sandbox_enter, open_socket, &kinds[i]), 0);
                else if (try_call(NULL, open_socket, &kinds[i]) == 0)
                        assert_true(try_is_refused(sandbox_enter, open_socket, &kinds[i]));
}

static void files_are_opened_to_read_or_made_to_say_attached(void **state) {
        static const int write_flags[] = { O_WRONLY, O_RDWR, O_WRONLY | O_CREAT | O_CLOEXEC, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, O_RDONLY | O_TRUNC };
        static const int allowed_flags[] = { O_RDONLY, O_PATH | O_CLOEXEC, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC };

        for (size_t i = 0; i < ELEMENTSOF(allowed_flags); i++)
                assert_int_equal(try_call(sandbox_enter, open_flags, &allowed_flags[i]), 0);
        for (size_t i = 0; i < ELEMENTSOF(write_flags); i++)
                assert_true(try_is_refused(sandbox_enter, open_flags, &write_flags[i]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_program_identity_mount_module_or_other_process_is_within_reach),
                cmocka_unit_test(only_the_sockets_it_needs_can_be_made),
                cmocka_unit_test(files_are_opened_to_read_or_made_to_say_attached),
        };

        return sanitizer_skip() ?: cmocka_run_group_tests(tests, NULL, NULL);
}
