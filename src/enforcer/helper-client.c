/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/helper-client.h"

#include <errno.h>
#include <stdio.h>

#include "enforcer/bus.h"
#include "enforcer/cut.h"
#include "enforcer/datapath-client.h"
#include "enforcer/enforce.h"
#include "enforcer/identity-plugins.h"
#include "enforcer/settle.h"
#include "util/log.h"

static void *index_to_pointer(uint32_t index) {
        return (void *) (uintptr_t) index;
}

/* Messages of the link carry the manager with them. */
Manager *helper_manager(Link *l) {
        return link_userdata(l);
}

void helper_log_answer(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg && result < 0 && result != -ECONNRESET)
                log_warning_errno(result, "The helper refuses: %s", (const char *) userdata);
}

static int helper_send(Manager *m, void *message, size_t size, HelperType type, link_answer_t answer, void *userdata) {
        HelperHeader *header = message;

        if (!m->helper)
                return -ENOTCONN;
        header->type = type;
        return link_request(m->helper, message, size, -1, answer, userdata);
}

/* For what is told anew on the next connection: without one there is nothing to do. */
static void helper_tell(Manager *m, void *message, size_t size, HelperType type, const char *what) {
        int r = helper_send(m, message, size, type, helper_log_answer, (void *) what);

        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper: %s", what);
}

int helper_request(Manager *m, HelperType type, const char *unit, uint64_t usec, link_answer_t answer, void *userdata) {
        HelperRequest request = { .usec = usec };

        if (strlen(unit) >= sizeof(request.unit))
                return -ENAMETOOLONG;
        strcpy(request.unit, unit);
        return helper_send(m, &request, sizeof(request), type, answer, userdata);
}

int helper_open_library(Manager *m, const HelperLibrary *library, link_answer_t answer, void *userdata) {
        HelperLibrary request = *library;

        return helper_send(m, &request, sizeof(request), HELPER_OPEN_LIBRARY, answer, userdata);
}

int helper_run_plugin(Manager *m, const HelperPlugin *plugin, link_answer_t answer, void *userdata) {
        HelperPlugin request = *plugin;

        return helper_send(m, &request, sizeof(request), HELPER_RUN_PLUGIN, answer, userdata);
}

static HelperUnitRequest unit_request(const Unit *u) {
        HelperUnitRequest request = { .cgroup_id = u->info.cgroup_id, .index = u->index, .profile = u->profile ? u->profile->id : 0 };

        strcpy(request.unit, u->name);
        if (u->state == UNIT_DENIED)
                request.flags = REQUEST_UNIT_CLOSED;
        else if (u->state == UNIT_OBSERVING)
                request.flags = REQUEST_UNIT_OBSERVE;
        return request;
}

int helper_list_sockets(Manager *m, const Unit *u, link_answer_t answer, void *userdata) {
        HelperSocketList request = { .cgroup_id = u->info.cgroup_id, .tree = !!(u->info.flags & HELPER_UNIT_TREE) };

        (void) snprintf(request.cgroup, sizeof(request.cgroup), "%s", u->info.cgroup);
        return helper_send(m, &request, sizeof(request), HELPER_LIST_SOCKETS, answer, userdata);
}

int helper_enforce(Manager *m, const Unit *u, link_answer_t answer) {
        HelperUnitRequest request = unit_request(u);

        return helper_send(m, &request, sizeof(request), HELPER_ENFORCE_UNIT, answer, index_to_pointer(u->index));
}

int helper_close(Manager *m, const Unit *u, link_answer_t answer) {
        HelperUnitRequest request = unit_request(u);

        return helper_send(m, &request, sizeof(request), HELPER_CLOSE_UNIT, answer, index_to_pointer(u->index));
}

int helper_release(Manager *m, const Unit *u, link_answer_t answer) {
        HelperRelease request = { .cgroup_id = u->info.cgroup_id, .index = u->index, .flags = u->info.flags & HELPER_UNIT_TREE ? HELPER_RELEASE_TREE : 0 };

        strcpy(request.unit, u->name);
        (void) snprintf(request.cgroup, sizeof(request.cgroup), "%s", u->info.cgroup);
        return helper_send(m, &request, sizeof(request), HELPER_RELEASE_UNIT, answer, index_to_pointer(u->index));
}

int helper_let_go(Manager *m, const char *unit, uint64_t cgroup_id, link_answer_t answer) {
        HelperRelease request = { .cgroup_id = cgroup_id, .flags = HELPER_RELEASE_UNLABELLED };

        (void) snprintf(request.unit, sizeof(request.unit), "%s", unit);
        return helper_send(m, &request, sizeof(request), HELPER_RELEASE_UNIT, answer, NULL);
}

void helper_attach_done(Manager *m, const char *unit, int result, const char *reason) {
        HelperUnitRequest request = { .result = result };

        (void) snprintf(request.unit, sizeof(request.unit), "%s", unit);
        for (size_t i = 0; reason && reason[i] && i < sizeof(request.reason) - 1; i++)
                request.reason[i] = reason[i] >= 0x20 && reason[i] < 0x7f ? reason[i] : '?';
        helper_tell(m, &request, sizeof(request), HELPER_ATTACH_DONE, "release of an attach client");
}

void helper_local_accept(Manager *m, uint32_t client, uint32_t server, uint16_t port) {
        HelperLocal request = { .client = client, .server = server, .port = port };

        helper_tell(m, &request, sizeof(request), HELPER_LOCAL_ACCEPT, "two local units may talk");
}

void helper_local_forget(Manager *m, uint32_t index) {
        HelperLocal as_client = { .client = index }, as_server = { .server = index };

        helper_tell(m, &as_client, sizeof(as_client), HELPER_LOCAL_FORGET, "forget what local units may");
        if (index != 0)
                helper_tell(m, &as_server, sizeof(as_server), HELPER_LOCAL_FORGET, "forget what local units may");
}

static void send_network(Manager *m, HelperNetworkKind kind, const IpNetwork *n, const AclEntry *acl) {
        HelperNetwork request = { .kind = kind, .family = n->family, .address = n->address, .prefix_len = n->prefix_len, .port_last = 65535 };

        if (acl) {
                request.protocol = acl->protocol;
                request.port_first = acl->port_first;
                request.port_last = acl->port_last;
        }
        helper_tell(m, &request, sizeof(request), HELPER_NETWORK_ADD, "add a network of the configuration");
}

static void send_networks(Manager *m, HelperNetworkKind kind, const NetworkList *networks, const AclList *acls) {
        for (size_t i = 0; networks && i < networks->n_networks; i++)
                send_network(m, kind, &networks->networks[i], NULL);
        for (size_t i = 0; acls && i < acls->n_entries; i++)
                send_network(m, kind, &acls->entries[i].network, &acls->entries[i]);
}

/* The networks in force stay until all are there: a moment without target networks would refuse who may connect, one without the excluded show them a token. */
void helper_send_config(Manager *m) {
        HelperNetwork set = { .kind = HELPER_NETWORK_ALL };
        HelperOptions options = {
                .conntrack_mark_mask = m->config.conntrack_mark_mask,
                .deny_drop = m->config.deny_drop,
                .failure_open = m->config.failure_open,
        };

        helper_tell(m, &options, sizeof(options), HELPER_SET_OPTIONS, "set options");
        send_networks(m, HELPER_NETWORK_TARGET, &m->config.target_networks, NULL);
        send_networks(m, HELPER_NETWORK_EXCLUDED, &m->config.excluded_networks, NULL);
        send_networks(m, HELPER_NETWORK_FAILSAFE, NULL, &m->config.failsafe_accept_from);
        helper_tell(m, &set, sizeof(set), HELPER_NETWORK_SET, "set the networks of the configuration");
}

static void on_list(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);

        if (msg) {
                if (msg->header->type == HELPER_UNIT && msg->len == sizeof(HelperUnit))
                        enforce_evaluate(m, (const HelperUnit *) msg->header, false);
                return;
        }
        m->listing = false;
        if (result == -ECONNRESET) {
                m->list_again = false; /* the next helper is asked anyway */
                return;
        }
        if (result < 0) {
                log_error_errno(result, "The helper cannot list the units");
                manager_list_again(m);
                manager_check_settled(m, false);
                return;
        }
        m->list_ended = m->units.listing;
        enforce_listed(m);
        if (m->list_again)
                helper_list_units(m);
}

bool helper_looks_again(const Manager *m) {
        return m->listing || sd_event_source_get_enabled(m->list_timer, NULL) > 0;
}

void helper_list_units(Manager *m) {
        int r;

        m->list_again = m->listing;
        if (m->listing)
                return;
        m->units.listing++;
        r = helper_request(m, HELPER_LIST_UNITS, "", 0, on_list, NULL);
        m->listing = r >= 0;
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask for the list of units");
}

static void on_state(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        bool disarmed = m->helper_state.disarmed_until_usec > 0;

        if (!msg || msg->header->type != HELPER_STATE || msg->len != sizeof(HelperState))
                return;
        m->helper_state = *(const HelperState *) msg->header;
        if (disarmed && m->helper_state.disarmed_until_usec == 0)
                cut_all(m);
}

static void helper_hello(Manager *m, const HelperHello *hello) {
        if (m->helper_ready)
                return;
        if (hello->version != HELPER_PROTOCOL_VERSION) {
                log_error("The helper speaks version %u, we speak %u; restart both", hello->version, HELPER_PROTOCOL_VERSION);
                return;
        }
        m->helper_ready = true;
        m->listed = false;
        log_info("Connected to the helper");
        strays_ask(m);
        helper_send_config(m);
        helper_local_forget(m, 0);
        datapath_forget(m, DATAPATH_FORGET_DECISIONS, 0);
        profiles_send(m);
        if (helper_request(m, HELPER_GET_STATE, "", 0, on_state, NULL) < 0)
                log_warning("Cannot ask the helper for its state");
        plugins_list(m);
        helper_list_units(m);
        manager_set_ready(m);
        bus_emit_changed(m, "Connected");
}

static void helper_unit_event(Manager *m, const HelperUnit *info) {
        switch (info->header.type) {
        case HELPER_ATTACH:
                enforce_evaluate(m, info, true);
                break;
        case HELPER_UNIT_GONE:
                enforce_gone(m, info);
                break;
        default:
                enforce_event(m, info);
        }
}

static void on_message(Link *l, const LinkMessage *msg, void *userdata) {
        Manager *m = userdata;

        switch (msg->header->type) {
        case HELPER_HELLO:
                if (msg->len == sizeof(HelperHello))
                        helper_hello(m, (const HelperHello *) msg->header);
                break;
        case HELPER_UNIT:
        case HELPER_UNIT_GONE:
        case HELPER_ATTACH:
                if (msg->len == sizeof(HelperUnit) && m->helper_ready)
                        helper_unit_event(m, (const HelperUnit *) msg->header);
                break;
        case HELPER_RELOADED:
                manager_reload_policies(m);
                helper_list_units(m);
                break;
        case HELPER_STATE:
                on_state(l, msg, 0, NULL);
                bus_emit_changed(m, "Armed");
                manager_update_status(m);
                break;
        default:
                log_debug("The helper says something we do not know (%u)", msg->header->type);
        }
}

static void on_link_state(Link *l, bool connected, void *userdata) {
        HelperHello hello = { .header.type = HELPER_HELLO, .version = HELPER_PROTOCOL_VERSION };
        Manager *m = userdata;
        int r;

        m->helper_ready = false;
        if (!connected) {
                settle_restart(m);
                bus_emit_changed(m, "Connected");
                manager_update_status(m);
                return;
        }
        r = link_send(l, &hello, sizeof(hello), -1);
        if (r < 0)
                log_error_errno(r, "Cannot greet the helper");
}

int helper_client_start(Manager *m, int fd) {
        const LinkConfig config = {
                .name = "the helper", .path = HELPER_SOCKET_PATH, .message_max = sizeof(HelperUnitFiles),
                .reply_type = HELPER_REPLY, .on_message = on_message, .on_state = on_link_state, .userdata = m,
        };

        return fd >= 0 ? link_new_fd(m->event, &config, fd, &m->helper) : link_new(m->event, &config, &m->helper);
}
