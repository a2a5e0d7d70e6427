/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/request.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "helper/attached.h"
#include "helper/cgroup.h"
#include "helper/library.h"
#include "helper/manager.h"
#include "helper/plugin.h"
#include "helper/request-async.h"
#include "helper/sockets.h"
#include "ipc/record.h"
#include "policy/reason.h"
#include "util/fd.h"
#include "util/log.h"

#define NETWORKS_MAX 65536u /* far beyond any configuration */
#define REPLY_LATER 1 /* a handler's result: it has seen to the reply itself */

static int later(int k) {
        return k < 0 ? k : REPLY_LATER;
}

/* ---- the table ---- */

static int enforce_unit(Manager *m, const void *request, int fd) {
        const HelperUnitRequest *r = request;
        const TableUnit *old = table_find(m->table, r->cgroup_id);
        TableUnit unit;

        if (!old)
                return -ENOENT;
        unit = *old;
        unit.index = r->index;
        unit.flags = r->flags;
        unit.profile = r->profile;
        return table_set_unit(m->table, &unit);
}

/* What a unit leaves behind when it ends is closed, not let go. */
static int release_check(Manager *m, const HelperRelease *r) {
        int k;

        if (attach_waits(m, r->cgroup_id)) /* PID 1 takes over the directory that an earlier life left: its id is needed again */
                return -EAGAIN;
        k = cgroup_is_populated(m->cgroup_root_fd, r->cgroup_id, r->cgroup); /* KillMode= */
        if (k == 0)
                k = sockets_any(r->cgroup_id);
        if (k == 0 && r->flags == HELPER_RELEASE_TREE)
                k = sockets_any_lost(&m->owners, r->cgroup_id);
        return k > 0 ? -EBUSY : k;
}

static int release_unit(Manager *m, const void *request, int fd) {
        const HelperRelease *r = request;
        char unit[HELPER_UNIT_NAME_MAX];

        if (!table_find(m->table, r->cgroup_id))
                return -ENOENT;
        if (r->flags != HELPER_RELEASE_UNLABELLED) {
                int k = release_check(m, r);

                if (k < 0)
                        return k;
                /* A start was prepared there: whoever asks may mean the life before it. */
                if (attached_find(m->options.attached_dir, m->cgroup_root_fd, r->unit, r->cgroup_id, unit))
                        return later(request_release_prepared(m, r, unit));
        }
        return request_release(m, r->unit, r->cgroup_id);
}

static int acl_add(Manager *m, const void *request, int fd) {
        Box box;
        int k = request_box_of_acl(request, &box);

        return k < 0 ? k : table_add_box(m->table, &box);
}

static int profile_remove(Manager *m, const void *request, int fd) {
        const HelperAcl *r = request;

        return table_uses_profile(m->table, r->profile) ? -EBUSY : table_remove_boxes(m->table, BOX_KINDS_OF_PROFILES, r->profile);
}

static int network_add(Manager *m, const void *request, int fd) {
        Box box;
        int k = request_box_of_network(request, &box);

        if (k >= 0 && m->networks.n >= NETWORKS_MAX)
                k = -ENOSPC;
        return k < 0 ? k : MIN(box_list_add(&m->networks, &box), 0);
}

static int network_set(Manager *m, const void *request, int fd) {
        const HelperNetwork *r = request;
        static const uint32_t kinds[] = {
                [HELPER_NETWORK_ALL] = 1u << BOX_TARGET | 1u << BOX_EXCLUDED | 1u << BOX_FAILSAFE,
                [HELPER_NETWORK_TARGET] = 1u << BOX_TARGET, [HELPER_NETWORK_EXCLUDED] = 1u << BOX_EXCLUDED, [HELPER_NETWORK_FAILSAFE] = 1u << BOX_FAILSAFE,
        };
        _cleanup_(box_list_done) BoxList boxes = { 0 };

        for (size_t i = 0; i < m->networks.n; i++) {
                int k = kinds[r->kind] & 1u << m->networks.boxes[i].kind ? box_list_add(&boxes, &m->networks.boxes[i]) : 0;

                if (k < 0)
                        return k;
        }
        for (size_t i = m->networks.n; i-- > 0;)
                if (kinds[r->kind] & 1u << m->networks.boxes[i].kind)
                        m->networks.boxes[i] = m->networks.boxes[--m->networks.n];
        return table_set_boxes(m->table, kinds[r->kind], &boxes);
}

static int local_accept(Manager *m, const void *request, int fd) {
        const HelperLocal *r = request;

        return table_add_local(m->table, &(TableLocal) { .client = r->client, .server = r->server, .port = (uint16_t) r->port });
}

static int local_forget(Manager *m, const void *request, int fd) {
        const HelperLocal *r = request;

        return table_forget_local(m->table, r->client, r->server);
}

static int set_options(Manager *m, const void *request, int fd) {
        const HelperOptions *r = request;
        TableOptions options = m->table->options;

        options.mark_mask = r->conntrack_mark_mask;
        options.deny_drop = r->deny_drop;
        options.failure_open = r->failure_open;
        if (options.failure_open && !m->table->options.failure_open)
                log_warning("FailureMode=open: units start unprotected when the enforcer does not answer");
        return table_set_options(m->table, &options);
}

static int disarm(Manager *m, const void *request, int fd) {
        const HelperRequest *r = request;

        return r->usec == 0 ? -EINVAL : manager_disarm(m, r->usec);
}

static int arm(Manager *m, const void *request, int fd) {
        return manager_disarm(m, 0);
}

static int get_state(Manager *m, const void *request, int fd) {
        HelperState state;

        manager_fill_state(m, &state);
        state.header.serial = ((const HelperHeader *) request)->serial;
        connection_send(m, &state, sizeof(state), NULL, 0);
        return 0;
}

static int list_cgroups(Manager *m, const void *request, int fd) {
        const uint32_t serial = ((const HelperHeader *) request)->serial;

        for (size_t i = 0; i < m->table->n_units; i++) {
                const TableUnit *u = &m->table->units[i];
                const HelperCgroup data = { .header = { HELPER_CGROUP, serial }, .cgroup_id = u->cgroup_id, .index = u->index };

                connection_send(m, &data, sizeof(data), NULL, 0);
        }
        return 0;
}

static int record(Manager *m, const void *request, int fd) {
        const HelperRecord *r = request;

        return record_write(r, reason_explain(reason_from_string(r->reason)));
}

static int attach_done_request(Manager *m, const void *request, int fd) {
        const HelperUnitRequest *r = request;

        return attach_done(m, r->unit, r->result, r->reason);
}

/* ---- sockets ---- */

/* Addresses of requests are bare, those of sock_diag mapped. */
static struct in6_addr address_map(uint8_t family, const struct in6_addr *a) {
        struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        if (family == AF_INET6)
                return *a;
        memcpy(&mapped.s6_addr[12], a->s6_addr, 4);
        return mapped;
}

static struct in6_addr address_unmap(const struct in6_addr *a) {
        struct in6_addr bare = { 0 };

        if (!IN6_IS_ADDR_V4MAPPED(a))
                return *a;
        memcpy(bare.s6_addr, &a->s6_addr[12], 4);
        return bare;
}

static DiagSocket socket_of_request(const HelperSocket *r) {
        return (DiagSocket) {
                .family = r->family, .protocol = r->protocol, .state = r->state, .sport = r->sport, .dport = r->dport,
                .saddr = address_map(r->family, &r->saddr), .daddr = address_map(r->family, &r->daddr),
                .cookie = { r->cookie[0], r->cookie[1] }, .cgroup_id = r->cgroup_id,
        };
}

typedef struct SocketWalk {
        Manager *manager;
        const HelperSocketList *request;
} SocketWalk;

/* Index of the unit that has the other end of a connection within this host. */
static uint32_t find_peer(SocketOwners *owners, const DiagSocket *s) {
        const DiagSocket other = { .family = s->family, .protocol = IPPROTO_TCP, .saddr = s->daddr, .sport = s->dport, .daddr = s->saddr, .dport = s->sport };
        const TableUnit *unit;
        DiagSocket found;

        if (socket_find(&other, &found) < 0)
                return 0;
        unit = socket_owner(owners, &found);
        return unit ? unit->index : 0;
}

static void describe_flow(SocketWalk *w, const DiagSocket *s, HelperSocket *data) {
        const uint32_t both = CTMARK_CLIENT_AUTHORIZED | CTMARK_SERVER_AUTHORIZED;
        KernelFlow flow;

        if (socket_flow(&w->manager->owners, s, &flow) < 0)
                return;
        data->mark = flow.mark;
        data->client = flow.client;
        if ((data->mark & both) == both)
                data->peer = find_peer(&w->manager->owners, s);
}

static int on_listed_socket(const DiagSocket *s, void *userdata) {
        SocketWalk *w = userdata;
        HelperSocket data = {
                .header = { HELPER_SOCKET, w->request->header.serial }, .cgroup_id = w->request->cgroup_id, .protocol = IPPROTO_TCP, .state = s->state,
                .family = IN6_IS_ADDR_V4MAPPED(&s->saddr) ? AF_INET : AF_INET6, .sport = s->sport, .dport = s->dport,
                .saddr = address_unmap(&s->saddr), .daddr = address_unmap(&s->daddr), .cookie = { s->cookie[0], s->cookie[1] },
        };

        describe_flow(w, s, &data);
        connection_send(w->manager, &data, sizeof(data), NULL, 0);
        return 0;
}

static int list_sockets(Manager *m, const void *request, int fd) {
        const HelperSocketList *r = request;
        SocketWalk w = { .manager = m, .request = r };

        if (!table_find(m->table, r->cgroup_id))
                return -ENOENT;
        return unit_sockets(&m->owners, r->cgroup_id, r->cgroup, r->tree != 0, on_listed_socket, &w);
}

/* Believed is only what the kernel says: the socket with this cookie, of the unit with this cgroup, which is in the table. */
static int cut_socket(Manager *m, const void *request, int fd) {
        const HelperSocket *r = request;
        const DiagSocket wanted = socket_of_request(r);
        DiagSocket found;
        int k;

        if (!table_find(m->table, r->cgroup_id))
                return -EPERM;
        k = socket_find(&wanted, &found);
        if (k < 0)
                return k;
        if (memcmp(found.cookie, wanted.cookie, sizeof(found.cookie)) != 0)
                return -ENOENT;
        return socket_may_be_of(&m->owners, &found, r->cgroup_id) ? socket_destroy(&found) : -EPERM;
}

static int cut_flow(Manager *m, const void *request, int fd) {
        const DiagSocket wanted = socket_of_request(request);
        _cleanup_close_ int conntrack_fd = -1;
        DiagSocket found;
        KernelFlow flow;
        int k = flow_find(&conntrack_fd, &wanted, &flow);

        if (k < 0)
                return k;
        if (!(flow.mark & m->table->options.mark_mask))
                return -EPERM;
        k = socket_find(&wanted, &found);
        return k < 0 ? k : socket_destroy(&found);
}

/* ---- the list ---- */

static int list_units(Manager *m, const void *request, int fd) {
        return later(request_list_units(m, request));
}

static int get_unit(Manager *m, const void *request, int fd) {
        return later(request_get_unit(m, request));
}

static int open_unit_files(Manager *m, const void *request, int fd) {
        return later(request_open_unit_files(m, request));
}

static int close_unit(Manager *m, const void *request, int fd) {
        return later(request_close_unit(m, request));
}

static int start_scope(Manager *m, const void *request, int fd) {
        return later(request_start_scope(m, request, fd));
}

static int list_plugins(Manager *m, const void *request, int fd) {
        const HelperRequest *r = request;
        char names[PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX];
        size_t n = plugin_list(names);

        for (size_t i = 0; i < n; i++) {
                HelperPlugin data = { .header = { HELPER_PLUGIN, r->header.serial } };

                strcpy(data.name, names[i]);
                connection_send(m, &data, sizeof(data), NULL, 0);
        }
        return 0;
}

static int run_plugin(Manager *m, const void *request, int fd) {
        return later(request_run_plugin(m, request));
}

static int open_library(Manager *m, const void *request, int fd) {
        HelperLibrary data = *(const HelperLibrary *) request;
        _cleanup_close_ int file = library_open(&data, &data.n_paths);

        if (file < 0)
                return file;
        data.header.type = HELPER_LIBRARY;
        connection_send(m, &data, sizeof(data), &file, 1);
        return 0;
}

static int get_identity(Manager *m, const void *request, int fd) {
        return later(request_get_identity(m, request));
}

static int (*const handlers[_HELPER_TYPE_MAX])(Manager *m, const void *request, int fd) = {
        [HELPER_LIST_UNITS] = list_units,
        [HELPER_GET_UNIT] = get_unit,
        [HELPER_OPEN_UNIT_FILES] = open_unit_files,
        [HELPER_CLOSE_UNIT] = close_unit,
        [HELPER_ENFORCE_UNIT] = enforce_unit,
        [HELPER_RELEASE_UNIT] = release_unit,
        [HELPER_ACL_ADD] = acl_add,
        [HELPER_PROFILE_REMOVE] = profile_remove,
        [HELPER_NETWORK_ADD] = network_add,
        [HELPER_NETWORK_SET] = network_set,
        [HELPER_LOCAL_ACCEPT] = local_accept,
        [HELPER_LOCAL_FORGET] = local_forget,
        [HELPER_ATTACH_DONE] = attach_done_request,
        [HELPER_LIST_SOCKETS] = list_sockets,
        [HELPER_CUT_SOCKET] = cut_socket,
        [HELPER_CUT_FLOW] = cut_flow,
        [HELPER_START_SCOPE] = start_scope,
        [HELPER_DISARM] = disarm,
        [HELPER_ARM] = arm,
        [HELPER_SET_OPTIONS] = set_options,
        [HELPER_GET_STATE] = get_state,
        [HELPER_LIST_PLUGINS] = list_plugins,
        [HELPER_RUN_PLUGIN] = run_plugin,
        [HELPER_GET_IDENTITY] = get_identity,
        [HELPER_LIST_CGROUPS] = list_cgroups,
        [HELPER_OPEN_LIBRARY] = open_library,
        [HELPER_RECORD] = record,
};

static void request_log(const HelperHeader *request, const RequestShape *shape) {
        int level = shape->quiet ? LOG_DEBUG : LOG_INFO;

        if (shape->size == sizeof(HelperUnitRequest)) {
                const HelperUnitRequest *r = (const void *) request;

                log_full(level, 0, "The enforcer asks: %s %s cgroup %llu index %u flags 0x%x profile %u result %d", shape->name, r->unit,
                         (unsigned long long) r->cgroup_id, r->index, r->flags, r->profile, r->result);
        } else if (request->type == HELPER_RELEASE_UNIT) { /* asked again and again while something of it is left: logged loudly when it is done */
                const HelperRelease *r = (const void *) request;

                log_full(level, 0, "The enforcer asks: %s %s cgroup %llu flags 0x%x", shape->name, r->unit, (unsigned long long) r->cgroup_id, r->flags);
        } else if (shape->size == sizeof(HelperRequest))
                log_full(level, 0, "The enforcer asks: %s %s", shape->name, ((const HelperRequest *) request)->unit);
        else
                log_full(level, 0, "The enforcer asks: %s", shape->name);
}

void request_handle(Manager *m, const HelperHeader *request, int fd) {
        const RequestShape *shape = request_shape(request->type);
        int k;

        request_log(request, shape);
        k = handlers[request->type](m, request, fd);
        if (k < 0)
                log_debug_errno(k, "Refused: %s", shape->name);
        if (k != REPLY_LATER)
                connection_reply(m, request->serial, k);
        manager_tell_state(m);
}
