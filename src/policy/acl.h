/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Access lists: for strangers, peers without an identity. They never accept a peer that has one. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

typedef struct IpNetwork {
        uint8_t family;          /* AF_INET, AF_INET6 */
        uint8_t prefix_len;
        struct in6_addr address; /* AF_INET: first four bytes, the rest zero. No host bits. */
} IpNetwork;

typedef struct NetworkList {
        IpNetwork *networks;
        size_t n_networks;
} NetworkList;

void network_list_done(NetworkList *l);
_must_use_ int network_list_add(NetworkList *l, const IpNetwork *n); /* -ENOMEM */
bool network_list_contains(const NetworkList *l, uint8_t family, const struct in6_addr *address);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. -EINVAL with *ret_fault (static text): not one, or host bits behind the prefix. */
_must_use_ int ip_network_parse(const char *s, IpNetwork *ret, const char **ret_fault);
bool ip_network_contains(const IpNetwork *n, uint8_t family, const struct in6_addr *address);
char *ip_network_format(const IpNetwork *n); /* NULL: no memory */

typedef struct AclEntry {
        IpNetwork network;
        uint8_t protocol;               /* IPPROTO_TCP, _UDP, _ICMP, _ICMPV6; 0: any (AclWants allows it) */
        bool reject;
        bool log;                       /* JSON action 8: record what it accepts, too */
        uint16_t port_first, port_last; /* host order, inclusive; icmp and "any": 0, 65535 */
        char *name;                     /* "FILE:LINE", the rule's name */
} AclEntry;

/* Order of decision: rejects first, then the longer prefix, then file order; so the first that matches decides. */
typedef struct AclList {
        AclEntry *entries;
        size_t n_entries;
} AclList;

void acl_list_done(AclList *l);
/* Inserts a copy at its place in the order. -ENOMEM. */
_must_use_ int acl_list_add(AclList *l, const AclEntry *e);
_must_use_ int acl_list_merge(AclList *l, const AclList *more);
bool acl_list_equal(const AclList *a, const AclList *b); /* names do not count: units with equal lists share a profile */
/* The deciding entry (entry->reject says which way), NULL: none, denied. port: ICMP 0. */
const AclEntry *acl_decide(const AclList *l, uint8_t family, const struct in6_addr *address, uint8_t protocol, uint16_t port);

typedef enum AclWants {
        ACL_TCP_UDP = 1 << 0,     /* tcp, tcp/22, udp/53,5353, tcp/8000-8080 */
        ACL_ICMP = 1 << 1,        /* icmp (IPv4), icmp6 (IPv6) */
        ACL_NO_PROTOCOL = 1 << 2, /* the network alone: any protocol */
} AclWants;

/* Words of "CIDR PROTO[/PORTS] ...": appended to l, all or nothing. ports: 22, 8000-8080 (also 8000:8080), and lists of these with commas; none: all.
 * -EINVAL with *ret_fault (static text), -ENOMEM. */
_must_use_ int acl_parse(char *const *words, size_t n_words, unsigned wants, const char *name, AclList *l, const char **ret_fault);
/* "22", "8000-8080", "1:65535", "" for all. -EINVAL; -ERANGE: upside down. */
_must_use_ int port_range_parse(const char *s, uint16_t *ret_first, uint16_t *ret_last);
