/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/box.h"

#include <errno.h>

#include "util/array.h"

static int number_compare(const struct in6_addr *a, const struct in6_addr *b) {
        return memcmp(a, b, sizeof(*a));
}

static struct in6_addr number_after(struct in6_addr a) {
        for (size_t i = sizeof(a.s6_addr); i-- > 0 && ++a.s6_addr[i] == 0;)
                ;
        return a;
}

static struct in6_addr number_before(struct in6_addr a) {
        for (size_t i = sizeof(a.s6_addr); i-- > 0 && a.s6_addr[i]-- == 0;)
                ;
        return a;
}

static struct in6_addr number_from_u16(uint16_t n) {
        return (struct in6_addr) { .s6_addr = { [14] = (uint8_t) (n >> 8), [15] = (uint8_t) n } };
}

void box_range_from_numbers(BoxRange *r, uint16_t first, uint16_t last) {
        *r = (BoxRange) { number_from_u16(first), number_from_u16(last) };
}

uint16_t box_number(const struct in6_addr *a) {
        return (uint16_t) (a->s6_addr[14] << 8 | a->s6_addr[15]);
}

int box_range_from_prefix(BoxRange *r, uint32_t family, const struct in6_addr *address, uint32_t prefix_len) {
        size_t n = family == AF_INET ? 4 : 16, skip = 16 - n;
        BoxRange range = { 0 };

        if ((family != AF_INET && family != AF_INET6) || prefix_len > 8 * n)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                size_t bits = prefix_len > 8 * i ? MIN((size_t) 8, (size_t) prefix_len - 8 * i) : 0;
                uint8_t host = (uint8_t) (0xffu >> bits);

                if (address->s6_addr[i] & host)
                        return -EINVAL;
                range.first.s6_addr[skip + i] = address->s6_addr[i];
                range.last.s6_addr[skip + i] = address->s6_addr[i] | host;
        }
        *r = range;
        return 0;
}

bool box_same_set(const Box *a, const Box *b) {
        return a->kind == b->kind && a->profile == b->profile && a->family == b->family;
}

static bool box_overlaps(const Box *a, const Box *b) {
        for (size_t d = 0; d < _BOX_DIMENSIONS; d++)
                if (number_compare(&a->range[d].last, &b->range[d].first) < 0 || number_compare(&b->range[d].last, &a->range[d].first) < 0)
                        return false;
        return true;
}

size_t box_subtract(const Box *a, const Box *b, Box ret[static BOX_PIECES_MAX]) {
        Box rest = *a;
        size_t n = 0;

        if (!box_overlaps(a, b)) {
                ret[0] = *a;
                return 1;
        }
        /* Cut off what sticks out on either side, one dimension after the other; what remains in the end lies within b. */
        for (size_t d = 0; d < _BOX_DIMENSIONS; d++) {
                const BoxRange *hole = &b->range[d];

                if (number_compare(&rest.range[d].first, &hole->first) < 0) {
                        ret[n] = rest;
                        ret[n++].range[d].last = number_before(hole->first);
                        rest.range[d].first = hole->first;
                }
                if (number_compare(&rest.range[d].last, &hole->last) > 0) {
                        ret[n] = rest;
                        ret[n++].range[d].first = number_after(hole->last);
                        rest.range[d].last = hole->last;
                }
        }
        return n;
}

static bool box_list_append(BoxList *list, const Box *box) {
        if (!ARRAY_GROW(list->boxes, list->n))
                return false;
        list->boxes[list->n++] = *box;
        return true;
}

void box_list_done(BoxList *list) {
        free(list->boxes);
        *list = (BoxList) { 0 };
}

/* Replaces each piece by what of it lies outside hole. */
static bool pieces_subtract(BoxList *pieces, const Box *hole) {
        BoxList left = { 0 };

        for (size_t i = 0; i < pieces->n; i++) {
                Box cut[BOX_PIECES_MAX];
                size_t n = box_subtract(&pieces->boxes[i], hole, cut);

                for (size_t j = 0; j < n; j++)
                        if (!box_list_append(&left, &cut[j])) {
                                box_list_done(&left);
                                return false;
                        }
        }
        box_list_done(pieces);
        *pieces = left;
        return true;
}

int box_list_add(BoxList *list, const Box *box) {
        _cleanup_(box_list_done) BoxList pieces = { 0 };
        size_t n_old = list->n;

        if (!box_list_append(&pieces, box))
                return -ENOMEM;
        for (size_t i = 0; i < n_old; i++)
                if (box_same_set(&list->boxes[i], box) && !pieces_subtract(&pieces, &list->boxes[i]))
                        return -ENOMEM;
        for (size_t i = 0; i < pieces.n; i++)
                if (!box_list_append(list, &pieces.boxes[i])) {
                        list->n = n_old;
                        return -ENOMEM;
                }
        return (int) pieces.n;
}
