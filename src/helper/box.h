/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What an entry of an address set covers: a range of addresses, of protocols and of ports, as one box. The kernel's interval sets refuse entries
 * that overlap (nft_set_pipapo: -ENOTEMPTY), administrators write them all the time; so a new entry is cut to what no older one covers. Pure. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

/* The sets of the table, one each for IPv4 and IPv6. */
typedef enum BoxKind {
        BOX_TARGET,       /* peers that get an identity token */
        BOX_EXCLUDED,     /* never a token */
        BOX_FAILSAFE,     /* never enforced against */
        BOX_ACCEPT_FROM,  /* per profile, as are all that follow */
        BOX_REJECT_FROM,
        BOX_CONNECT_TO,
        BOX_REJECT_TO,
        BOX_LOG_FROM,     /* accepted, and recorded */
        BOX_LOG_TO,
        _BOX_KIND_MAX,
} BoxKind;

#define BOX_KINDS_OF_PROFILES \
        (1u << BOX_ACCEPT_FROM | 1u << BOX_REJECT_FROM | 1u << BOX_CONNECT_TO | 1u << BOX_REJECT_TO | 1u << BOX_LOG_FROM | 1u << BOX_LOG_TO)

enum { BOX_ADDRESS, BOX_PROTOCOL, BOX_PORT, _BOX_DIMENSIONS };
#define BOX_PIECES_MAX (2u * _BOX_DIMENSIONS)

/* Both ends included; numbers of 128 bits in network order, smaller ones right-aligned. */
typedef struct BoxRange {
        struct in6_addr first, last;
} BoxRange;

typedef struct Box {
        uint32_t kind;    /* BoxKind */
        uint32_t profile; /* 0 for kinds that have none */
        uint32_t family;  /* AF_INET, AF_INET6 */
        BoxRange range[_BOX_DIMENSIONS];
} Box;

typedef struct BoxList {
        Box *boxes;
        size_t n;
} BoxList;

void box_range_from_numbers(BoxRange *r, uint16_t first, uint16_t last);
uint16_t box_number(const struct in6_addr *a);
/* address: AF_INET in the first four bytes. -EINVAL: prefix too long, host bits set, family. */
_must_use_ int box_range_from_prefix(BoxRange *r, uint32_t family, const struct in6_addr *address, uint32_t prefix_len);

bool box_same_set(const Box *a, const Box *b); /* kind, profile and family */
/* Writes what of a lies outside b, at most BOX_PIECES_MAX boxes that do not overlap; returns their number. */
size_t box_subtract(const Box *a, const Box *b, Box ret[static BOX_PIECES_MAX]);

/* Appends the pieces of box that no box of the same set in list covers. Returns how many, 0 when there is nothing new; -ENOMEM (list is as before). */
_must_use_ int box_list_add(BoxList *list, const Box *box);
void box_list_done(BoxList *list);
