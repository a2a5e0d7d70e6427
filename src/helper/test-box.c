/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>

#include "helper/box.h"
#include "helper/slots.h"

#define SIDE 12u /* of the cube of small numbers that the tests fill */

static Box small_box(uint16_t a0, uint16_t a1, uint16_t p0, uint16_t p1, uint16_t q0, uint16_t q1) {
        Box box = { .kind = BOX_ACCEPT_FROM, .profile = 1, .family = AF_INET };

        box_range_from_numbers(&box.range[BOX_ADDRESS], a0, a1);
        box_range_from_numbers(&box.range[BOX_PROTOCOL], p0, p1);
        box_range_from_numbers(&box.range[BOX_PORT], q0, q1);
        return box;
}

static unsigned box_contains(const Box *box, const unsigned point[static _BOX_DIMENSIONS]) {
        for (size_t d = 0; d < _BOX_DIMENSIONS; d++)
                if (point[d] < box_number(&box->range[d].first) || point[d] > box_number(&box->range[d].last))
                        return 0;
        return 1;
}

static uint32_t next_random(uint32_t *state) {
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

static Box random_box(uint32_t *state) {
        uint16_t n[2 * _BOX_DIMENSIONS];

        for (size_t d = 0; d < _BOX_DIMENSIONS; d++) {
                uint16_t a = (uint16_t) (next_random(state) % SIDE), b = (uint16_t) (next_random(state) % SIDE);

                n[2 * d] = MIN(a, b);
                n[2 * d + 1] = MAX(a, b);
        }
        return small_box(n[0], n[1], n[2], n[3], n[4], n[5]);
}

static void a_list_covers_each_point_of_what_was_added_once_and_no_other(void **state) {
        uint32_t seed = 1;

        for (unsigned round = 0; round < 200; round++) {
                _cleanup_(box_list_done) BoxList list = { 0 };
                Box added[6];

                for (size_t i = 0; i < ELEMENTSOF(added); i++) {
                        added[i] = random_box(&seed);
                        assert_true(box_list_add(&list, &added[i]) >= 0);
                }
                for (unsigned i = 0; i < SIDE * SIDE * SIDE; i++) {
                        const unsigned point[] = { i % SIDE, i / SIDE % SIDE, i / SIDE / SIDE };
                        unsigned n_added = 0, n_listed = 0;

                        for (size_t j = 0; j < ELEMENTSOF(added); j++)
                                n_added += box_contains(&added[j], point);
                        for (size_t j = 0; j < list.n; j++)
                                n_listed += box_contains(&list.boxes[j], point);
                        assert_int_equal(n_listed, n_added > 0);
                }
        }
}

static void what_is_covered_already_adds_nothing(void **state) {
        _cleanup_(box_list_done) BoxList list = { 0 };
        const Box outer = small_box(0, 9, 6, 6, 1, 1024), inner = small_box(3, 4, 6, 6, 22, 22), other = small_box(3, 4, 17, 17, 22, 22);

        assert_int_equal(box_list_add(&list, &outer), 1);
        assert_int_equal(box_list_add(&list, &outer), 0);
        assert_int_equal(box_list_add(&list, &inner), 0);
        assert_int_equal(box_list_add(&list, &other), 1);
}

static void boxes_of_other_sets_do_not_matter(void **state) {
        _cleanup_(box_list_done) BoxList list = { 0 };
        Box box = small_box(0, 9, 6, 6, 1, 9);

        assert_int_equal(box_list_add(&list, &box), 1);
        box.kind = BOX_REJECT_FROM;
        assert_int_equal(box_list_add(&list, &box), 1);
        box.profile = 2;
        assert_int_equal(box_list_add(&list, &box), 1);
        box.family = AF_INET6;
        assert_int_equal(box_list_add(&list, &box), 1);
}

static void the_edges_of_the_number_range_do_not_wrap(void **state) {
        const Box all = { .range = { { IN6ADDR_ANY_INIT, { .s6_addr = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } } } } };
        Box hole = all, pieces[BOX_PIECES_MAX];

        hole.range[BOX_ADDRESS].first.s6_addr[15] = 1;
        hole.range[BOX_ADDRESS].last.s6_addr[15] = 254;
        assert_int_equal(box_subtract(&all, &hole, pieces), 2);
        assert_memory_equal(&pieces[0].range[BOX_ADDRESS].last, &in6addr_any, sizeof(in6addr_any));
        assert_memory_equal(&pieces[1].range[BOX_ADDRESS].first, &all.range[BOX_ADDRESS].last, sizeof(in6addr_any));
        assert_int_equal(box_subtract(&all, &all, pieces), 0);
}

static void prefixes_become_ranges(void **state) {
        static const struct {
                uint32_t family;
                struct in6_addr address;
                uint32_t prefix_len;
                int result;
                struct in6_addr first, last;
        } cases[] = {
                { AF_INET, { .s6_addr = { 10 } }, 8, 0, { .s6_addr = { [12] = 10 } }, { .s6_addr = { [12] = 10, 255, 255, 255 } } },
                { AF_INET, { .s6_addr = { 0 } }, 0, 0, { .s6_addr = { 0 } }, { .s6_addr = { [12] = 255, 255, 255, 255 } } },
                { AF_INET, { .s6_addr = { 192, 0, 2, 128 } }, 25, 0, { .s6_addr = { [12] = 192, 0, 2, 128 } }, { .s6_addr = { [12] = 192, 0, 2, 255 } } },
                { AF_INET, { .s6_addr = { 192, 0, 2, 7 } }, 32, 0, { .s6_addr = { [12] = 192, 0, 2, 7 } }, { .s6_addr = { [12] = 192, 0, 2, 7 } } },
                { AF_INET6, { .s6_addr = { 0xfd } }, 8, 0, { .s6_addr = { 0xfd } },
                  { .s6_addr = { 0xfd, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } } },
                { AF_INET, { .s6_addr = { 10, 0, 0, 1 } }, 8, -EINVAL }, { AF_INET, { .s6_addr = { 10 } }, 33, -EINVAL },
                { AF_INET6, { .s6_addr = { 0xfd } }, 129, -EINVAL }, { AF_UNIX, { .s6_addr = { 0 } }, 0, -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                BoxRange range = { 0 };

                assert_int_equal(box_range_from_prefix(&range, cases[i].family, &cases[i].address, cases[i].prefix_len), cases[i].result);
                assert_memory_equal(&range.first, &cases[i].first, sizeof(range.first));
                assert_memory_equal(&range.last, &cases[i].last, sizeof(range.last));
        }
}

static void slots_are_small_distinct_and_given_again(void **state) {
        _cleanup_(slots_done) Slots s = { 0 };
        uint32_t n = 0;

        assert_int_equal(slots_take(&s, 0), 0);
        assert_int_equal(slots_find(&s, 0), 0);
        while (slots_take(&s, 1000 + n) >= 0)
                n++;
        assert_int_equal(slots_take(&s, 1000 + n), -ENOSPC);
        assert_int_equal(n, SLOTS_MAX - 512);
        for (uint32_t i = 1; i <= SLOTS_MAX; i++)
                assert_true(SLOT_IS_USABLE(i) == (s.profiles[i] != 0));
        slots_release(&s, 1234);
        assert_int_equal(slots_find(&s, 1234), 0);
        assert_int_equal(slots_take(&s, 7), 0);
        assert_int_not_equal(slots_find(&s, 7), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_covers_each_point_of_what_was_added_once_and_no_other),
                cmocka_unit_test(what_is_covered_already_adds_nothing),
                cmocka_unit_test(boxes_of_other_sets_do_not_matter),
                cmocka_unit_test(the_edges_of_the_number_range_do_not_wrap),
                cmocka_unit_test(prefixes_become_ranges),
                cmocka_unit_test(slots_are_small_distinct_and_given_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
