/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/cut.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "enforcer/decide.h"
#include "enforcer/helper-client.h"
#include "ipc/marks.h"
#include "util/array.h"
#include "util/log.h"

#define SOCKETS_MAX 65536u /* of one unit, without a mark; more are cut without a look */
#define WAIT_USEC (30 * USEC_PER_SEC) /* for PID 1 to tell what a unit is set to that it did not tell in time: a host as busy as that takes its time */
#define LATE_USEC (64 * USEC_PER_SEC) /* a handshake that began before a change may end so long after it (docs/protocol.md: 32 s), and its record come a moment later */

typedef struct CutJob {
        uint32_t index;
        uint64_t cgroup_id;
        CutWhat what;
        HelperSocket *sockets;
        size_t n_sockets;
} CutJob;

/* Of a socket without a conntrack entry of ours. */
static bool is_server(const CutJob *job, const HelperSocket *s) {
        for (size_t i = 0; i < job->n_sockets; i++)
                if (job->sockets[i].state == TCP_LISTEN && job->sockets[i].sport == s->sport)
                        return true;
        return false;
}

static bool may_talk(const Unit *u, bool server, const TagSet *tags, uint16_t families, uint16_t port) {
        Decision d;

        decide_peer(u, !server, &(PeerTags) { tags, families }, IPPROTO_TCP, port, &d);
        return d.allow;
}

/* Both ends are here, and both decide. */
static bool allowed_locally(const Unit *u, const Unit *other, bool server, uint16_t port) {
        return other && other->policy && u->policy && may_talk(u, server, &other->policy->tags, other->policy->families, port) &&
               may_talk(other, !server, &u->policy->tags, u->policy->families, port);
}

static bool allowed_remotely(const Manager *m, const Unit *u, bool server, uint32_t number, uint16_t port) {
        uint16_t families;
        const TagSet *tags = peer_numbers_find(m->numbers, number, &families);

        return tags && may_talk(u, server, tags, families, port);
}

static bool allowed_as_stranger(const Manager *m, const Unit *u, const HelperSocket *s, bool server) {
        struct in6_addr peer = s->daddr;
        Decision d;

        if (IN6_IS_ADDR_V4MAPPED(&peer) && s->family == AF_INET) {
                peer = (struct in6_addr) {};
                memcpy(peer.s6_addr, s->daddr.s6_addr + 12, 4);
        }
        if (server) {
                const AclEntry *e = acl_decide(&m->config.failsafe_accept_from, s->family, &peer, IPPROTO_TCP, s->sport);

                if (e && !e->reject)
                        return true;
        }
        decide_stranger(u, !server, s->family, &peer, IPPROTO_TCP, server ? s->sport : s->dport, &d);
        return d.allow;
}

static bool socket_allowed(const Manager *m, const Unit *u, const CutJob *job, const HelperSocket *s) {
        const uint32_t both = CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED, pending = CTMARK_CLIENT_PENDING | CTMARK_SERVER_PENDING;
        bool marked = s->mark & both, server = marked ? !s->client : is_server(job, s);
        uint32_t end = s->mark & (server ? CTMARK_SERVER_MASK : CTMARK_CLIENT_MASK);
        uint16_t port = server ? s->sport : s->dport;

        if (!marked && s->mark & pending) /* its handshake is under way; nothing passes before that is over, and then cut_late() looks */
                return true;
        if (job->what == CUT_STRANGERS || !marked || end == CTMARK_SERVER_STRANGER || end == CTMARK_CLIENT_STRANGER)
                return allowed_as_stranger(m, u, s, server);
        if ((s->mark & both) == both)
                return allowed_locally(u, units_find_index(&m->units, s->peer), server, port);
        return job->what != CUT_CHANGED_TAGS && allowed_remotely(m, u, server, s->mark >> CTMARK_INDEX_SHIFT, port);
}

/* The helper could not say, or went before it did: what was to be judged is judged with all others when it is back, and has told of all units. */
static void cut_again(Manager *m, Unit *u, CutWhat what, int error) {
        if (!u)
                return;
        u->cut = MAX(u->cut, what == CUT_STRANGERS ? (CutWhat) CUT_CHANGED : what); /* it may be in force by then, and what it opened since is marked */
        m->cut_waits = true;
        if (error != -ECONNRESET && error != -ENOTCONN) /* a new connection begins with that */
                manager_list_again(m);
}

_Static_assert(UNIT_INDEX_MAX <= UINT16_MAX, "an index and what is cut in one pointer");
#define CUT_POINTER(index, what) ((void *) ((uintptr_t) (what) << 16 | (index)))

/* The other end's cut, or the program itself, may have been faster. */
static void on_cut(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);

        if (msg || result >= 0 || result == -ENOENT)
                return;
        if (result == -ECONNRESET)
                cut_again(m, units_find_index(&m->units, (uintptr_t) userdata & UINT16_MAX), (CutWhat) ((uintptr_t) userdata >> 16), result);
        else
                log_warning_errno(result, "The helper refuses to cut a connection");
}

static void socket_cut(Manager *m, Unit *u, CutWhat what, const HelperSocket *s, HelperType type) {
        HelperSocket request = *s;
        int r;

        request.header = (HelperHeader) { .type = type };
        r = link_request(m->helper, &request, sizeof(request), -1, on_cut, CUT_POINTER(u ? u->index : 0, what));
        if (r < 0)
                cut_again(m, u, what, r);
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to cut a connection");
}

static void job_free(CutJob *job) {
        if (!job)
                return;
        free(job->sockets);
        free(job);
}

/* Of a socket in SYN_SENT nothing but a SYN has gone out: the next one is judged, and what answers it, by what holds then. It may be without a conntrack entry,
 * which a forged reset ends whatever its number. */
static bool socket_is_live(const HelperSocket *s) {
        return s->state != TCP_LISTEN && s->state != TCP_TIME_WAIT && s->state != TCP_CLOSE && s->state != TCP_SYN_SENT;
}

static bool set_asks_for(const RuleSet *rules, uint16_t families) {
        for (size_t i = 0; i < rule_set_size(rules); i++) {
                const Rule *rule = rule_set_rule(rules, i);

                for (size_t k = 0; k < rule->n_clauses; k++)
                        if (rule->clauses[k].family >= 0 && families & TAG_FAMILY_BIT(rule->clauses[k].family))
                                return true;
        }
        return false;
}

#define FAMILIES_KNOWN_AT_ONCE \
        (TAG_FAMILY_BIT(TAG_FAMILY_LABELS) | TAG_FAMILY_BIT(TAG_FAMILY_UNIT) | TAG_FAMILY_BIT(TAG_FAMILY_HOST) | TAG_FAMILY_BIT(TAG_FAMILY_MACHINE))

/* Do the rules of u ask for what is still being found out of the other? */
static bool asks_for_more(const Unit *u, bool connect, const Unit *other) {
        const PolicySide side = unit_policy_side(u->policy, connect);
        const uint16_t later = (uint16_t) ~FAMILIES_KNOWN_AT_ONCE;

        return other->unsettled_until_usec != 0 && (set_asks_for(side.rejects, later) || set_asks_for(side.accepts, later));
}

/* Both ends are here, and what one of them is was known to the enforcer before this one, and will be to this one in a moment. */
static bool is_too_early(const Manager *m, const Unit *u, const HelperSocket *s) {
        const uint32_t both = CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED;
        const Unit *other = (s->mark & both) == both ? units_find_index(&m->units, s->peer) : NULL;

        return other && other->policy && u->policy && (asks_for_more(u, s->client, other) || asks_for_more(other, !s->client, u));
}

static void socket_judge(Manager *m, Unit *u, const CutJob *job, const HelperSocket *s) {
        if (!socket_is_live(s) || socket_allowed(m, u, job, s))
                return;
        if (is_too_early(m, u, s))
                u->cut = MAX(u->cut, (CutWhat) CUT_CHANGED); /* which is all that counts where both ends are here */
        else
                socket_cut(m, u, job->what, s, HELPER_CUT_SOCKET);
}

/* What bears a mark is judged as it comes. The rest, of which it must be known first where the unit listens, waits for the end of the list. */
static void job_take(Manager *m, Unit *u, CutJob *job, const HelperSocket *s) {
        if (s->protocol != IPPROTO_TCP)
                return;
        if (s->mark & (CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED | CTMARK_CLIENT_PENDING | CTMARK_SERVER_PENDING))
                socket_judge(m, u, job, s);
        else if (job->n_sockets < SOCKETS_MAX && ARRAY_GROW(job->sockets, job->n_sockets))
                job->sockets[job->n_sockets++] = *s;
        else if (socket_is_live(s))
                socket_cut(m, u, job->what, s, HELPER_CUT_SOCKET);
}

static void on_sockets(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        CutJob *job = userdata;
        Unit *u = units_find_index(&m->units, job->index);

        if (u && u->info.cgroup_id != job->cgroup_id)
                u = NULL;
        if (msg) {
                if (u && msg->header->type == HELPER_SOCKET && msg->len == sizeof(HelperSocket))
                        job_take(m, u, job, (const HelperSocket *) msg->header);
                return;
        }
        if (result < 0 && result != -ENOENT) /* -ENOENT: it was released meanwhile */
                cut_again(m, u, job->what, result);
        if (result < 0 && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot list the connections of %s", u ? u->name : "a unit");
        if (result >= 0 && u)
                for (size_t i = 0; i < job->n_sockets; i++)
                        socket_judge(m, u, job, &job->sockets[i]);
        job_free(job);
}

void cut_start(Manager *m, Unit *u, CutWhat what) {
        CutJob *job;
        int r;

        if (m->helper_state.disarmed_until_usec > 0) /* while all may pass, nothing is cut: cut_all() when that ends */
                return;
        if (!m->helper_ready) {
                cut_again(m, u, what, -ENOTCONN);
                return;
        }
        job = calloc(1, sizeof(*job));
        r = job ? 0 : -ENOMEM;
        if (job) {
                *job = (CutJob) { .index = u->index, .cgroup_id = u->info.cgroup_id, .what = what };
                r = helper_list_sockets(m, u, on_sockets, job);
        }
        if (r < 0) {
                job_free(job);
                cut_again(m, u, what, r);
                if (r != -ENOTCONN)
                        log_error_errno(r, "Cannot ask the helper for the connections of %s", u->name);
        }
}

void cut_all(Manager *m) {
        m->changed_usec = clock_boottime_usec();
        if (m->cut_wait_until_usec == 0 && helper_looks_again(m))
                m->cut_wait_until_usec = m->changed_usec + WAIT_USEC;
        m->cut_waits = !m->helper_ready || !m->listed || m->loads || (helper_looks_again(m) && m->changed_usec < m->cut_wait_until_usec);
        if (!m->cut_waits)
                m->cut_wait_until_usec = 0;
        if (m->cut_waits)
                return;
        for (Unit *u = m->units.first; u; u = u->next) {
                CutWhat what = MAX(u->cut, (CutWhat) CUT_CHANGED);

                u->cut = CUT_NONE;
                if (u->state != UNIT_DENIED || (u->reason == REASON_BAD_SETTINGS && !m->policies_fault)) /* other reasons may pass, a half-edited file of policies too */
                        cut_start(m, u, what);
        }
}

static struct in6_addr address_bare(const struct in6_addr *mapped) {
        struct in6_addr bare = {};

        memcpy(bare.s6_addr, mapped->s6_addr + 12, 4);
        return bare;
}

/* What it had sent drains. */
static bool has_ended(const Unit *u) {
        return !u || (u->remnant && u->state == UNIT_DENIED && u->reason == REASON_CLOSED);
}

static bool still_allowed(const Manager *m, const DatapathFlow *f) {
        const Unit *u = units_find_index(&m->units, f->unit), *other = units_find_index(&m->units, f->peer_unit);
        const Peer *peer = f->peer ? peers_find_id(m->peers, f->peer) : NULL;
        bool server = f->direction == DATAPATH_ACCEPT;

        if (has_ended(u) || (!peer && has_ended(other))) /* one end is gone; or a stranger's: the kernel's own sets decided about those */
                return true;
        return peer ? peer->verified && may_talk(u, server, &peer->tags, peer->families, f->dport) : allowed_locally(u, other, server, f->dport);
}

void cut_late(Manager *m, const DatapathFlow *f) {
        bool server = f->direction == DATAPATH_ACCEPT;
        HelperSocket s = {
                .family = f->family, .protocol = f->protocol, .sport = server ? f->dport : f->sport, .dport = server ? f->sport : f->dport,
                .saddr = server ? f->daddr : f->saddr, .daddr = server ? f->saddr : f->daddr,
        };

        if (f->protocol != IPPROTO_TCP || f->verdict == DATAPATH_FLOW_REJECT || clock_boottime_usec() > m->changed_usec + LATE_USEC || still_allowed(m, f))
                return;
        if (f->family == AF_INET) { /* as requests have it */
                s.saddr = address_bare(&s.saddr);
                s.daddr = address_bare(&s.daddr);
        }
        socket_cut(m, units_find_index(&m->units, f->unit), CUT_CHANGED, &s, HELPER_CUT_FLOW);
}
