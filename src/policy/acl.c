/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>

#include "policy/acl.h"
#include "util/array.h"

static int port_parse(const char *s, size_t n, uint16_t *ret) {
        uint32_t value = 0;

        if (n == 0 || n > 5)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return -EINVAL;
                value = value * 10 + (uint32_t) (s[i] - '0');
        }
        if (value == 0 || value > 65535)
                return -EINVAL;
        *ret = (uint16_t) value;
        return 0;
}

int port_range_parse(const char *s, uint16_t *ret_first, uint16_t *ret_last) {
        size_t n = strcspn(s, "-:");
        uint16_t first, last;

        if (*s == '\0') {
                *ret_first = 0;
                *ret_last = 65535;
                return 0;
        }
        if (port_parse(s, n, &first) < 0)
                return -EINVAL;
        last = first;
        if (s[n] != '\0' && port_parse(s + n + 1, strlen(s + n + 1), &last) < 0)
                return -EINVAL;
        if (last < first)
                return -ERANGE;
        *ret_first = first;
        *ret_last = last;
        return 0;
}

void acl_list_done(AclList *l) {
        for (size_t i = 0; i < l->n_entries; i++)
                free(l->entries[i].name);
        free(l->entries);
        *l = (AclList) {};
}

/* Does a decide before b? */
static bool comes_before(const AclEntry *a, const AclEntry *b) {
        return a->reject != b->reject ? a->reject : a->network.prefix_len > b->network.prefix_len;
}

int acl_list_add(AclList *l, const AclEntry *e) {
        _cleanup_free_ char *name = e->name ? strdup(e->name) : NULL;
        size_t i = l->n_entries;

        if ((e->name && !name) || !ARRAY_GROW(l->entries, l->n_entries))
                return -ENOMEM;
        while (i > 0 && comes_before(e, l->entries + i - 1))
                i--;
        memmove(l->entries + i + 1, l->entries + i, (l->n_entries - i) * sizeof(AclEntry));
        l->entries[i] = *e;
        l->entries[i].name = TAKE_PTR(name);
        l->n_entries++;
        return 0;
}

int acl_list_merge(AclList *l, const AclList *more) {
        for (size_t i = 0; i < more->n_entries; i++) {
                int r = acl_list_add(l, more->entries + i);

                if (r < 0)
                        return r;
        }
        return 0;
}

bool acl_list_equal(const AclList *a, const AclList *b) {
        if (a->n_entries != b->n_entries)
                return false;
        for (size_t i = 0; i < a->n_entries; i++) {
                const AclEntry *x = a->entries + i, *y = b->entries + i;

                if (x->network.family != y->network.family || x->network.prefix_len != y->network.prefix_len ||
                    memcmp(&x->network.address, &y->network.address, sizeof(struct in6_addr)) != 0 ||
                    x->protocol != y->protocol || x->reject != y->reject || x->log != y->log || x->port_first != y->port_first || x->port_last != y->port_last)
                        return false;
        }
        return true;
}

const AclEntry *acl_decide(const AclList *l, uint8_t family, const struct in6_addr *address, uint8_t protocol, uint16_t port) {
        for (size_t i = 0; i < l->n_entries; i++) {
                const AclEntry *e = l->entries + i;

                if ((e->protocol == 0 || e->protocol == protocol) && port >= e->port_first && port <= e->port_last &&
                    ip_network_contains(&e->network, family, address))
                        return e;
        }
        return NULL;
}

static int add_ports(AclEntry e, const char *ports, AclList *l, const char **ret_fault) {
        for (;;) {
                size_t n = strcspn(ports, ",");
                char range[sizeof("65535-65535")];
                int r;

                if (n == 0 || n >= sizeof(range))
                        break;
                memcpy(range, ports, n);
                range[n] = '\0';
                if (port_range_parse(range, &e.port_first, &e.port_last) < 0)
                        break;
                r = acl_list_add(l, &e);
                if (r < 0 || ports[n] == '\0')
                        return r;
                ports += n + 1;
        }
        *ret_fault = "bad ports: write 22, 8000-8080 or 80,443, from 1 to 65535";
        return -EINVAL;
}

static int add_protocol(AclEntry e, const char *word, unsigned wants, AclList *l, const char **ret_fault) {
        static const struct {
                const char *name;
                uint8_t protocol, family;
                AclWants wants;
        } protocols[] = {
                { "tcp", IPPROTO_TCP, 0, ACL_TCP_UDP },          { "udp", IPPROTO_UDP, 0, ACL_TCP_UDP },
                { "icmp", IPPROTO_ICMP, AF_INET, ACL_ICMP },     { "icmp6", IPPROTO_ICMPV6, AF_INET6, ACL_ICMP },
        };
        size_t n = strcspn(word, "/");

        e.port_first = 0;
        e.port_last = 65535;
        for (size_t i = 0; i < ELEMENTSOF(protocols); i++) {
                if (strlen(protocols[i].name) != n || strncmp(word, protocols[i].name, n) != 0)
                        continue;
                e.protocol = protocols[i].protocol;
                if (!(wants & protocols[i].wants)) {
                        *ret_fault = "only tcp and udp can be named here";
                        return -EINVAL;
                }
                if (protocols[i].family != 0 && protocols[i].family != e.network.family) {
                        *ret_fault = "icmp belongs to IPv4 networks, icmp6 to IPv6 networks";
                        return -EINVAL;
                }
                if (word[n] == '\0')
                        return acl_list_add(l, &e);
                if (protocols[i].wants == ACL_ICMP) {
                        *ret_fault = "icmp and icmp6 take no ports";
                        return -EINVAL;
                }
                return add_ports(e, word + n + 1, l, ret_fault);
        }
        *ret_fault = wants & ACL_ICMP ? "unknown protocol: write tcp/22, udp/53, icmp or icmp6" : "unknown protocol: write tcp/22 or udp/53";
        return -EINVAL;
}

int acl_parse(char *const *words, size_t n_words, unsigned wants, const char *name, AclList *l, const char **ret_fault) {
        _cleanup_(acl_list_done) AclList added = {};
        AclEntry e = { .name = (char *) name };
        int r;

        if (n_words == 0 || (n_words == 1 && !(wants & ACL_NO_PROTOCOL))) {
                *ret_fault = "write a network and protocols with ports, as in \"192.0.2.0/24 tcp/22\"";
                return -EINVAL;
        }
        r = ip_network_parse(words[0], &e.network, ret_fault);
        if (r >= 0 && n_words == 1) {
                e.port_last = 65535;
                r = acl_list_add(&added, &e);
        }
        for (size_t i = 1; r >= 0 && i < n_words; i++)
                r = add_protocol(e, words[i], wants, &added, ret_fault);
        return r < 0 ? r : acl_list_merge(l, &added);
}
