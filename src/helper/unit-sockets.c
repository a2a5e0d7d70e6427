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
        closep(&o->conntrack_fd);
        o->conntrack_fd = -1;
}

/* ---- sets of control groups ---- */

typedef struct Ids {
        const Table *table; /* groups of its units are left out, with what is below them; NULL: none */
        uint64_t *ids;
        size_t n;
        bool incomplete;
} Ids;

static void ids_done(Ids *ids) {
        free(ids->ids);
}

static int ids_compare(const void *a, const void *b) {
        const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static bool ids_has(const Ids *ids, uint64_t id) {
        return ids->n > 0 && bsearch(&id, ids->ids, ids->n, sizeof(id), ids_compare);
}

static int on_cgroup(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        Ids *ids = userdata;

        if (ids->table && table_find(ids->table, id))
                return 1;
        if (ids->n >= CGROUPS_MAX)
                return -EFBIG;
        if (!ARRAY_GROW(ids->ids, ids->n))
                return -ENOMEM;
        ids->ids[ids->n++] = id;
        return 0;
}

/* Those below path; sorted. */
static int ids_collect(Ids *ids, int cgroup_root_fd, const char *path) {
        int k = cgroup_walk(cgroup_root_fd, path, on_cgroup, ids);

        if (k < 0 && k != -ELOOP && k != -EFBIG)
                return k;
        ids->incomplete = k < 0;
        qsort(ids->ids, ids->n, sizeof(*ids->ids), ids_compare);
        return 0;
}

/* ---- whose ---- */

typedef struct Search {
        uint64_t wanted;
        CgroupLine line;
} Search;

static int on_line(uint64_t id, uint32_t depth, int at, const char *name, void *userdata) {
        Search *s = userdata;

        if (depth <= HELPER_LEVEL_MAX)
                s->line.ids[depth - 1] = id;
        if (id != s->wanted)
                return 0;
        for (uint32_t i = depth; i < HELPER_LEVEL_MAX; i++)
                s->line.ids[i] = 0;
        s->line.id = id;
        return -EEXIST; /* ends the walk */
}

static const CgroupLine *line_of(SocketOwners *o, uint64_t id) {
        Search s = { .wanted = id };

        for (size_t i = 0; i < CGROUP_LINES_MAX; i++)
                if (o->lines[i].id == id)
                        return &o->lines[i];
        if (cgroup_walk(o->cgroup_root_fd, "", on_line, &s) != -EEXIST)
                return NULL;
        o->lines[o->next_line] = s.line;
        return &o->lines[o->next_line++ % CGROUP_LINES_MAX];
}

static const TableUnit *cgroup_owner(SocketOwners *o, uint64_t id) {
        const TableUnit *unit = id ? table_find(o->table, id) : NULL;
        const CgroupLine *line = id && !unit ? line_of(o, id) : NULL;

        for (size_t i = HELPER_LEVEL_MAX; line && !unit && i > 0; i--)
                if (line->ids[i - 1])
                        unit = table_find(o->table, line->ids[i - 1]);
        return unit;
}

static bool is_request(const DiagSocket *s) {
        return s->state == TCP_SYN_RECV && s->cgroup_id == 0;
}

static bool is_any(const struct in6_addr *a) {
        return IN6_IS_ADDR_UNSPECIFIED(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr32[3] == 0);
}

typedef struct ListenerSearch {
        SocketOwners *owners;
        const struct in6_addr *address;
        const TableUnit *unit;
        bool found, ambiguous;
} ListenerSearch;

static int on_listener(const DiagSocket *s, void *userdata) {
        ListenerSearch *l = userdata;
        const TableUnit *unit;

        if (!is_any(&s->saddr) && memcmp(&s->saddr, l->address, sizeof(s->saddr)) != 0)
                return 0;
        unit = cgroup_owner(l->owners, s->cgroup_id);
        l->ambiguous = l->ambiguous || (l->found && unit != l->unit);
        l->unit = unit;
        l->found = true;
        return 0;
}

/* Several that share a port (SO_REUSEPORT) must all be one unit's: which of them the kernel chose it does not tell. */
static const TableUnit *listener_owner(SocketOwners *o, const DiagSocket *s) {
        ListenerSearch l = { .owners = o, .address = &s->saddr };

        return sockets_of_port(IPPROTO_TCP, 1u << TCP_LISTEN, s->sport, on_listener, &l) < 0 || l.ambiguous ? NULL : l.unit;
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

static bool is_authorized_here(SocketOwners *o, const DiagSocket *s) {
        KernelFlow flow;

        return socket_flow(o, s, &flow) >= 0 && flow.mark & (flow.client ? CTMARK_CLIENT_AUTHORIZED : CTMARK_SERVER_AUTHORIZED);
}

bool socket_may_be_of(SocketOwners *o, const DiagSocket *s, uint64_t cgroup_id) {
        const TableUnit *unit = socket_owner(o, s);

        return unit ? unit->cgroup_id == cgroup_id : is_authorized_here(o, s);
}

/* ---- all of a unit ---- */

typedef struct UnitWalk {
        SocketOwners *owners;
        uint64_t cgroup_id;
        Ids own, live;        /* live: all that there are; only if there are lost ones */
        bool lost;            /* some of its groups are not among its own: those of sockets that are nobody's may be */
        bool listens;
        uint8_t ports[65536 / 8]; /* of listeners, a bit each */
        SocketCallback callback;
        void *userdata;
} UnitWalk;

static void walk_done(UnitWalk *w) {
        ids_done(&w->own);
        ids_done(&w->live);
}

static bool is_lost(const UnitWalk *w, const DiagSocket *s) {
        return s->cgroup_id != 0 && !table_find(w->owners->table, s->cgroup_id) && !ids_has(&w->live, s->cgroup_id) && is_authorized_here(w->owners, s);
}

static int on_socket(const DiagSocket *s, void *userdata) {
        UnitWalk *w = userdata;

        if (s->cgroup_id != w->cgroup_id && !ids_has(&w->own, s->cgroup_id) && !(w->lost && is_lost(w, s)))
                return 0;
        if (s->state == TCP_LISTEN) {
                w->ports[s->sport / 8] |= (uint8_t) (1u << s->sport % 8);
                w->listens = true;
        }
        return w->callback(s, w->userdata);
}

static int on_request(const DiagSocket *s, void *userdata) {
        UnitWalk *w = userdata;
        const TableUnit *unit;

        if (!is_request(s) || !(w->ports[s->sport / 8] & 1u << s->sport % 8))
                return 0;
        unit = listener_owner(w->owners, s);
        return !unit || unit->cgroup_id == w->cgroup_id ? w->callback(s, w->userdata) : 0;
}

static int walk_prepare(UnitWalk *w, const char *cgroup) {
        const int root_fd = w->owners->cgroup_root_fd;
        uint64_t id, n_dying = 0;
        int k = cgroup[0] ? cgroup_id(root_fd, cgroup, &id) : -ENOENT;

        if (k < 0 || id != w->cgroup_id) /* another life's */
                return k == -ENOENT || k >= 0 ? 0 : k;
        k = ids_collect(&w->own, root_fd, cgroup);
        if (k >= 0)
                k = cgroup_count_dying(root_fd, cgroup, &n_dying);
        if (k < 0)
                return k == -ENOENT ? 0 : k;
        w->lost = w->own.incomplete || n_dying > 0;
        return w->lost ? ids_collect(&w->live, root_fd, "") : 0;
}

static int walk(UnitWalk *w, uint32_t states) {
        return w->own.n > 0 || w->lost ? sockets_of_port(IPPROTO_TCP, states, 0, on_socket, w)
                                       : sockets_of_cgroup(w->cgroup_id, IPPROTO_TCP, states, on_socket, w); /* the kernel picks them out */
}

int unit_sockets(SocketOwners *o, uint64_t cgroup_id, const char *cgroup, SocketCallback callback, void *userdata) {
        _cleanup_(walk_done) UnitWalk w = { .owners = o, .cgroup_id = cgroup_id, .own.table = o->table, .callback = callback, .userdata = userdata };
        int k = walk_prepare(&w, cgroup);

        if (k == 0)
                k = walk(&w, 1u << TCP_LISTEN);
        if (k == 0 && w.listens)
                k = sockets_of_port(IPPROTO_TCP, 1u << TCP_SYN_RECV, 0, on_request, &w);
        return k == 0 ? walk(&w, SOCKET_STATES) : k; /* last: a request may have become a socket meanwhile */
}

static int on_any_lost(const DiagSocket *s, void *userdata) {
        const UnitWalk *w = userdata;

        if (s->cgroup_id == 0 || table_find(w->owners->table, s->cgroup_id) || ids_has(&w->live, s->cgroup_id))
                return 0;
        return s->dport == 0 || is_authorized_here(w->owners, s);
}

int sockets_any_lost(SocketOwners *o) {
        static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
        _cleanup_(walk_done) UnitWalk w = { .owners = o };
        int k = ids_collect(&w.live, o->cgroup_root_fd, "");

        for (size_t i = 0; k == 0 && i < ELEMENTSOF(protocols); i++)
                k = sockets_of_port(protocols[i], SOCKET_STATES | 1u << TCP_LISTEN, 0, on_any_lost, &w);
        return k;
}
