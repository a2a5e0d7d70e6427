/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/unit-sockets.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "helper/cgroup.h"
#include "util/array.h"
#include "util/fd.h"

#define CGROUPS_MAX 65536u /* more are treated like those that are gone */
#define SOCKET_STATES (UINT32_MAX & ~(1u << TCP_TIME_WAIT) & ~(1u << TCP_LISTEN))

void socket_owners_done(SocketOwners *o) {
        free(o->nodes);
        closep(&o->conntrack_fd);
        *o = (SocketOwners) { .conntrack_fd = -1 };
}

/* ---- control groups ---- */

typedef struct Reading {
        const Table *table; /* groups of its units are left out, with what is below them; NULL: none */
        CgroupNode *nodes;
        size_t n;
        uint64_t above[CGROUP_DEPTH_MAX + 1];
        bool incomplete;
} Reading;

static void reading_done(Reading *r) {
        free(r->nodes);
}

static int node_compare(const void *a, const void *b) {
        const CgroupNode *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static const CgroupNode *node_find(const CgroupNode *nodes, size_t n, uint64_t id) {
        const CgroupNode key = { .id = id };

        return n > 0 ? bsearch(&key, nodes, n, sizeof(key), node_compare) : NULL;
}

static int on_cgroup(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        Reading *r = userdata;

        if (r->table && table_find(r->table, id))
                return 1;
        if (r->n >= CGROUPS_MAX)
                return -EFBIG;
        if (!ARRAY_GROW(r->nodes, r->n))
                return -ENOMEM;
        r->above[depth] = id;
        r->nodes[r->n++] = (CgroupNode) { .id = id, .parent = r->above[depth - 1] };
        return 0;
}

static int read_groups(Reading *r, int cgroup_root_fd, const char *path) {
        int k = cgroup_walk(cgroup_root_fd, path, on_cgroup, r);

        if (k < 0 && k != -ELOOP && k != -EFBIG)
                return k;
        r->incomplete = k < 0;
        if (r->n > 0)
                qsort(r->nodes, r->n, sizeof(*r->nodes), node_compare);
        return 0;
}

static int read_all_groups(SocketOwners *o) {
        _cleanup_(reading_done) Reading r = {};
        int k = read_groups(&r, o->cgroup_root_fd, "");

        if (k < 0)
                return k;
        free(o->nodes);
        o->nodes = TAKE_PTR(r.nodes);
        o->n_nodes = r.n;
        return 0;
}

static bool is_missing(const SocketOwners *o, uint64_t id) {
        for (size_t i = 0; i < CGROUPS_MISSING_MAX; i++)
                if (o->missing[i] == id)
                        return true;
        return false;
}

static const CgroupNode *node_of(SocketOwners *o, uint64_t id) {
        const CgroupNode *node = node_find(o->nodes, o->n_nodes, id);

        if (node || id == 0 || is_missing(o, id) || read_all_groups(o) < 0)
                return node;
        node = node_find(o->nodes, o->n_nodes, id);
        if (!node)
                o->missing[o->n_missing++ % CGROUPS_MISSING_MAX] = id;
        return node;
}

const TableUnit *cgroup_owner(SocketOwners *o, uint64_t cgroup_id) {
        const TableUnit *unit = NULL;

        while (cgroup_id && !(unit = table_find(o->table, cgroup_id))) {
                const CgroupNode *node = node_of(o, cgroup_id);

                cgroup_id = node ? node->parent : 0;
        }
        return unit;
}

/* ---- one socket ---- */

static bool is_request(const DiagSocket *s) {
        return s->state == TCP_SYN_RECV && s->cgroup_id == 0;
}

static bool is_any(const struct in6_addr *a) {
        return IN6_IS_ADDR_UNSPECIFIED(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr32[3] == 0);
}

typedef struct Listener { /* of a request: found among those of its port, as the kernel prefers them */
        const DiagSocket *request;
        int score;                   /* 0: none */
        uint64_t cgroup_ids[16];     /* of the best ones, each once */
        size_t n;
        bool overflow;               /* there are more */
} Listener;

/* inet_lhash2_lookup() and compute_score(): the address counts first, then the family. */
static int on_listener(const DiagSocket *s, void *userdata) {
        Listener *l = userdata;
        bool exact = memcmp(&s->saddr, &l->request->saddr, sizeof(s->saddr)) == 0;
        int score = 1 + 2 * exact + (s->family == l->request->family);

        if ((!exact && !is_any(&s->saddr)) || score < l->score)
                return 0;
        if (score > l->score) {
                l->n = 0;
                l->overflow = false;
        }
        l->score = score;
        for (size_t i = 0; i < l->n; i++)
                if (l->cgroup_ids[i] == s->cgroup_id)
                        return 0;
        if (l->n < ELEMENTSOF(l->cgroup_ids))
                l->cgroup_ids[l->n++] = s->cgroup_id;
        else
                l->overflow = true;
        return 0;
}

static int listener_find(const DiagSocket *request, Listener *ret) {
        *ret = (Listener) { .request = request };
        return sockets_of_port(IPPROTO_TCP, 1u << TCP_LISTEN, request->sport, on_listener, ret);
}

static const TableUnit *listener_owner(SocketOwners *o, const DiagSocket *request) {
        const TableUnit *unit = NULL;
        Listener l;

        if (listener_find(request, &l) < 0 || l.overflow)
                return NULL;
        for (size_t i = 0; i < l.n; i++) {
                const TableUnit *one = cgroup_owner(o, l.cgroup_ids[i]);

                if (!one || (unit && one != unit))
                        return NULL;
                unit = one;
        }
        return unit;
}

const TableUnit *socket_owner(SocketOwners *o, const DiagSocket *s) {
        return is_request(s) ? listener_owner(o, s) : cgroup_owner(o, s->cgroup_id);
}

int socket_flow(SocketOwners *o, const DiagSocket *s, KernelFlow *ret) {
        const uint32_t mask = o->table->options.mark_mask;
        KernelFlow flow;
        int k = s->state == TCP_LISTEN ? -ENOENT : flow_find(&o->conntrack_fd, s, &flow);

        if (k < 0)
                return k;
        flow.mark = (flow.mark & mask) >> __builtin_ctz(mask);
        *ret = flow;
        return flow.mark ? 0 : -ENOENT;
}

static bool has_mark_here(SocketOwners *o, const DiagSocket *s, uint32_t of_client, uint32_t of_server) {
        KernelFlow flow;

        return socket_flow(o, s, &flow) >= 0 && flow.mark & (flow.client ? of_client : of_server);
}

static bool is_authorized_here(SocketOwners *o, const DiagSocket *s) {
        return has_mark_here(o, s, CTMARK_CLIENT_AUTHORIZED, CTMARK_SERVER_AUTHORIZED);
}

bool socket_may_be_of(SocketOwners *o, const DiagSocket *s, uint64_t cgroup_id) {
        const TableUnit *unit = socket_owner(o, s);

        return unit ? unit->cgroup_id == cgroup_id : is_authorized_here(o, s);
}

/* All groups must just have been read. */
static bool is_lost(const SocketOwners *o, uint64_t cgroup_id, uint64_t of_socket) {
        return of_socket > cgroup_id && !table_find(o->table, of_socket) && !node_find(o->nodes, o->n_nodes, of_socket);
}

/* ---- all of a unit ---- */

typedef struct UnitWalk {
        SocketOwners *owners;
        uint64_t cgroup_id;
        Reading below;
        bool lost;                /* lost sockets may be its */
        bool listens;
        uint8_t ports[65536 / 8]; /* of listeners, a bit each */
        DiagSocket last;          /* request that was looked at, */
        bool last_is_ours;        /* and what became of it: in a flood they are all alike */
        SocketCallback callback;
        void *userdata;
} UnitWalk;

static void walk_done(UnitWalk *w) {
        reading_done(&w->below);
}

static bool is_ours(const UnitWalk *w, uint64_t cgroup_id) {
        return cgroup_id == w->cgroup_id || node_find(w->below.nodes, w->below.n, cgroup_id);
}

static int on_socket(const DiagSocket *s, void *userdata) {
        UnitWalk *w = userdata;

        if (!is_ours(w, s->cgroup_id) &&
            !(w->lost && is_lost(w->owners, w->cgroup_id, s->cgroup_id) && (s->state == TCP_LISTEN || is_authorized_here(w->owners, s))))
                return 0;
        if (s->state == TCP_LISTEN) {
                w->ports[s->sport / 8] |= (uint8_t) (1u << s->sport % 8);
                w->listens = true;
        }
        return w->callback(s, w->userdata);
}

static bool is_request_of(const UnitWalk *w, const DiagSocket *s) {
        Listener l;

        if (listener_find(s, &l) < 0 || l.overflow)
                return true; /* it is judged, rather than left */
        for (size_t i = 0; i < l.n; i++)
                if (is_ours(w, l.cgroup_ids[i]) || (w->lost && is_lost(w->owners, w->cgroup_id, l.cgroup_ids[i])))
                        return true;
        return false;
}

static int on_request(const DiagSocket *s, void *userdata) {
        UnitWalk *w = userdata;

        if (!is_request(s) || !(w->ports[s->sport / 8] & 1u << s->sport % 8))
                return 0;
        if (s->sport != w->last.sport || s->family != w->last.family || memcmp(&s->saddr, &w->last.saddr, sizeof(s->saddr)) != 0) {
                w->last = *s;
                w->last_is_ours = is_request_of(w, s);
        }
        return w->last_is_ours ? w->callback(s, w->userdata) : 0;
}

static int walk_prepare(UnitWalk *w, const char *cgroup, bool tree) {
        const int root_fd = w->owners->cgroup_root_fd;
        uint64_t id = 0, n_dying = 0;
        int k = cgroup[0] ? cgroup_id(root_fd, cgroup, &id) : -ENOENT;

        if (k >= 0 && id == w->cgroup_id) {
                k = read_groups(&w->below, root_fd, cgroup);
                if (k >= 0)
                        k = cgroup_count_dying(root_fd, cgroup, &n_dying);
                w->lost = w->below.incomplete || n_dying > 0;
        } else
                w->lost = tree; /* it is no more, and with it all that was below */
        if (k < 0 && k != -ENOENT && k != -ENODEV)
                return k;
        return w->lost ? read_all_groups(w->owners) : 0;
}

static int walk(UnitWalk *w, uint32_t states) {
        return w->below.n > 0 || w->lost ? sockets_of_port(IPPROTO_TCP, states, 0, on_socket, w)
                                         : sockets_of_cgroup(w->cgroup_id, IPPROTO_TCP, states, on_socket, w); /* the kernel picks them out */
}

int unit_sockets(SocketOwners *o, uint64_t cgroup_id, const char *cgroup, bool tree, SocketCallback callback, void *userdata) {
        _cleanup_(walk_done) UnitWalk w = { .owners = o, .cgroup_id = cgroup_id, .below.table = o->table, .callback = callback, .userdata = userdata };
        int k = walk_prepare(&w, cgroup, tree);

        if (k == 0)
                k = walk(&w, 1u << TCP_LISTEN);
        if (k == 0 && w.listens)
                k = sockets_of_port(IPPROTO_TCP, 1u << TCP_SYN_RECV, 0, on_request, &w);
        return k == 0 ? walk(&w, SOCKET_STATES) : k; /* last: a request may have become a socket meanwhile */
}

typedef struct LostSearch {
        SocketOwners *owners;
        uint64_t cgroup_id;
} LostSearch;

static int on_any_lost(const DiagSocket *s, void *userdata) {
        const LostSearch *l = userdata;

        return is_lost(l->owners, l->cgroup_id, s->cgroup_id) &&
               (s->dport == 0 || s->state == TCP_SYN_SENT || has_mark_here(l->owners, s, CTMARK_CLIENT_AUTHORIZED | CTMARK_CLIENT_PENDING, CTMARK_SERVER_AUTHORIZED | CTMARK_SERVER_PENDING));
}

int sockets_any_lost(SocketOwners *o, uint64_t cgroup_id) {
        static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
        LostSearch l = { .owners = o, .cgroup_id = cgroup_id };
        int k = read_all_groups(o);

        for (size_t i = 0; k == 0 && i < ELEMENTSOF(protocols); i++)
                k = sockets_of_port(protocols[i], SOCKET_STATES | 1u << TCP_LISTEN, 0, on_any_lost, &l);
        return k;
}
