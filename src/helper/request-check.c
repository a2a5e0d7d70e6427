/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/request.h"

#include <errno.h>

#include "helper/cgroup.h"
#include "helper/library.h"
#include "helper/plugin.h"
#include "helper/table.h"
#include "ipc/record.h"

#define INDEX_VALID(i) ((i) >= 1 && (i) <= UNIT_INDEX_MAX)

/* A unit name, or nothing where none is needed. */
static bool unit_valid(const char unit[static HELPER_UNIT_NAME_MAX], bool needed) {
        if (!memchr(unit, '\0', HELPER_UNIT_NAME_MAX))
                return false;
        return unit[0] ? unit_name_is_valid(unit) : !needed;
}

static int check_hello(const void *packet) {
        const HelperHello *h = packet;

        return h->version == HELPER_PROTOCOL_VERSION && h->reserved == 0 ? 0 : -EINVAL;
}

static int check_request(const void *packet) {
        const HelperRequest *r = packet;
        bool needs_unit = r->header.type == HELPER_GET_UNIT || r->header.type == HELPER_OPEN_UNIT_FILES || r->header.type == HELPER_GET_IDENTITY;

        return unit_valid(r->unit, needs_unit) ? 0 : -EINVAL;
}

static int check_unit_request(const void *packet) {
        const HelperUnitRequest *r = packet;
        bool needs_unit = r->header.type == HELPER_CLOSE_UNIT || r->header.type == HELPER_ATTACH_DONE;

        if (!unit_valid(r->unit, needs_unit) || !record_text_is_clean(r->reason, sizeof(r->reason)) || r->index > UNIT_INDEX_MAX || r->result > 0 ||
            r->profile > PROFILE_MAX)
                return -EINVAL;
        if (r->flags & ~(uint32_t) (REQUEST_UNIT_OBSERVE | REQUEST_UNIT_CLOSED))
                return -EINVAL;
        return r->header.type != HELPER_ENFORCE_UNIT || (r->cgroup_id != 0 && INDEX_VALID(r->index)) ? 0 : -EINVAL;
}

static int check_release(const void *packet) {
        const HelperRelease *r = packet;

        return unit_valid(r->unit, false) && memchr(r->cgroup, '\0', sizeof(r->cgroup)) && r->index <= UNIT_INDEX_MAX &&
               (r->flags == 0 || r->flags == HELPER_RELEASE_TREE || r->flags == HELPER_RELEASE_UNLABELLED) ? 0 : -EINVAL;
}

static int check_socket_list(const void *packet) {
        const HelperSocketList *l = packet;

        return l->cgroup_id != 0 && l->tree <= 1 && l->reserved == 0 && memchr(l->cgroup, '\0', sizeof(l->cgroup)) ? 0 : -EINVAL;
}

static int check_acl(const void *packet) {
        const HelperAcl *a = packet;
        Box box;

        if (a->header.type == HELPER_PROFILE_REMOVE)
                return a->profile >= 1 && a->profile <= PROFILE_MAX ? 0 : -EINVAL;
        return request_box_of_acl(a, &box);
}

static int check_network(const void *packet) {
        const HelperNetwork *n = packet;
        Box box;

        if (n->header.type == HELPER_NETWORK_SET)
                return n->kind <= HELPER_NETWORK_FAILSAFE ? 0 : -EINVAL;
        return request_box_of_network(n, &box);
}

static int check_local(const void *packet) {
        const HelperLocal *l = packet;
        bool forget = l->header.type == HELPER_LOCAL_FORGET;

        if (l->reserved != 0 || l->port > UINT16_MAX || l->client > UNIT_INDEX_MAX || l->server > UNIT_INDEX_MAX)
                return -EINVAL;
        return forget || (l->client != 0 && l->server != 0) ? 0 : -EINVAL;
}

static int check_socket(const void *packet) {
        const HelperSocket *s = packet;

        if ((s->family != AF_INET && s->family != AF_INET6) || s->protocol != IPPROTO_TCP || s->sport == 0 || s->dport == 0)
                return -EINVAL;
        return s->header.type == HELPER_CUT_FLOW || s->cgroup_id != 0 ? 0 : -EINVAL;
}

static int check_scope(const void *packet) {
        const HelperScope *s = packet;

        return s->reserved == 0 ? 0 : -EINVAL;
}

static int check_plugin(const void *packet) {
        const HelperPlugin *p = packet;

        return unit_valid(p->unit, true) && memchr(p->name, '\0', sizeof(p->name)) && plugin_name_is_valid(p->name) ? 0 : -EINVAL;
}

static int check_library(const void *packet) {
        const HelperLibrary *l = packet;

        if (!unit_valid(l->unit, true) || l->pid > INT32_MAX || l->n_paths == 0 || l->n_paths > HELPER_LIBRARY_PATHS_MAX)
                return -EINVAL;
        for (size_t i = 0; i < l->n_paths; i++)
                if (!memchr(l->paths[i], '\0', sizeof(l->paths[i])) || !library_path_is_valid(l->paths[i]))
                        return -EINVAL;
        return 0;
}

static int check_options(const void *packet) {
        const HelperOptions *o = packet;
        const TableOptions options = { .mark_mask = o->conntrack_mark_mask };

        return table_options_valid(&options) && o->deny_drop <= 1 && o->failure_open <= 1 && o->reserved == 0 ? 0 : -EINVAL;
}

static int check_record(const void *packet) {
        const HelperRecord *r = packet;
        int k = record_check(r);

        return k < 0 ? k : unit_valid(r->unit, true) ? 0 : -EINVAL;
}

static const struct {
        RequestShape shape;
        int (*check)(const void *packet);
} shapes[_HELPER_TYPE_MAX] = {
        [HELPER_HELLO] = { { "hello", sizeof(HelperHello), 0, false }, check_hello },
        [HELPER_LIST_UNITS] = { { "list-units", sizeof(HelperRequest), 0, false }, check_request },
        [HELPER_GET_UNIT] = { { "get-unit", sizeof(HelperRequest), 0, true }, check_request },
        [HELPER_OPEN_UNIT_FILES] = { { "open-unit-files", sizeof(HelperRequest), 0, true }, check_request },
        [HELPER_CLOSE_UNIT] = { { "close-unit", sizeof(HelperUnitRequest), 0, false }, check_unit_request },
        [HELPER_ENFORCE_UNIT] = { { "enforce-unit", sizeof(HelperUnitRequest), 0, false }, check_unit_request },
        [HELPER_RELEASE_UNIT] = { { "release-unit", sizeof(HelperRelease), 0, true }, check_release },
        [HELPER_ACL_ADD] = { { "acl-add", sizeof(HelperAcl), 0, true }, check_acl },
        [HELPER_PROFILE_REMOVE] = { { "profile-remove", sizeof(HelperAcl), 0, false }, check_acl },
        [HELPER_NETWORK_ADD] = { { "network-add", sizeof(HelperNetwork), 0, true }, check_network },
        [HELPER_NETWORK_SET] = { { "network-set", sizeof(HelperNetwork), 0, false }, check_network },
        [HELPER_LOCAL_ACCEPT] = { { "local-accept", sizeof(HelperLocal), 0, false }, check_local },
        [HELPER_LOCAL_FORGET] = { { "local-forget", sizeof(HelperLocal), 0, false }, check_local },
        [HELPER_ATTACH_DONE] = { { "attach-done", sizeof(HelperUnitRequest), 0, false }, check_unit_request },
        [HELPER_LIST_SOCKETS] = { { "list-sockets", sizeof(HelperSocketList), 0, true }, check_socket_list },
        [HELPER_CUT_SOCKET] = { { "cut-socket", sizeof(HelperSocket), 0, false }, check_socket },
        [HELPER_CUT_FLOW] = { { "cut-flow", sizeof(HelperSocket), 0, false }, check_socket },
        [HELPER_START_SCOPE] = { { "start-scope", sizeof(HelperScope), 1, false }, check_scope },
        [HELPER_DISARM] = { { "disarm", sizeof(HelperRequest), 0, false }, check_request },
        [HELPER_ARM] = { { "arm", sizeof(HelperRequest), 0, false }, check_request },
        [HELPER_SET_OPTIONS] = { { "set-options", sizeof(HelperOptions), 0, false }, check_options },
        [HELPER_GET_STATE] = { { "get-state", sizeof(HelperRequest), 0, true }, check_request },
        [HELPER_LIST_PLUGINS] = { { "list-plugins", sizeof(HelperRequest), 0, true }, check_request },
        [HELPER_RUN_PLUGIN] = { { "run-plugin", sizeof(HelperPlugin), 0, false }, check_plugin },
        [HELPER_GET_IDENTITY] = { { "get-identity", sizeof(HelperRequest), 0, true }, check_request },
        [HELPER_LIST_CGROUPS] = { { "list-cgroups", sizeof(HelperRequest), 0, false }, check_request },
        [HELPER_OPEN_LIBRARY] = { { "open-library", sizeof(HelperLibrary), 0, true }, check_library },
        [HELPER_RECORD] = { { "record", sizeof(HelperRecord), 0, true }, check_record },
};

const RequestShape *request_shape(uint32_t type) {
        return type < ELEMENTSOF(shapes) && shapes[type].check ? &shapes[type].shape : NULL;
}

int request_check(const void *packet, size_t size, size_t n_fds) {
        const HelperHeader *h = packet;
        const RequestShape *shape;

        if (size < sizeof(*h))
                return -EBADMSG;
        shape = request_shape(h->type);
        if (!shape || shape->size != size || shape->n_fds != n_fds || (h->serial == 0 && h->type != HELPER_HELLO))
                return -EBADMSG;
        return shapes[h->type].check(packet);
}

/* ---- address sets ---- */

static int ports_set(Box *box, uint16_t first, uint16_t last) {
        if (first > last)
                return -EINVAL;
        box_range_from_numbers(&box->range[BOX_PORT], first, last);
        return 0;
}

int request_box_of_acl(const HelperAcl *acl, Box *ret) {
        static const BoxKind from[] = { BOX_ACCEPT_FROM, BOX_REJECT_FROM, BOX_LOG_FROM }, to[] = { BOX_CONNECT_TO, BOX_REJECT_TO, BOX_LOG_TO };
        Box box = { .profile = acl->profile, .family = acl->family };
        int k;

        if (acl->profile < 1 || acl->profile > PROFILE_MAX || acl->action > 2 || acl->reserved != 0)
                return -EINVAL;
        if (acl->direction == HELPER_ACL_ACCEPT_FROM)
                box.kind = from[acl->action];
        else if (acl->direction == HELPER_ACL_CONNECT_TO)
                box.kind = to[acl->action];
        else
                return -EINVAL;
        if (acl->protocol != IPPROTO_TCP && acl->protocol != IPPROTO_UDP && acl->protocol != (acl->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
                return -EINVAL;
        box_range_from_numbers(&box.range[BOX_PROTOCOL], (uint16_t) acl->protocol, (uint16_t) acl->protocol);
        k = box_range_from_prefix(&box.range[BOX_ADDRESS], acl->family, &acl->address, acl->prefix_len);
        if (k >= 0)
                k = ports_set(&box, acl->port_first, acl->port_last);
        if (k < 0)
                return k;
        *ret = box;
        return 0;
}

int request_box_of_network(const HelperNetwork *network, Box *ret) {
        static const BoxKind kinds[] = { [HELPER_NETWORK_TARGET] = BOX_TARGET, [HELPER_NETWORK_EXCLUDED] = BOX_EXCLUDED, [HELPER_NETWORK_FAILSAFE] = BOX_FAILSAFE };
        Box box = { .family = network->family };
        int k;

        if (network->kind < HELPER_NETWORK_TARGET || network->kind > HELPER_NETWORK_FAILSAFE || network->protocol > UINT8_MAX || network->reserved != 0)
                return -EINVAL;
        box.kind = kinds[network->kind];
        k = box_range_from_prefix(&box.range[BOX_ADDRESS], network->family, &network->address, network->prefix_len);
        if (k < 0)
                return k;
        box_range_from_numbers(&box.range[BOX_PROTOCOL], 0, UINT8_MAX);
        box_range_from_numbers(&box.range[BOX_PORT], 0, UINT16_MAX);
        if (network->kind == HELPER_NETWORK_FAILSAFE) {
                if (network->protocol != 0)
                        box_range_from_numbers(&box.range[BOX_PROTOCOL], (uint16_t) network->protocol, (uint16_t) network->protocol);
                k = ports_set(&box, network->port_first, network->port_last);
        }
        if (k < 0)
                return k;
        *ret = box;
        return 0;
}
