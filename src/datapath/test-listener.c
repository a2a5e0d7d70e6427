/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose is the listener behind a socket that is not a full one? A real listener, of a cgroup that is no unit's own, as one below a unit is. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/listener.h"
#include "util/fd.h"

#define UNIT 7u
static const uint8_t seed[SIPHASH_KEY_SIZE] = { 1 };

typedef struct World {
        int listener;
        Packet syn; /* to it */
        UnitTable *units;
        Listeners listeners;
} World;

static int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const DatapathUnit unit = { .index = UNIT, .cgroup_id = UINT64_MAX };
        socklen_t len = sizeof(a);

        assert_non_null(w);
        *w = (World) { .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .listeners = LISTENERS_INIT };
        assert_int_equal(bind(w->listener, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(w->listener, 1), 0);
        assert_int_equal(getsockname(w->listener, (struct sockaddr *) &a, &len), 0);
        w->syn = (Packet) { .family = AF_INET, .sport = 1, .dport = ntohs(a.sin_port) };
        assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &w->syn.daddr), 1);
        w->syn.saddr = w->syn.daddr;
        assert_int_equal(unit_table_new(&w->units), 0);
        assert_int_equal(unit_table_set(w->units, &unit), 0);
        unit_table_end(w->units);
        assert_int_equal(listeners_open(&w->listeners, seed), 0);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;

        listeners_close(&w->listeners);
        unit_table_free(w->units);
        close(w->listener);
        free(w);
        return 0;
}

static ListenerResult find(World *w) {
        uint32_t unit;

        return listeners_find(&w->listeners, w->units, &w->syn, 1, &unit);
}

static void a_listener_below_a_unit_is_known_by_a_SYN_that_it_took(void **state) {
        World *w = *state;

        assert_int_equal(find(w), LISTENER_NONE);
        listeners_note(&w->listeners, &w->syn, UNIT + 1);
        assert_int_equal(find(w), LISTENER_NONE); /* of a unit that is no more */
        listeners_note(&w->listeners, &w->syn, UNIT);
        assert_int_equal(find(w), LISTENER_UNCLEAR);
}

static void it_is_known_to_the_next_process_too(void **state) {
        World *w = *state;
        int kept;

        assert_int_equal(listeners_remember(&w->listeners, -1), 0);
        for (uint16_t i = 0; i < 5; i++) { /* more than fit */
                Packet other = w->syn;

                for (uint32_t k = 0; k < LISTENERS_MAX / 4; k++) {
                        other.daddr.s6_addr[0] = (uint8_t) i;
                        other.sport = other.dport = (uint16_t) k;
                        listeners_note(&w->listeners, &other, UNIT);
                }
        }
        listeners_note(&w->listeners, &w->syn, UNIT);
        kept = dup(w->listeners.memory_fd);
        assert_true(kept >= 0);
        listeners_close(&w->listeners);
        assert_int_equal(listeners_open(&w->listeners, seed), 0);
        assert_int_equal(find(w), LISTENER_NONE);
        assert_int_equal(listeners_remember(&w->listeners, kept), 0);
        assert_int_equal(find(w), LISTENER_UNCLEAR);
        assert_int_equal(table_count(w->listeners.seen), LISTENERS_MAX);
}

static void what_is_no_memory_of_ours_is_refused(void **state) {
        World *w = *state;

        assert_int_equal(listeners_remember(&w->listeners, open("/dev/null", O_RDWR | O_CLOEXEC)), -EBADMSG);
        assert_int_equal(listeners_remember(&w->listeners, -1), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_listener_below_a_unit_is_known_by_a_SYN_that_it_took),
                TEST(it_is_known_to_the_next_process_too),
                TEST(what_is_no_memory_of_ours_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
