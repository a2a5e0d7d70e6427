/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Access lists against a second, naive reading of what the manual says: a reject beats every accept, then the longer prefix counts, then the earlier entry. */

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
/* cmocka.h wants the ones above first */
#include <cmocka.h>

#include "policy/acl.h"

#define ENTRIES 12u

static uint32_t random_below(uint64_t *seed, uint32_t n) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t) (*seed >> 33) % n;
}

/* Few bits differ, so that entries meet. */
static struct in6_addr random_address(uint64_t *seed, uint8_t family) {
        struct in6_addr a = { .s6_addr = { [0] = family == AF_INET ? 10 : 0xfd } };

        a.s6_addr[1] = (uint8_t) random_below(seed, 2);
        a.s6_addr[family == AF_INET ? 3 : 15] = (uint8_t) (random_below(seed, 4) << 6 | random_below(seed, 2));
        return a;
}

static bool bit(const struct in6_addr *a, unsigned i) {
        return a->s6_addr[i / 8] >> (7 - i % 8) & 1;
}

static AclEntry random_entry(uint64_t *seed) {
        static const uint8_t protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP }, lengths[] = { 0, 8, 15, 16, 24, 26, 32 };
        AclEntry e = { .network.family = random_below(seed, 2) ? AF_INET : AF_INET6, .protocol = protocols[random_below(seed, 3)], .reject = random_below(seed, 3) == 0 };
        unsigned len = lengths[random_below(seed, 7)];

        if (e.network.family == AF_INET6 && len >= 26)
                len += 96;
        e.network.prefix_len = (uint8_t) len;
        e.network.address = random_address(seed, e.network.family);
        for (unsigned i = len; i < 128; i++)
                e.network.address.s6_addr[i / 8] &= (uint8_t) ~(1u << (7 - i % 8));
        e.port_first = (uint16_t) random_below(seed, 6);
        e.port_last = (uint16_t) (e.port_first + random_below(seed, 3));
        if (e.protocol == 0 || random_below(seed, 3) == 0) {
                e.port_first = 0;
                e.port_last = 65535;
        }
        return e;
}

static bool naive_matches(const AclEntry *e, uint8_t family, const struct in6_addr *a, uint8_t protocol, uint16_t port) {
        if (e->network.family != family || (e->protocol != 0 && e->protocol != protocol) || port < e->port_first || port > e->port_last)
                return false;
        for (unsigned i = 0; i < e->network.prefix_len; i++)
                if (bit(&e->network.address, i) != bit(a, i))
                        return false;
        return true;
}

/* Returns the index of the deciding entry, n if there is none. */
static unsigned naive_decide(const AclEntry *entries, unsigned n, uint8_t family, const struct in6_addr *a, uint8_t protocol, uint16_t port) {
        unsigned best = n;

        for (unsigned i = 0; i < n; i++) {
                if (!naive_matches(&entries[i], family, a, protocol, port))
                        continue;
                if (best == n || (entries[i].reject && !entries[best].reject) ||
                    (entries[i].reject == entries[best].reject && entries[i].network.prefix_len > entries[best].network.prefix_len))
                        best = i;
        }
        return best;
}

static void random_lists_decide_as_a_naive_reading_does(void **state) {
        unsigned seen[3] = {};
        uint64_t seed = 20260102;

        for (unsigned round = 0; round < 20000; round++) {
                unsigned n = random_below(&seed, ENTRIES + 1), expected;
                _cleanup_(acl_list_done) AclList list = {};
                char names[ENTRIES][4];
                AclEntry entries[ENTRIES];
                uint8_t family = random_below(&seed, 2) ? AF_INET : AF_INET6, protocol = random_below(&seed, 2) ? IPPROTO_TCP : IPPROTO_UDP;
                struct in6_addr a = random_address(&seed, family);
                uint16_t port = (uint16_t) random_below(&seed, 9);
                const AclEntry *e;

                for (unsigned i = 0; i < n; i++) {
                        entries[i] = random_entry(&seed);
                        (void) snprintf(names[i], sizeof(names[i]), "%u", i);
                        entries[i].name = names[i];
                        assert_int_equal(acl_list_add(&list, &entries[i]), 0);
                }
                expected = naive_decide(entries, n, family, &a, protocol, port);
                e = acl_decide(&list, family, &a, protocol, port);
                if (e ? expected == n || strcmp(e->name, names[expected]) != 0 : expected != n)
                        fail_msg("round %u: entry %s, naively %u of %u", round, e ? e->name : "none", expected, n);
                seen[!e ? 0 : e->reject ? 1 : 2]++;
        }
        assert_true(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_lists_decide_as_a_naive_reading_does),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
