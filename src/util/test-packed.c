/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <malloc.h>
#include <string.h>

#include "util/packed.h"

#define SIZE_MOST 200000u

static void check(const uint8_t *bytes, size_t size) {
        uint8_t *back = malloc(size + 1);
        _cleanup_free_ Packed *p = NULL;

        assert_non_null(back);
        memset(back, 0xa5, size + 1);
        assert_int_equal(packed_new(bytes, size, &p), 0);
        packed_read(p, back, size);
        assert_memory_equal(back, bytes, size);
        assert_int_equal(back[size], 0xa5); /* and not a byte more */
        free(back);
}

static void what_comes_out_is_what_was_put_in(void **state) {
        uint8_t *bytes = calloc(1, SIZE_MOST);

        assert_non_null(bytes);
        srand(1);
        for (size_t size = 0; size < 300; size++)
                for (unsigned times = 0; times < 30; times++) {
                        memset(bytes, 0, size);
                        for (size_t i = 0; i < size; i++)
                                bytes[i] = rand() % (int) (times + 1) ? 0 : (uint8_t) rand();
                        check(bytes, size);
                }
        memset(bytes, 0, SIZE_MOST); /* more than a run can say */
        check(bytes, SIZE_MOST);
        bytes[SIZE_MOST - 1] = 1;
        check(bytes, SIZE_MOST);
        memset(bytes, 7, SIZE_MOST);
        check(bytes, SIZE_MOST);
        free(bytes);
}

static void nothing_is_zeros(void **state) {
        uint8_t bytes[100], zeros[100] = {};

        memset(bytes, 1, sizeof(bytes));
        packed_read(NULL, bytes, sizeof(bytes));
        assert_memory_equal(bytes, zeros, sizeof(bytes));
}

static void zeros_take_no_room(void **state) {
        _cleanup_free_ Packed *p = NULL;
        char bytes[10000] = "a name";

        strcpy(bytes + 5000, "another name");
        assert_int_equal(packed_new(bytes, sizeof(bytes), &p), 0);
        assert_true(malloc_usable_size(p) < 100);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_comes_out_is_what_was_put_in),
                cmocka_unit_test(nothing_is_zeros),
                cmocka_unit_test(zeros_take_no_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
