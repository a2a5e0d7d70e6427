/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/flows.h"

#include <arpa/inet.h>

static void flow_clear(Flow *f) {
        free(f->unit);
        free(f->peer_unit);
        free(f->peer_labels);
        *f = (Flow) {};
}

void flow_log_done(FlowLog *l) {
        for (size_t i = 0; l->flows && i < FLOWS_MAX; i++)
                flow_clear(&l->flows[i]);
        free(l->flows);
        *l = (FlowLog) {};
}

const Flow *flow_log_add(FlowLog *l, Flow *f) {
        Flow *slot;

        if (!l->flows)
                l->flows = calloc(FLOWS_MAX, sizeof(Flow));
        if (!l->flows) {
                flow_clear(f);
                return NULL;
        }
        f->serial = ++l->last_serial;
        slot = &l->flows[f->serial % FLOWS_MAX];
        flow_clear(slot);
        *slot = *f;
        *f = (Flow) {};
        if (slot->record.verdict < ELEMENTSOF(l->n_by_verdict))
                l->n_by_verdict[slot->record.verdict]++;
        return slot;
}

uint64_t flow_log_first(const FlowLog *l) {
        return l->last_serial >= FLOWS_MAX ? l->last_serial - FLOWS_MAX + 1 : 1;
}

const Flow *flow_log_get(const FlowLog *l, uint64_t serial) {
        if (!l->flows || serial < flow_log_first(l) || serial > l->last_serial)
                return NULL;
        return &l->flows[serial % FLOWS_MAX];
}

const char *flow_verdict_to_string(uint8_t verdict) {
        switch (verdict) {
        case DATAPATH_FLOW_ACCEPT: return "accept";
        case DATAPATH_FLOW_WOULD_REJECT: return "would-reject";
        default: return "reject";
        }
}

const char *protocol_to_string(uint8_t protocol) {
        switch (protocol) {
        case IPPROTO_TCP: return "tcp";
        case IPPROTO_UDP: return "udp";
        case IPPROTO_ICMP: return "icmp";
        case IPPROTO_ICMPV6: return "icmp6";
        default: return "other";
        }
}

void address_to_string(uint8_t family, const struct in6_addr *a, char ret[static INET6_ADDRSTRLEN]) {
        if (!inet_ntop(family == AF_INET ? AF_INET : AF_INET6, family == AF_INET ? (const void *) &a->s6_addr[12] : a, ret, INET6_ADDRSTRLEN))
                ret[0] = 0;
}
