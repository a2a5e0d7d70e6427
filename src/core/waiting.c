/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Nearly always empty, and never long: packets stand in order of arrival and are looked up by walking them. */

#include <errno.h>

#include "core/waiting.h"

typedef struct Waiting {
        WaitKey key;
        usec_t until_usec;
        PendingPacket packet;
} Waiting;

struct WaitSet {
        size_t n;
        Waiting *order[WAIT_PACKETS_MAX]; /* those that wait, oldest first; behind them the free ones */
        Waiting places[WAIT_PACKETS_MAX];
};

int wait_set_new(WaitSet **ret) {
        WaitSet *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        for (size_t i = 0; i < WAIT_PACKETS_MAX; i++)
                s->order[i] = &s->places[i];
        *ret = s;
        return 0;
}

WaitSet *wait_set_free(WaitSet *s) {
        free(s);
        return NULL;
}

static bool same_key(const WaitKey *a, const WaitKey *b) {
        return a->unit == b->unit && memcmp(&a->flow, &b->flow, sizeof(a->flow)) == 0;
}

bool wait_set_add(WaitSet *s, const WaitKey *key, const QueueMsg *msg, usec_t now) {
        size_t same = 0;
        Waiting *w;

        for (size_t i = 0; i < s->n; i++)
                same += same_key(&s->order[i]->key, key);
        if (s->n == WAIT_PACKETS_MAX || same == (key->unit != 0 ? WAIT_UNIT_MAX : WAIT_PROOF_MAX) || msg->payload_len > sizeof(w->packet.data))
                return false;
        w = s->order[s->n++];
        w->key = *key;
        w->until_usec = now + (key->unit != 0 ? WAIT_UNIT_USEC : WAIT_PROOF_USEC);
        w->packet.msg = *msg;
        memcpy(w->packet.data, msg->payload, msg->payload_len);
        return true;
}

static bool take(WaitSet *s, size_t i, PendingPacket *ret) {
        Waiting *w = s->order[i];

        *ret = w->packet;
        ret->msg.payload = ret->data;
        s->n--;
        memmove(&s->order[i], &s->order[i + 1], (s->n - i) * sizeof(s->order[0]));
        s->order[s->n] = w;
        return true;
}

bool wait_set_take(WaitSet *s, const WaitKey *key, PendingPacket *ret) {
        for (size_t i = 0; i < s->n; i++)
                if (same_key(&s->order[i]->key, key))
                        return take(s, i, ret);
        return false;
}

bool wait_set_take_expired(WaitSet *s, usec_t now, PendingPacket *ret) {
        for (size_t i = 0; i < s->n; i++)
                if (s->order[i]->until_usec <= now)
                        return take(s, i, ret);
        return false;
}

usec_t wait_set_next_usec(const WaitSet *s) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < s->n; i++)
                next = MIN(next, s->order[i]->until_usec);
        return next;
}
