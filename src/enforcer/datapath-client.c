/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/datapath-client.h"

#include <errno.h>

#include "enforcer/bus.h"
#include "enforcer/helper-client.h"
#include "enforcer/record.h"
#include "enforcer/verify-client.h"
#include "ipc/marks.h"
#include "util/log.h"

static void datapath_send(Manager *m, const void *message, size_t size) {
        int r;

        if (!m->datapath || !m->datapath_ready)
                return;
        r = link_send(m->datapath, message, size, -1);
        if (r < 0 && r != -ENOTCONN) /* the link notices a dead socket by itself and everything is told anew */
                log_error_errno(r, "Cannot tell the datapath");
}

static DatapathRange range_of(const AclEntry *e) {
        DatapathRange range = { .address = e->network.address, .port_first = e->port_first, .port_last = e->port_last, .prefix_len = e->network.prefix_len };

        if (e->network.family == AF_INET) { /* access lists have IPv4 in the first four bytes */
                range.address = (struct in6_addr) { .s6_addr = { [10] = 0xff, [11] = 0xff } };
                memcpy(range.address.s6_addr + 12, e->network.address.s6_addr, 4);
                range.prefix_len += 96;
        }
        return range;
}

void datapath_send_config(Manager *m) {
        const AclList *translated = &m->config.accept_translated_to;
        DatapathConfig config = {
                .header.type = DATAPATH_CONFIG,
                .conntrack_mark_mask = m->config.conntrack_mark_mask,
                .deny_drop = m->config.deny_drop,
                .require_direct_path = m->config.require_direct_path,
        };

        for (size_t i = 0; i < translated->n_entries; i++) {
                if (translated->entries[i].protocol == IPPROTO_UDP)
                        continue;
                if (config.n_translated == DATAPATH_TRANSLATED_MAX) {
                        log_error("AcceptTranslatedTo= names more than %u networks; the rest are refused", DATAPATH_TRANSLATED_MAX);
                        break;
                }
                config.translated[config.n_translated++] = range_of(&translated->entries[i]);
        }
        datapath_send(m, &config, sizeof(config));
}

void datapath_send_unit(Manager *m, const Unit *u) {
        DatapathUnit message = {
                .header.type = DATAPATH_UNIT,
                .cgroup_id = u->info.cgroup_id,
                .index = u->index,
                .flags = u->state == UNIT_DENIED ? REQUEST_UNIT_CLOSED : u->state == UNIT_OBSERVING ? REQUEST_UNIT_OBSERVE : 0,
                .token_expires_usec = u->token_expires_usec,
                .token_len = u->token_len,
        };

        memcpy(message.node_dh, u->token_own, sizeof(message.node_dh));
        if (u->token_len > 0)
                memcpy(message.token, u->token, u->token_len);
        datapath_send(m, &message, sizeof(message));
}

void datapath_send_gone(Manager *m, const Unit *u) {
        const DatapathUnit message = { .header.type = DATAPATH_UNIT_GONE, .cgroup_id = u->info.cgroup_id, .index = u->index };

        datapath_send(m, &message, sizeof(message));
}

void datapath_forget(Manager *m, uint32_t flags, uint32_t index) {
        const DatapathForget message = { .header.type = DATAPATH_FORGET, .flags = flags, .unit = index };

        datapath_send(m, &message, sizeof(message));
}

void datapath_check_synced(Manager *m) {
        const DatapathHeader synced = { .type = DATAPATH_SYNCED };

        if (m->datapath_synced || !m->datapath_ready || !m->listed || m->loads)
                return;
        m->datapath_synced = true;
        datapath_send(m, &synced, sizeof(synced));
}

static void datapath_hello(Manager *m, const DatapathHello *hello) {
        if (m->datapath_ready)
                return;
        if (hello->version != DATAPATH_PROTOCOL_VERSION) {
                log_error("The datapath speaks version %u, we speak %u; restart both", hello->version, DATAPATH_PROTOCOL_VERSION);
                return;
        }
        m->datapath_ready = true;
        m->datapath_synced = false;
        log_info("Connected to the datapath");
        datapath_send_config(m);
        datapath_forget(m, DATAPATH_FORGET_DECISIONS, 0);
        for (const Unit *u = m->units.first; u; u = u->next)
                datapath_send_unit(m, u);
        datapath_check_synced(m);
        bus_emit_changed(m, "Connected");
        manager_update_status(m);
}

void datapath_answer(Manager *m, const DatapathResolve *question) {
        const Resolver resolver = { .units = &m->units, .keys = m->keys, .certificates = m->certificates, .peers = m->peers, .numbers = m->numbers,
                                    .rules = m->rules, .clock = &m->clock };
        const PeerTime time = { .now_sec = (int64_t) (clock_realtime_usec() / USEC_PER_SEC), .now_usec = clock_boottime_usec() };
        DatapathResolved answer;
        int local_accept;

        resolve(&resolver, question, &time, &answer, &local_accept);
        datapath_send(m, &answer, sizeof(answer));
        if (local_accept)
                helper_local_accept(m, question->client, question->unit, local_accept == 2 ? question->port : 0);
        crypto_wipe(&answer.keys, sizeof(answer.keys));
}

static void on_question(Manager *m, const DatapathResolve *question) {
        if (!verify_client_wait(m, question))
                datapath_answer(m, question);
}

static void on_flows(Manager *m, const DatapathFlows *flows) {
        if (flows->n_flows > DATAPATH_FLOWS_MAX)
                return;
        m->n_flows_lost += flows->n_lost;
        for (uint32_t i = 0; i < flows->n_flows; i++)
                record_flow(m, &flows->flows[i]);
}

static void on_message(Link *l, const LinkMessage *msg, void *userdata) {
        Manager *m = userdata;

        switch (msg->header->type) {
        case DATAPATH_HELLO:
                if (msg->len == sizeof(DatapathHello))
                        datapath_hello(m, (const DatapathHello *) msg->header);
                break;
        case DATAPATH_RESOLVE:
                if (msg->len == sizeof(DatapathResolve) && m->datapath_ready)
                        on_question(m, (const DatapathResolve *) msg->header);
                break;
        case DATAPATH_FLOWS: /* only so many entries as it has are sent */
                if (msg->len >= offsetof(DatapathFlows, flows) &&
                    msg->len >= offsetof(DatapathFlows, flows) + ((const DatapathFlows *) msg->header)->n_flows * sizeof(DatapathFlow))
                        on_flows(m, (const DatapathFlows *) msg->header);
                break;
        case DATAPATH_COUNTERS:
                if (msg->len == sizeof(DatapathCounters))
                        m->counters = *(const DatapathCounters *) msg->header;
                break;
        default:
                log_debug("The datapath says something we do not know (%u)", msg->header->type);
        }
}

static void on_link_state(Link *l, bool connected, void *userdata) {
        const DatapathHello hello = { .header.type = DATAPATH_HELLO, .version = DATAPATH_PROTOCOL_VERSION };
        Manager *m = userdata;
        int r;

        m->datapath_ready = false;
        if (!connected) {
                bus_emit_changed(m, "Connected");
                manager_update_status(m);
                return;
        }
        r = link_send(l, &hello, sizeof(hello), -1);
        if (r < 0)
                log_error_errno(r, "Cannot greet the datapath");
}

int datapath_client_start(Manager *m, int fd) {
        const LinkConfig config = {
                .name = "the datapath", .path = DATAPATH_SOCKET_PATH, .message_max = sizeof(DatapathFlows),
                .on_message = on_message, .on_state = on_link_state, .userdata = m,
        };

        return fd >= 0 ? link_new_fd(m->event, &config, fd, &m->datapath) : link_new(m->event, &config, &m->datapath);
}
