/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "policy/acl.h"
#include "util/array.h"

static unsigned address_bits(uint8_t family) {
        return family == AF_INET ? 32 : 128;
}

static bool bit_is_set(const struct in6_addr *a, unsigned i) {
        return a->s6_addr[i / 8] & (0x80u >> i % 8);
}

static int prefix_len_parse(const char *s, unsigned max, uint8_t *ret) {
        unsigned value = 0;
        size_t n = strlen(s);

        if (n == 0 || n > 3 || strspn(s, "0123456789") != n)
                return -EINVAL;
        for (; *s; s++)
                value = value * 10 + (unsigned) (*s - '0');
        if (value > max)
                return -EINVAL;
        *ret = (uint8_t) value;
        return 0;
}

int ip_network_parse(const char *s, IpNetwork *ret, const char **ret_fault) {
        IpNetwork n = { .family = strchr(s, ':') ? AF_INET6 : AF_INET };
        const char *slash = strchr(s, '/');
        char address[INET6_ADDRSTRLEN];
        size_t len = slash ? (size_t) (slash - s) : strlen(s);

        *ret_fault = "not an IP network: write 192.0.2.0/24 or 2001:db8::/32";
        if (len >= sizeof(address))
                return -EINVAL;
        memcpy(address, s, len);
        address[len] = '\0';
        if (inet_pton(n.family, address, &n.address) != 1)
                return -EINVAL;
        n.prefix_len = (uint8_t) address_bits(n.family);
        if (slash && prefix_len_parse(slash + 1, address_bits(n.family), &n.prefix_len) < 0)
                return -EINVAL;
        if (n.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&n.address) && n.prefix_len >= 96) {
                *ret_fault = "write an IPv4 network as such: no packet carries an IPv4-mapped address";
                return -EINVAL;
        }
        for (unsigned i = n.prefix_len; i < address_bits(n.family); i++)
                if (bit_is_set(&n.address, i)) {
                        *ret_fault = "the address has bits behind the prefix length: write the network's first address, or a longer prefix";
                        return -EINVAL;
                }
        *ret = n;
        return 0;
}

bool ip_network_contains(const IpNetwork *n, uint8_t family, const struct in6_addr *address) {
        unsigned bytes = n->prefix_len / 8, bits = n->prefix_len % 8;

        if (n->family != family || memcmp(&n->address, address, bytes) != 0)
                return false;
        return bits == 0 || ((n->address.s6_addr[bytes] ^ address->s6_addr[bytes]) & (0xff00u >> bits) & 0xff) == 0;
}

char *ip_network_format(const IpNetwork *n) {
        char address[INET6_ADDRSTRLEN], *text;

        if (!inet_ntop(n->family, &n->address, address, sizeof(address)))
                return NULL;
        return asprintf(&text, "%s/%u", address, n->prefix_len) >= 0 ? text : NULL;
}

void network_list_done(NetworkList *l) {
        free(l->networks);
        *l = (NetworkList) {};
}

int network_list_add(NetworkList *l, const IpNetwork *n) {
        if (!ARRAY_GROW(l->networks, l->n_networks))
                return -ENOMEM;
        l->networks[l->n_networks++] = *n;
        return 0;
}

bool network_list_contains(const NetworkList *l, uint8_t family, const struct in6_addr *address) {
        for (size_t i = 0; i < l->n_networks; i++)
                if (ip_network_contains(l->networks + i, family, address))
                        return true;
        return false;
}
