/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/cut.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "enforcer/decide.h"
#include "enforcer/helper-client.h"
#include "util/log.h"

#define SOCKETS_MAX 65536u /* of one unit; more are cut without a look */

typedef struct CutJob {
        uint32_t index;
        uint64_t cgroup_id;
        bool strangers;       /* records do not count */
        HelperSocket *sockets;
        size_t n_sockets;
} CutJob;

/* Both ends as the flow records have them. */
typedef struct Ends {
        struct in6_addr client, server;
        uint16_t client_port, server_port;
} Ends;

static struct in6_addr mapped(uint8_t family, const struct in6_addr *a) {
        struct in6_addr r = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        if (family != AF_INET || IN6_IS_ADDR_V4MAPPED(a))
                return *a;
        memcpy(r.s6_addr + 12, a->s6_addr, 4);
        return r;
}

static bool is_server(const CutJob *job, const HelperSocket *s) {
        for (size_t i = 0; i < job->n_sockets; i++)
                if (job->sockets[i].state == TCP_LISTEN && job->sockets[i].sport == s->sport)
                        return true;
        return false;
}

static bool flow_matches(const Flow *f, const Ends *e) {
        const DatapathFlow *r = &f->record;

        return r->protocol == IPPROTO_TCP && r->sport == e->client_port && r->dport == e->server_port &&
               IN6_ARE_ADDR_EQUAL(&r->saddr, &e->client) && IN6_ARE_ADDR_EQUAL(&r->daddr, &e->server);
}

static const Flow *find_flow(const Manager *m, const Ends *e) {
        for (uint64_t serial = m->flows.last_serial; serial >= flow_log_first(&m->flows) && serial > 0; serial--) {
                const Flow *f = flow_log_get(&m->flows, serial);

                if (f && f->record.verdict != DATAPATH_FLOW_REJECT && flow_matches(f, e))
                        return f;
        }
        return NULL;
}

static bool allowed_by_record(const Manager *m, const Unit *u, const Flow *f, bool server) {
        const Unit *other = units_find_index(&m->units, f->record.unit == u->index ? f->record.peer_unit : f->record.unit);
        const Peer *peer = f->record.peer ? peers_find_id(m->peers, f->record.peer) : NULL;
        PeerTags tags;
        Decision d;

        if (other && other->policy && other->state != UNIT_DENIED)
                tags = (PeerTags) { &other->policy->tags, other->policy->families };
        else if (peer && peer->verified)
                tags = (PeerTags) { &peer->tags, peer->families };
        else
                return false;
        decide_peer(u, !server, &tags, IPPROTO_TCP, f->record.dport, &d);
        return d.allow;
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

static void socket_judge(Manager *m, const Unit *u, const CutJob *job, const HelperSocket *s) {
        bool server = is_server(job, s);
        struct in6_addr local = mapped(s->family, &s->saddr), peer = mapped(s->family, &s->daddr);
        const Ends ends = {
                .client = server ? peer : local, .server = server ? local : peer,
                .client_port = server ? s->dport : s->sport, .server_port = server ? s->sport : s->dport,
        };
        const Flow *f = job->strangers ? NULL : find_flow(m, &ends);
        HelperSocket request = *s;
        int r;

        if (f ? allowed_by_record(m, u, f, server) : allowed_as_stranger(m, u, s, server))
                return;
        request.header = (HelperHeader) { .type = HELPER_CUT_SOCKET };
        r = link_request(m->helper, &request, sizeof(request), -1, helper_log_answer, (void *) "cut of a connection");
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to cut a connection of %s", u->name);
}

static void job_free(CutJob *job) {
        free(job->sockets);
        free(job);
}

static void job_add(CutJob *job, const HelperSocket *s) {
        HelperSocket *sockets;

        if (s->protocol != IPPROTO_TCP || job->n_sockets >= SOCKETS_MAX)
                return;
        sockets = reallocarray(job->sockets, job->n_sockets + 1, sizeof(*sockets));
        if (!sockets) {
                log_error("Out of memory for the connections of a unit");
                return;
        }
        job->sockets = sockets;
        job->sockets[job->n_sockets++] = *s;
}

static void on_sockets(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        CutJob *job = userdata;
        const Unit *u;

        if (msg) {
                if (msg->header->type == HELPER_SOCKET && msg->len == sizeof(HelperSocket))
                        job_add(job, (const HelperSocket *) msg->header);
                return;
        }
        u = units_find_index(&m->units, job->index);
        if (result < 0 && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot list the connections of %s", u ? u->name : "a unit");
        for (size_t i = 0; result >= 0 && u && u->info.cgroup_id == job->cgroup_id && i < job->n_sockets; i++)
                if (job->sockets[i].state != TCP_LISTEN && job->sockets[i].state != TCP_TIME_WAIT && job->sockets[i].state != TCP_CLOSE)
                        socket_judge(m, u, job, &job->sockets[i]);
        job_free(job);
}

static void cut_start(Manager *m, const Unit *u, bool strangers) {
        HelperUnitRequest request = { .header.type = HELPER_LIST_SOCKETS, .cgroup_id = u->info.cgroup_id, .index = u->index };
        CutJob *job;
        int r;

        if (!m->helper_ready)
                return;
        job = calloc(1, sizeof(*job));
        if (!job) {
                log_error("Out of memory for the connections of %s", u->name);
                return;
        }
        *job = (CutJob) { .index = u->index, .cgroup_id = u->info.cgroup_id, .strangers = strangers };
        strcpy(request.unit, u->name);
        r = link_request(m->helper, &request, sizeof(request), -1, on_sockets, job);
        if (r < 0) {
                job_free(job);
                log_error_errno(r, "Cannot ask the helper for the connections of %s", u->name);
        }
}

void cut_strangers(Manager *m, const Unit *u) {
        cut_start(m, u, true);
}

void cut_recheck(Manager *m, const Unit *u) {
        cut_start(m, u, false);
}
