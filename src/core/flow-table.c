/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "core/flow-table.h"
#include "core/table.h"

typedef struct OwnerKey {
        struct in6_addr owner;
        uint32_t class;
} OwnerKey;

struct FlowTable {
        Table *half_open;      /* has room for all classes together */
        Table *owners;         /* how many flows each has in a class */
        uint32_t n_half_open[_FLOW_CLASS_MAX];
        Table *released;
};

static const struct { uint32_t all, owner; } class_max[_FLOW_CLASS_MAX] = {
        [FLOW_CLASS_LOCAL] = { FLOW_LOCAL_MAX, FLOW_LOCAL_UNIT_MAX },
        [FLOW_CLASS_KNOWN] = { FLOW_KNOWN_MAX, FLOW_KNOWN_ADDRESS_MAX },
        [FLOW_CLASS_UNKNOWN] = { FLOW_UNKNOWN_MAX, FLOW_UNKNOWN_ADDRESS_MAX },
};

int flow_table_new(const uint8_t seed[static 16], FlowTable **ret) {
        _cleanup_(flow_table_freep) FlowTable *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        r = table_new(FLOW_LOCAL_MAX + FLOW_KNOWN_MAX + FLOW_UNKNOWN_MAX, sizeof(FlowKey), sizeof(Flow), seed, &t->half_open);
        if (r >= 0)
                r = table_new(FLOW_LOCAL_MAX + FLOW_KNOWN_MAX + FLOW_UNKNOWN_MAX, sizeof(OwnerKey), sizeof(uint32_t), seed, &t->owners);
        if (r >= 0)
                r = table_new(FLOW_RELEASED_MAX, sizeof(FlowKey), sizeof(Released), seed, &t->released);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

FlowTable *flow_table_free(FlowTable *t) {
        Flow *f;

        if (!t)
                return NULL;
        while (t->half_open && (f = table_first(t->half_open)))
                flow_table_remove(t, f);
        table_free(t->half_open);
        table_free(t->owners);
        table_free(t->released);
        free(t);
        return NULL;
}

FlowKey flow_key(const Endpoints *e, FlowRole role) {
        return (FlowKey) {
                .client = e->client,
                .server = e->server,
                .client_port = e->client_port,
                .server_port = e->server_port,
                .role = role,
        };
}

Flow *flow_table_get(FlowTable *t, const FlowKey *key, usec_t now) {
        Flow *f = table_get(t->half_open, key);

        return f && f->expires_usec > now ? f : NULL;
}

struct in6_addr flow_owner_address(const struct in6_addr *address) {
        struct in6_addr owner = *address;

        if (!IN6_IS_ADDR_V4MAPPED(address)) /* whoever has one address of a network of 64 bits has all */
                memset(owner.s6_addr + 8, 0, 8);
        return owner;
}

struct in6_addr flow_owner_unit(uint32_t unit) {
        struct in6_addr owner = {};

        memcpy(owner.s6_addr, &unit, sizeof(unit));
        return owner;
}

Flow *flow_table_add(FlowTable *t, const FlowKey *key, FlowClass class, const struct in6_addr *owner, usec_t now) {
        const OwnerKey owner_key = { .owner = *owner, .class = class };
        Flow *f = table_get(t->half_open, key);
        uint32_t *n_owned;

        if (f)
                flow_table_remove(t, f);
        n_owned = table_get(t->owners, &owner_key);
        if (t->n_half_open[class] == class_max[class].all || (n_owned && *n_owned == class_max[class].owner))
                return NULL;
        if (!n_owned) /* has as much room as there can be flows */
                n_owned = table_add(t->owners, &owner_key);
        f = table_add(t->half_open, key);
        ++*n_owned;
        t->n_half_open[class]++;
        f->class = class;
        f->owner = *owner;
        f->expires_usec = now + FLOW_HALF_OPEN_USEC;
        return f;
}

void flow_table_renew(FlowTable *t, Flow *flow, usec_t now) {
        flow->expires_usec = now + FLOW_HALF_OPEN_USEC;
        table_touch(t->half_open, flow);
}

static void owner_leave(FlowTable *t, const Flow *flow) {
        const OwnerKey key = { .owner = flow->owner, .class = flow->class };
        uint32_t *n_owned = table_get(t->owners, &key);

        if (--*n_owned == 0)
                table_remove(t->owners, n_owned);
}

void flow_table_remove(FlowTable *t, Flow *flow) {
        mac_key_free(flow->syn_ack_key);
        mac_key_free(flow->ack_key);
        owner_leave(t, flow);
        t->n_half_open[flow->class]--;
        table_remove(t->half_open, flow);
}

Flow *flow_table_expired(FlowTable *t, usec_t now) {
        Flow *f = table_first(t->half_open);

        return f && f->expires_usec <= now ? f : NULL;
}

Released *flow_table_get_released(FlowTable *t, const FlowKey *key, usec_t now) {
        Released *r = table_get(t->released, key);

        return r && r->expires_usec > now ? r : NULL;
}

/* Two go for each that comes, so that memory is used anew before more of it is touched. */
static void released_sweep(FlowTable *t, usec_t now) {
        for (size_t i = 0; i < 2; i++) {
                Released *r = table_first(t->released);

                if (r && r->expires_usec <= now)
                        table_remove(t->released, r);
        }
}

Released *flow_table_release(FlowTable *t, const FlowKey *key, Flow *flow, usec_t now) {
        Released *r;

        flow_table_forget_released(t, key);
        released_sweep(t, now);
        if (table_count(t->released) == FLOW_RELEASED_MAX)
                table_remove(t->released, table_first(t->released));
        r = table_add(t->released, key);
        r->expires_usec = now + FLOW_RELEASED_USEC;
        r->client_isn = flow->endpoints.client_isn;
        r->server_isn = flow->endpoints.server_isn;
        memcpy(r->peer_nonce, flow->peer_nonce, sizeof(r->peer_nonce));
        if (key->role == FLOW_CLIENT)
                memcpy(r->ack, flow->message, sizeof(r->ack));
        flow_table_remove(t, flow);
        return r;
}

void flow_table_forget_released(FlowTable *t, const FlowKey *key) {
        Released *r = table_get(t->released, key);

        if (r)
                table_remove(t->released, r);
}

uint32_t flow_table_count(const FlowTable *t) {
        return (uint32_t) table_count(t->half_open);
}
