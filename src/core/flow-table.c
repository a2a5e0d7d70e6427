/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "core/flow-table.h"
#include "core/table.h"

struct FlowTable {
        Table *half_open[_FLOW_CLASS_MAX];
        Table *released;
};

int flow_table_new(const uint8_t seed[static 16], FlowTable **ret) {
        static const size_t capacity[_FLOW_CLASS_MAX] = {
                [FLOW_CLASS_LOCAL] = FLOW_LOCAL_MAX,
                [FLOW_CLASS_KNOWN] = FLOW_KNOWN_MAX,
                [FLOW_CLASS_UNKNOWN] = FLOW_UNKNOWN_MAX,
        };
        _cleanup_(flow_table_freep) FlowTable *t = calloc(1, sizeof(*t));
        int r = 0;

        if (!t)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < _FLOW_CLASS_MAX; i++)
                r = table_new(capacity[i], sizeof(FlowKey), sizeof(Flow), seed, &t->half_open[i]);
        if (r >= 0)
                r = table_new(FLOW_RELEASED_MAX, sizeof(FlowKey), sizeof(Released), seed, &t->released);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

static void remove_half_open(Table *t, Flow *f) {
        mac_key_free(f->syn_ack_key);
        mac_key_free(f->ack_key);
        table_remove(t, f);
}

FlowTable *flow_table_free(FlowTable *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < _FLOW_CLASS_MAX; i++) {
                Flow *f;

                while (t->half_open[i] && (f = table_first(t->half_open[i])))
                        remove_half_open(t->half_open[i], f);
                table_free(t->half_open[i]);
        }
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
        for (size_t i = 0; i < _FLOW_CLASS_MAX; i++) {
                Flow *f = table_get(t->half_open[i], key);

                if (f)
                        return f->expires_usec > now ? f : NULL;
        }
        return NULL;
}

Flow *flow_table_add(FlowTable *t, const FlowKey *key, FlowClass class, usec_t now) {
        Flow *f;

        /* One whose time is over may still be there: the sweep comes only now and then. */
        for (size_t i = 0; i < _FLOW_CLASS_MAX; i++) {
                f = table_get(t->half_open[i], key);
                if (f)
                        remove_half_open(t->half_open[i], f);
        }
        f = table_add(t->half_open[class], key);
        if (!f)
                return NULL;
        f->class = class;
        f->expires_usec = now + FLOW_HALF_OPEN_USEC;
        return f;
}

void flow_table_renew(FlowTable *t, Flow *flow, usec_t now) {
        flow->expires_usec = now + FLOW_HALF_OPEN_USEC;
        table_touch(t->half_open[flow->class], flow);
}

void flow_table_remove(FlowTable *t, Flow *flow) {
        remove_half_open(t->half_open[flow->class], flow);
}

Flow *flow_table_expired(FlowTable *t, usec_t now) {
        for (size_t i = 0; i < _FLOW_CLASS_MAX; i++) {
                Flow *f = table_first(t->half_open[i]);

                if (f && f->expires_usec <= now)
                        return f;
        }
        return NULL;
}

Released *flow_table_get_released(FlowTable *t, const FlowKey *key, usec_t now) {
        Released *r = table_get(t->released, key);

        return r && r->expires_usec > now ? r : NULL;
}

Released *flow_table_release(FlowTable *t, const FlowKey *key, Flow *flow, usec_t now) {
        Released *r;

        flow_table_forget_released(t, key);
        r = table_add(t->released, key);
        if (!r) {
                table_remove(t->released, table_first(t->released));
                r = table_add(t->released, key);
        }
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
        size_t n = 0;

        for (size_t i = 0; i < _FLOW_CLASS_MAX; i++)
                n += table_count(t->half_open[i]);
        return (uint32_t) n;
}
