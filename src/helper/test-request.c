/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>

#include "helper/request.h"

typedef union Packet {
        HelperHeader header;
        HelperHello hello;
        HelperRequest request;
        HelperUnitRequest unit;
        HelperRelease release;
        HelperAcl acl;
        HelperNetwork network;
        HelperLocal local;
        HelperSocketList list;
        HelperSocket socket;
        HelperScope scope;
        HelperOptions options;
        HelperRecord record;
        HelperPlugin plugin;
        HelperLibrary library;
} Packet;

/* A good request of each type. */
static Packet good(uint32_t type) {
        Packet p = { .header = { type, 7 } };

        switch (type) {
        case HELPER_HELLO:
                p.hello.version = HELPER_PROTOCOL_VERSION;
                break;
        case HELPER_GET_UNIT:
        case HELPER_OPEN_UNIT_FILES:
        case HELPER_GET_IDENTITY:
                strcpy(p.request.unit, "a.service");
                break;
        case HELPER_CLOSE_UNIT:
        case HELPER_ATTACH_DONE:
        case HELPER_ENFORCE_UNIT:
                strcpy(p.unit.unit, "a.service");
                p.unit.cgroup_id = 5;
                p.unit.index = 1;
                break;
        case HELPER_RELEASE_UNIT:
                p.release.cgroup_id = 5;
                break;
        case HELPER_LIST_SOCKETS:
                p.list.cgroup_id = 5;
                strcpy(p.list.cgroup, "/system.slice/a.service");
                break;
        case HELPER_ACL_ADD:
                p.acl = (HelperAcl) { .header = p.header, .profile = 1, .direction = HELPER_ACL_ACCEPT_FROM, .family = AF_INET, .protocol = IPPROTO_TCP, .port_last = 9 };
                break;
        case HELPER_PROFILE_REMOVE:
                p.acl.profile = 1;
                break;
        case HELPER_NETWORK_ADD:
        case HELPER_NETWORK_SET:
                p.network.kind = HELPER_NETWORK_FAILSAFE;
                p.network.family = AF_INET6;
                break;
        case HELPER_LOCAL_ACCEPT:
                p.local.client = p.local.server = 1;
                break;
        case HELPER_CUT_SOCKET:
        case HELPER_CUT_FLOW:
                p.socket = (HelperSocket) { .header = p.header, .cgroup_id = 1, .family = AF_INET, .protocol = IPPROTO_TCP, .sport = 1, .dport = 2 };
                break;
        case HELPER_SET_OPTIONS:
                p.options.conntrack_mark_mask = 0xfffff000;
                break;
        case HELPER_RUN_PLUGIN:
                strcpy(p.plugin.unit, "a.service");
                strcpy(p.plugin.name, "dmi");
                break;
        case HELPER_OPEN_LIBRARY:
                strcpy(p.library.unit, "a.service");
                p.library.n_paths = 1;
                strcpy(p.library.paths[0], "/lib/libc.so.6");
                break;
        case HELPER_RECORD:
                p.record.kind = HELPER_RECORD_FLOW;
                p.record.family = AF_INET;
                strcpy(p.record.unit, "a.service");
                break;
        default:
                break;
        }
        return p;
}

static void each_request_is_taken_at_its_own_size_only(void **state) {
        for (uint32_t type = 0; type < _HELPER_TYPE_MAX + 3; type++) {
                const RequestShape *shape = request_shape(type);
                Packet p = good(type);

                if (!shape) {
                        for (size_t size = 0; size <= sizeof(p); size += 4)
                                assert_true(request_check(&p, size, 0) < 0);
                        continue;
                }
                for (size_t size = 0; size <= sizeof(p); size++)
                        assert_int_equal(request_check(&p, size, shape->n_fds), size == shape->size ? 0 : -EBADMSG);
                assert_int_equal(request_check(&p, shape->size, shape->n_fds + 1), -EBADMSG);
                p.header.serial = 0;
                assert_int_equal(request_check(&p, shape->size, shape->n_fds), type == HELPER_HELLO ? 0 : -EBADMSG);
        }
}

static void events_and_data_are_no_requests(void **state) {
        for (uint32_t type = HELPER_REPLY; type < _HELPER_TYPE_MAX; type++)
                assert_null(request_shape(type));
}

#define REFUSED(type, change) ({                                                                           \
        Packet p = good(type);                                                                             \
        change;                                                                                            \
        assert_int_equal(request_check(&p, request_shape(type)->size, request_shape(type)->n_fds), -EINVAL); \
})

static void bad_values_are_refused(void **state) {
        REFUSED(HELPER_HELLO, p.hello.version = HELPER_PROTOCOL_VERSION + 1);
        REFUSED(HELPER_GET_UNIT, p.request.unit[0] = '\0');
        REFUSED(HELPER_GET_UNIT, strcpy(p.request.unit, "../etc/passwd"));
        REFUSED(HELPER_GET_UNIT, memset(p.request.unit, 'a', sizeof(p.request.unit)));
        REFUSED(HELPER_CLOSE_UNIT, p.unit.unit[0] = '\0');
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.index = 0);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.index = 0x10000);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.cgroup_id = 0);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.flags = 4);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.flags = HELPER_RELEASE_UNLABELLED);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.profile = 0x80000000u);
        REFUSED(HELPER_ENFORCE_UNIT, p.unit.flags = HELPER_RELEASE_TREE);
        REFUSED(HELPER_RELEASE_UNIT, p.release.index = 0x10000);
        REFUSED(HELPER_LIST_SOCKETS, p.list.tree = 2);
        REFUSED(HELPER_LIST_SOCKETS, p.list.reserved = 1);
        REFUSED(HELPER_RELEASE_UNIT, p.release.flags = HELPER_RELEASE_TREE | HELPER_RELEASE_UNLABELLED);
        REFUSED(HELPER_RELEASE_UNIT, strcpy(p.release.unit, "../x"));
        REFUSED(HELPER_RELEASE_UNIT, memset(p.release.cgroup, 'a', sizeof(p.release.cgroup)));
        REFUSED(HELPER_LIST_SOCKETS, p.list.cgroup_id = 0);
        REFUSED(HELPER_LIST_SOCKETS, memset(p.list.cgroup, 'a', sizeof(p.list.cgroup)));
        REFUSED(HELPER_ATTACH_DONE, p.unit.result = 1);
        REFUSED(HELPER_ATTACH_DONE, strcpy(p.unit.reason, "two\nlines"));
        REFUSED(HELPER_ATTACH_DONE, memset(p.unit.reason, 'a', sizeof(p.unit.reason)));
        REFUSED(HELPER_ACL_ADD, p.acl.profile = 0);
        REFUSED(HELPER_ACL_ADD, p.acl.direction = 3);
        REFUSED(HELPER_ACL_ADD, p.acl.action = 3);
        REFUSED(HELPER_ACL_ADD, p.acl.family = AF_UNIX);
        REFUSED(HELPER_ACL_ADD, p.acl.protocol = IPPROTO_SCTP);
        REFUSED(HELPER_ACL_ADD, p.acl.protocol = IPPROTO_ICMPV6);
        REFUSED(HELPER_ACL_ADD, p.acl.port_first = 10);
        REFUSED(HELPER_ACL_ADD, p.acl.prefix_len = 33);
        REFUSED(HELPER_ACL_ADD, p.acl.address.s6_addr[3] = 1);
        REFUSED(HELPER_NETWORK_ADD, p.network.kind = 0);
        REFUSED(HELPER_NETWORK_ADD, p.network.kind = 4);
        REFUSED(HELPER_NETWORK_ADD, p.network.protocol = 256);
        REFUSED(HELPER_NETWORK_SET, p.network.kind = 4);
        REFUSED(HELPER_LOCAL_ACCEPT, p.local.client = 0);
        REFUSED(HELPER_LOCAL_ACCEPT, p.local.server = 0x10000);
        REFUSED(HELPER_LOCAL_ACCEPT, p.local.port = 0x10000);
        REFUSED(HELPER_LOCAL_FORGET, p.local.client = 0x10000);
        REFUSED(HELPER_CUT_SOCKET, p.socket.cgroup_id = 0);
        REFUSED(HELPER_CUT_SOCKET, p.socket.protocol = IPPROTO_UDP);
        REFUSED(HELPER_CUT_FLOW, p.socket.dport = 0);
        REFUSED(HELPER_START_SCOPE, p.scope.reserved = 1);
        REFUSED(HELPER_SET_OPTIONS, p.options.conntrack_mark_mask = 0);
        REFUSED(HELPER_SET_OPTIONS, p.options.conntrack_mark_mask = 0xffff);
        REFUSED(HELPER_SET_OPTIONS, p.options.conntrack_mark_mask = 0xffff0ff0);
        REFUSED(HELPER_SET_OPTIONS, p.options.deny_drop = 2);
        REFUSED(HELPER_OPEN_LIBRARY, p.library.unit[0] = '\0');
        REFUSED(HELPER_OPEN_LIBRARY, p.library.n_paths = 0);
        REFUSED(HELPER_OPEN_LIBRARY, p.library.n_paths = 2);
        REFUSED(HELPER_OPEN_LIBRARY, p.library.n_paths = HELPER_LIBRARY_PATHS_MAX + 1);
        REFUSED(HELPER_OPEN_LIBRARY, p.library.pid = 1u << 31);
        REFUSED(HELPER_OPEN_LIBRARY, strcpy(p.library.paths[0], "/etc/shadow"));
        REFUSED(HELPER_OPEN_LIBRARY, memset(p.library.paths[0], 'a', sizeof(p.library.paths[0])));
        REFUSED(HELPER_RECORD, p.record.unit[0] = '\0');
        REFUSED(HELPER_RECORD, strcpy(p.record.text, "\x1b[31m"));
}

static void masks_of_twenty_bits_in_one_piece_are_taken(void **state) {
        for (unsigned shift = 0; shift <= 12; shift++) {
                Packet p = good(HELPER_SET_OPTIONS);

                p.options.conntrack_mark_mask = 0xfffffu << shift;
                assert_int_equal(request_check(&p, sizeof(p.options), 0), 0);
        }
}

static void entries_go_to_the_set_of_their_kind(void **state) {
        static const struct {
                uint32_t direction, action;
                BoxKind kind;
        } cases[] = { { HELPER_ACL_ACCEPT_FROM, 0, BOX_ACCEPT_FROM }, { HELPER_ACL_ACCEPT_FROM, 1, BOX_REJECT_FROM },
                      { HELPER_ACL_CONNECT_TO, 0, BOX_CONNECT_TO }, { HELPER_ACL_CONNECT_TO, 1, BOX_REJECT_TO },
                      { HELPER_ACL_ACCEPT_FROM, 2, BOX_LOG_FROM }, { HELPER_ACL_CONNECT_TO, 2, BOX_LOG_TO } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Packet p = good(HELPER_ACL_ADD);
                Box box;

                p.acl.direction = cases[i].direction;
                p.acl.action = cases[i].action;
                assert_int_equal(request_box_of_acl(&p.acl, &box), 0);
                assert_int_equal(box.kind, cases[i].kind);
                assert_int_equal(box_number(&box.range[BOX_PORT].last), 9);
                assert_int_equal(box_number(&box.range[BOX_PROTOCOL].first), IPPROTO_TCP);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_request_is_taken_at_its_own_size_only),
                cmocka_unit_test(events_and_data_are_no_requests),
                cmocka_unit_test(bad_values_are_refused),
                cmocka_unit_test(masks_of_twenty_bits_in_one_piece_are_taken),
                cmocka_unit_test(entries_go_to_the_set_of_their_kind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
