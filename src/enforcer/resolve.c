/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/resolve.h"

#include <errno.h>

#include "enforcer/decide.h"
#include "util/log.h"

static void decision_write(const Resolver *r, const Decision *d, DatapathDecision *ret) {
        *ret = (DatapathDecision) { .allow = d->allow, .observed = d->observed, .reason = d->reason, .rule = names_number(r->rules, d->rule), .log = d->log };
}

static PeerTags unit_peer_tags(const Unit *u) {
        return (PeerTags) { .tags = &u->policy->tags, .announced = u->policy->families };
}

/* A unit that is denied everything has no identity to show: its peers see a stranger, and the table lets nothing of it pass anyhow. */
static bool unit_has_identity(const Unit *u) {
        return u && u->state != UNIT_DENIED && u->policy;
}

static void resolve_keys(const Resolver *r, Peer *peer, const DatapathResolve *q, DatapathResolved *ret) {
        const OwnKey *own = keys_find_own(r->keys, q->our_dh);
        const PairKeys *keys;
        int k;

        _Static_assert(sizeof(PairKeys) == sizeof(DatapathPairKeys), "the six keys travel as they are");
        k = own ? peer_keys(peer, r->keys, own, &keys) : -ESTALE;
        if (k >= 0) {
                memcpy(&ret->keys, keys, sizeof(ret->keys));
                ret->verified = 1;
                return;
        }
        if (k != -ESTALE && k != -EINVAL)
                log_error_errno(k, "Cannot derive the keys of a pair");
        ret->decision = (DatapathDecision) { .reason = k == -EINVAL ? REASON_BAD_TOKEN : k == -ESTALE ? REASON_EXPIRED : REASON_INTERNAL };
}

static void note_skew(const Resolver *r, const Peer *peer, const PeerTime *time) {
        size_t n;
        const Tag *host = tag_set_find(&peer->tags, "@sys:host", &n);
        _cleanup_free_ char *name = n > 0 ? tag_escape(host->value) : NULL;

        if (r->clock && peer->skew_sec != 0)
                wall_clock_note_skew(r->clock, peer->skew_sec, name ?: "", time->now_usec);
}

/* ACCEPT, CONNECT: the peer's token. observe does not reach what is not proven: an unverified peer is a stranger, and ACLs have their own place for those. */
static void resolve_peer(const Resolver *r, const DatapathResolve *q, const PeerTime *time, DatapathResolved *ret) {
        const TokenContext context = { .keys = r->keys, .certificates = r->certificates, .time = *time };
        const Unit *u = units_find_index(r->units, q->unit);
        bool connect = q->direction == DATAPATH_CONNECT;
        PeerTags tags;
        Decision d = { .reason = REASON_CLOSED };
        Peer *peer;
        int k;

        k = q->token_len <= sizeof(q->token) ? peers_get(r->peers, &context, q->token, q->token_len, &peer) : -EBADMSG;
        if (k < 0) {
                ret->decision.reason = k == -EBADMSG ? REASON_BAD_TOKEN : REASON_INTERNAL;
                return;
        }
        memcpy(ret->token_hash, peer->hash, sizeof(ret->token_hash));
        memcpy(ret->peer_dh, peer->pair, sizeof(ret->peer_dh));
        ret->peer = peer->id;
        if (!peer->verified) {
                ret->decision.reason = peer->reason;
                note_skew(r, peer, time);
                return;
        }
        ret->expires_usec = peer->expires_usec;
        tags = (PeerTags) { .tags = &peer->tags, .announced = peer->families };
        if (u)
                decide_peer(u, connect, &tags, q->protocol ?: IPPROTO_TCP, q->port, &d);
        ret->port_dependent = d.port_dependent;
        decision_write(r, &d, &ret->decision);
        resolve_keys(r, peer, q, ret);
        if (ret->verified && d.allow && r->numbers)
                ret->peer_number = peer_numbers_get(r->numbers, peer, time->now_usec);
}

/* One end of a local connection; self and other may be NULL: a stranger. */
static void decide_local(const Unit *self, const Unit *other, bool connect, const DatapathResolve *q, Decision *ret) {
        PeerTags tags;

        *ret = (Decision) { .allow = !self, .reason = self ? REASON_NONE : REASON_NO_IDENTITY };
        if (!self)
                return;
        if (!unit_has_identity(other)) {
                decide_stranger(self, connect, q->family, &q->address, IPPROTO_TCP, q->port, ret);
                return;
        }
        tags = unit_peer_tags(other);
        decide_peer(self, connect, &tags, IPPROTO_TCP, q->port, ret);
}

static void resolve_local(const Resolver *r, const DatapathResolve *q, DatapathResolved *ret, int *ret_local_accept) {
        const Unit *server = units_find_index(r->units, q->unit), *client = units_find_index(r->units, q->client);
        Decision s = { .reason = REASON_CLOSED }, c = { .reason = REASON_CLOSED };

        ret->verified = 1;
        if ((q->unit == 0 || server) && (q->client == 0 || client)) { /* an index that is no longer a unit's is denied, it is no stranger */
                decide_local(server, client, false, q, &s);
                decide_local(client, server, true, q, &c);
        }
        ret->port_dependent = s.port_dependent || c.port_dependent;
        decision_write(r, &s, &ret->decision);
        decision_write(r, &c, &ret->client);
        if (unit_has_identity(server) && unit_has_identity(client) && s.allow && c.allow && !s.observed && !c.observed && !s.log && !c.log)
                *ret_local_accept = ret->port_dependent ? 2 : 1;
}

static void resolve_plain_syn(const Resolver *r, const DatapathResolve *q, DatapathResolved *ret) {
        const Unit *u = units_find_index(r->units, q->unit);
        Decision d = { .reason = REASON_CLOSED };

        ret->verified = 1;
        ret->port_dependent = 1;
        if (u)
                decide_stranger(u, true, q->family, &q->address, q->protocol ?: IPPROTO_TCP, q->port, &d);
        decision_write(r, &d, &ret->decision);
}

void resolve(const Resolver *r, const DatapathResolve *q, const PeerTime *time, DatapathResolved *ret, int *ret_local_accept) {
        *ret = (DatapathResolved) {
                .header = { .type = DATAPATH_RESOLVED, .serial = q->header.serial },
                .decision.reason = REASON_INTERNAL,
                .expires_usec = time->now_usec + RESOLVE_DECISION_USEC,
        };
        *ret_local_accept = 0;
        switch (q->direction) {
        case DATAPATH_ACCEPT:
        case DATAPATH_CONNECT:
                resolve_peer(r, q, time, ret);
                break;
        case DATAPATH_LOCAL:
                resolve_local(r, q, ret, ret_local_accept);
                break;
        case DATAPATH_PLAIN_SYN:
                resolve_plain_syn(r, q, ret);
                break;
        default:
                log_warning("The datapath asks an unknown question (%u)", q->direction);
        }
}
