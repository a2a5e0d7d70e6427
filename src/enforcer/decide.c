/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/decide.h"

#include <stdio.h>

#include "policy/evaluate.h"

/* A unit that is denied everything stays so whatever its mode was meant to be. */
static bool unit_decides(const Unit *u, Decision *ret) {
        *ret = (Decision) { .reason = u->reason };
        return u->state != UNIT_DENIED && u->policy;
}

static void decide_observe(const Unit *u, Decision *d) {
        if (d->allow || u->state != UNIT_OBSERVING)
                return;
        d->allow = d->observed = true;
}

static void set_rule(Decision *d, const char *name) {
        (void) snprintf(d->rule, sizeof(d->rule), "%s", name);
}

/* A rule that only observes changes nothing but the record: what it would have refused is told, and what it would have let in stands beside the denial. */
static void decide_observed_rule(const Verdict *v, Decision *d) {
        size_t n = strlen(d->rule);

        if (!v->observed || v->observed_accept == v->accept)
                return;
        if (v->accept) {
                d->observed = true;
                d->reason = REASON_RULE;
                set_rule(d, v->observed->name);
        } else
                (void) snprintf(d->rule + n, sizeof(d->rule) - n, "%sobserved: %s would accept", n > 0 ? "; " : "", v->observed->name);
}

void decide_peer(const Unit *u, bool connect, const PeerTags *peer, uint8_t protocol, uint16_t port, Decision *ret) {
        const PolicyRequest request = { .tags = peer->tags, .announced = peer->announced, .protocol = protocol, .port = port };
        PolicySide side;
        Verdict v;

        if (!unit_decides(u, ret))
                return;
        side = unit_policy_side(u->policy, connect);
        v = policy_evaluate(&side, &request);
        ret->allow = v.accept;
        ret->reason = v.reason;
        ret->port_dependent = v.port_dependent;
        ret->log = v.accept && v.rule && v.rule->flags & RULE_LOG;
        if (v.rule)
                set_rule(ret, v.rule->name);
        else if (v.shared) {
                _cleanup_free_ char *label = tag_format(v.shared);

                (void) snprintf(ret->rule, sizeof(ret->rule), "same-label %s", label ?: "");
        }
        decide_observed_rule(&v, ret);
        decide_observe(u, ret);
}

/* Packets carry IPv4 addresses as ::ffff:a.b.c.d, access lists in the first four bytes. */
static struct in6_addr acl_address(uint8_t family, const struct in6_addr *a) {
        struct in6_addr r = *a;

        if (family == AF_INET && IN6_IS_ADDR_V4MAPPED(a)) {
                r = (struct in6_addr) {};
                memcpy(r.s6_addr, a->s6_addr + 12, 4);
        }
        return r;
}

void decide_stranger(const Unit *u, bool connect, uint8_t family, const struct in6_addr *address, uint8_t protocol, uint16_t port, Decision *ret) {
        const struct in6_addr a = acl_address(family, address);
        const AclEntry *entry;

        if (!unit_decides(u, ret))
                return;
        entry = acl_decide(connect ? &u->policy->connect_to : &u->policy->accept_from, family, &a, protocol, port);
        ret->allow = entry && !entry->reject;
        ret->log = ret->allow && entry->log;
        ret->reason = entry ? REASON_ACL : REASON_NO_IDENTITY;
        ret->port_dependent = true;
        if (entry)
                set_rule(ret, entry->name);
        decide_observe(u, ret);
}
