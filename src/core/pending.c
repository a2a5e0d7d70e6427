/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Questions are few, and looked up by walking them; packets are linked to their question by number plus one, free ones to each other. */

#include <errno.h>

#include "core/pending.h"

typedef struct Question {
        uint32_t serial;               /* 0: this place is free */
        uint32_t first, last;          /* packets, in order of arrival */
        bool known;
        struct in6_addr source;        /* not known: whence it came */
        usec_t expires_usec;
        DatapathResolve resolve;
} Question;

struct PendingSet {
        uint32_t serial;               /* last one given */
        uint32_t n_questions, n_unknown, n_touched, free;
        Question questions[PENDING_QUESTIONS_MAX];
        PendingPacket packets[PENDING_PACKETS_MAX];
};

int pending_set_new(PendingSet **ret) {
        PendingSet *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

PendingSet *pending_set_free(PendingSet *s) {
        free(s);
        return NULL;
}

static bool same_question(const DatapathResolve *a, const DatapathResolve *b) {
        return a->direction == b->direction && a->unit == b->unit && a->client == b->client && a->port == b->port && a->family == b->family &&
               memcmp(&a->address, &b->address, sizeof(a->address)) == 0 && memcmp(a->our_dh, b->our_dh, sizeof(a->our_dh)) == 0 &&
               a->token_len == b->token_len && memcmp(a->token, b->token, a->token_len) == 0;
}

static Question *question_find(PendingSet *s, const DatapathResolve *resolve) {
        for (size_t i = 0; i < PENDING_QUESTIONS_MAX; i++)
                if (s->questions[i].serial != 0 && same_question(&s->questions[i].resolve, resolve))
                        return &s->questions[i];
        return NULL;
}

static Question *question_by_serial(const PendingSet *s, uint32_t serial) {
        for (size_t i = 0; serial != 0 && i < PENDING_QUESTIONS_MAX; i++)
                if (s->questions[i].serial == serial)
                        return (Question *) &s->questions[i];
        return NULL;
}

static bool same_source(const struct in6_addr *a, const struct in6_addr *b) {
        return memcmp(a, b, IN6_IS_ADDR_V4MAPPED(a) ? sizeof(*a) : 8) == 0;
}

static bool has_room_for(const PendingSet *s, const struct in6_addr *stranger) {
        uint32_t n = 0;

        if (s->n_questions == PENDING_QUESTIONS_MAX)
                return false;
        if (!stranger)
                return true;
        for (size_t i = 0; i < PENDING_QUESTIONS_MAX; i++)
                n += s->questions[i].serial != 0 && !s->questions[i].known && same_source(stranger, &s->questions[i].source);
        return s->n_unknown < PENDING_UNKNOWN_MAX && n < PENDING_SOURCE_MAX;
}

static Question *question_add(PendingSet *s, const DatapathResolve *resolve, const struct in6_addr *stranger, usec_t now) {
        Question *q = s->questions;

        if (!has_room_for(s, stranger))
                return NULL;
        while (q->serial != 0)
                q++;
        if (++s->serial == 0)
                s->serial = 1;
        *q = (Question) { .serial = s->serial, .known = !stranger, .expires_usec = now + PENDING_USEC };
        if (stranger)
                q->source = *stranger;
        memcpy(&q->resolve, resolve, sizeof(q->resolve));
        q->resolve.header.serial = q->serial;
        s->n_questions++;
        s->n_unknown += !q->known;
        return q;
}

static uint32_t packet_new(PendingSet *s) {
        uint32_t link = s->free;

        if (link != 0)
                s->free = s->packets[link - 1].next;
        else if (s->n_touched < PENDING_PACKETS_MAX)
                link = ++s->n_touched;
        return link;
}

int pending_set_add(PendingSet *s, const DatapathResolve *question, const struct in6_addr *stranger, const QueueMsg *msg, usec_t now,
                    uint32_t *ret_serial) {
        bool room = s->free != 0 || s->n_touched < PENDING_PACKETS_MAX;
        PendingPacket *p;
        uint32_t link;
        Question *q;
        int r = 0;

        if (msg->payload_len > sizeof(p->data))
                return -EMSGSIZE;
        q = room ? question_find(s, question) : NULL;
        if (!q && room) {
                q = question_add(s, question, stranger, now);
                r = 1;
        }
        if (!q)
                return -ENOBUFS;
        link = packet_new(s);
        p = &s->packets[link - 1];
        p->question = q->serial;
        p->next = 0;
        p->msg = *msg;
        memcpy(p->data, msg->payload, msg->payload_len);
        if (q->last != 0)
                s->packets[q->last - 1].next = link;
        else
                q->first = link;
        q->last = link;
        *ret_serial = q->serial;
        return r;
}

const DatapathResolve *pending_set_question(const PendingSet *s, uint32_t serial) {
        const Question *q = question_by_serial(s, serial);

        return q ? &q->resolve : NULL;
}

int pending_set_take(PendingSet *s, uint32_t serial, PendingPacket *ret) {
        Question *q = question_by_serial(s, serial);
        uint32_t link;

        if (!q)
                return 0;
        link = q->first;
        if (link == 0) {
                s->n_questions--;
                s->n_unknown -= !q->known;
                q->serial = 0;
                return 0;
        }
        *ret = s->packets[link - 1];
        ret->msg.payload = ret->data;
        q->first = ret->next;
        if (q->first == 0)
                q->last = 0;
        s->packets[link - 1].next = s->free;
        s->free = link;
        return 1;
}

uint32_t pending_set_expired(const PendingSet *s, usec_t now) {
        for (size_t i = 0; i < PENDING_QUESTIONS_MAX; i++)
                if (s->questions[i].serial != 0 && s->questions[i].expires_usec <= now)
                        return s->questions[i].serial;
        return 0;
}

uint32_t pending_set_any(const PendingSet *s) {
        return pending_set_expired(s, USEC_INFINITY);
}

uint32_t pending_set_count(const PendingSet *s) {
        return s->n_questions;
}
