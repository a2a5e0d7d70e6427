/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/record.h"

#include <errno.h>
#include <stdio.h>

#include "enforcer/bus.h"
#include "enforcer/cut.h"
#include "enforcer/decide.h"
#include "enforcer/helper-client.h"
#include "ipc/record.h"
#include "util/log.h"

/* Of one unit; the rest is counted and said with the next one. A flood shall not push the day's other entries out of the journal. */
#define JOURNAL_BURST 10u
#define JOURNAL_INTERVAL_USEC (10 * USEC_PER_SEC)

static void copy_clean(char *to, size_t size, const char *from) {
        size_t n = 0;

        for (; from && from[n] && n < size - 1; n++)
                to[n] = from[n] >= 0x20 && from[n] < 0x7f ? from[n] : '?';
        to[n] = 0;
}

static bool journal_may(Unit *u) {
        usec_t now_usec = clock_boottime_usec();

        if (now_usec >= u->journal_from_usec + JOURNAL_INTERVAL_USEC) {
                u->journal_from_usec = now_usec;
                u->journal_burst = 0;
        }
        if (u->journal_burst >= JOURNAL_BURST) {
                u->n_suppressed++;
                return false;
        }
        u->journal_burst++;
        return true;
}

static void on_recorded(Link *l, const LinkMessage *msg, int result, void *userdata) {
        _cleanup_free_ HelperRecord *record = userdata;
        int r;

        if (msg) {
                TAKE_PTR(record);
                return;
        }
        if (result >= 0)
                return;
        r = record_write(record, reason_explain(reason_from_string(record->reason))); /* under our own uid: journalctl -u does not show it, a search for its MESSAGE_ID does */
        if (r < 0)
                log_error_errno(r, "Cannot write to the journal");
}

static void journal_send(Manager *m, const HelperRecord *record) {
        HelperRecord *copy = malloc(sizeof(*copy));
        int r;

        if (!copy) {
                log_error("Out of memory for a journal entry");
                return;
        }
        *copy = *record;
        copy->header = (HelperHeader) { .type = HELPER_RECORD };
        r = m->helper_ready ? link_request(m->helper, copy, sizeof(*copy), -1, on_recorded, copy) : -ENOTCONN;
        if (r >= 0)
                return;
        r = record_write(copy, reason_explain(reason_from_string(copy->reason)));
        if (r < 0)
                log_error_errno(r, "Cannot write to the journal");
        free(copy);
}

static void journal_flow(Manager *m, Unit *u, const Flow *f) {
        const DatapathFlow *r = &f->record;
        HelperRecord record = {
                .kind = HELPER_RECORD_FLOW,
                .family = r->family,
                .protocol = r->protocol,
                .connect = r->direction == DATAPATH_CONNECT,
                .observed = r->verdict == DATAPATH_FLOW_WOULD_REJECT,
                .claimed = f->claimed,
                .logged = r->verdict == DATAPATH_FLOW_ACCEPT,
                .sport = r->sport,
                .dport = r->dport,
                .saddr = r->saddr,
                .daddr = r->daddr,
        };

        if (!journal_may(u))
                return;
        record.suppressed = (uint32_t) MIN(u->n_suppressed, (uint64_t) UINT32_MAX);
        u->n_suppressed = 0;
        copy_clean(record.unit, sizeof(record.unit), u->name);
        copy_clean(record.peer_unit, sizeof(record.peer_unit), f->peer_unit);
        copy_clean(record.reason, sizeof(record.reason), reason_to_string(r->reason));
        copy_clean(record.rule, sizeof(record.rule), names_string(m->rules, r->rule));
        copy_clean(record.text, sizeof(record.text), f->peer_labels);
        journal_send(m, &record);
}

void record_settings(Manager *m, const Unit *u) {
        HelperRecord record = { .kind = HELPER_RECORD_SETTINGS };

        copy_clean(record.unit, sizeof(record.unit), u->name);
        copy_clean(record.reason, sizeof(record.reason), reason_to_string(u->reason));
        copy_clean(record.text, sizeof(record.text), u->reason_text);
        journal_send(m, &record);
}

static const char *peer_unit_tag(const TagSet *tags) {
        size_t n;
        const Tag *t = tag_set_find(tags, "@sys:unit", &n);

        return n > 0 ? t->value : "";
}

/* Name of a local unit, also of one that has ended meanwhile. Newly allocated. */
static char *name_local(const Manager *m, uint32_t index) {
        const Unit *u = units_find_index(&m->units, index);
        const FormerUnit *former = u ? NULL : units_find_former(&m->units, index);

        return strdup(u ? u->name : former ? former->name : "");
}

static char *labels_local(const Manager *m, uint32_t index) {
        const Unit *u = units_find_index(&m->units, index);
        const FormerUnit *former = u ? NULL : units_find_former(&m->units, index);

        return u && u->policy ? tag_set_format(&u->policy->labels) : strdup(former ? former->labels : "");
}

/* Thousands of connections a second may have the same peer: its text is made once. */
static void peer_describe(Peer *peer) {
        TagSet labels = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < peer->tags.n_tags; i++)
                if (startswith(peer->tags.tags[i].key, TAG_LABEL_PREFIX))
                        r = tag_set_add(&labels, peer->tags.tags[i].key, peer->tags.tags[i].value);
        if (r >= 0 && !peer->unit_text)
                peer->unit_text = tag_escape(peer_unit_tag(&peer->tags));
        if (r >= 0 && !peer->labels_text)
                peer->labels_text = tag_set_format(&labels);
        tag_set_done(&labels);
}

static int flow_fill(Manager *m, const DatapathFlow *record, Flow *f) {
        Peer *peer = record->peer ? peers_find_id(m->peers, record->peer) : NULL;

        if (peer && (!peer->unit_text || !peer->labels_text))
                peer_describe(peer);
        if (peer && (!peer->unit_text || !peer->labels_text))
                return -ENOMEM;
        f->record = *record;
        f->claimed = (record->flags & DATAPATH_FLOW_CLAIMED) || (peer && !peer->verified);
        f->unit = name_local(m, record->unit);
        f->peer_unit = peer ? strdup(peer->unit_text) : name_local(m, record->peer_unit);
        f->peer_labels = peer ? strdup(peer->labels_text) : labels_local(m, record->peer_unit);
        return f->unit && f->peer_unit && f->peer_labels ? 0 : -ENOMEM;
}

/* The table decides about strangers by sets, which have no names; the lists they were made from have. */
static void name_acl(Manager *m, const Unit *u, DatapathFlow *r) {
        bool connect = r->direction == DATAPATH_CONNECT;
        Decision d;

        if (r->peer || r->peer_unit || r->rule || (r->reason != REASON_NO_IDENTITY && r->reason != REASON_OBSERVE && r->reason != REASON_ACL))
                return;
        if (u->state == UNIT_DENIED) /* it has ended meanwhile: "closed" is not why the table refused */
                return;
        decide_stranger(u, connect, r->family, connect ? &r->daddr : &r->saddr, r->protocol, r->protocol == IPPROTO_TCP || r->protocol == IPPROTO_UDP ? r->dport : 0, &d);
        if (d.allow != (r->verdict != DATAPATH_FLOW_REJECT)) /* they have changed since */
                return;
        r->reason = d.reason;
        r->rule = names_number(m->rules, d.rule);
        if (!d.log)
                r->flags &= ~(uint32_t) DATAPATH_FLOW_LOG;
}

static void note_proof(Manager *m, const DatapathFlow *record) {
        Peer *peer = record->peer && record->verdict == DATAPATH_FLOW_ACCEPT ? peers_find_id(m->peers, record->peer) : NULL;

        if (!peer || !peer->verified || peer->proven)
                return;
        peer->proven = true;
        peer_numbers_prove(m->numbers, peer);
}

void record_flow(Manager *m, const DatapathFlow *record) {
        Unit *u = units_find_index(&m->units, record->unit);
        const Flow *kept;
        Flow f = {};

        if (record->family != AF_INET && record->family != AF_INET6)
                return;
        if (flow_fill(m, record, &f) < 0) {
                free(f.unit);
                free(f.peer_unit);
                free(f.peer_labels);
                m->n_flows_lost++;
                return;
        }
        note_proof(m, record);
        cut_late(m, record);
        if (u)
                name_acl(m, u, &f.record);
        if (u && u->state == UNIT_DENIED && f.record.reason == REASON_CLOSED) /* to the table a unit is closed or not; why, is known here */
                f.record.reason = u->reason;
        kept = flow_log_add(&m->flows, &f);
        if (!kept)
                return;
        if (kept->record.verdict != DATAPATH_FLOW_ACCEPT)
                bus_emit_denied(m, kept);
        else if (!(kept->record.flags & DATAPATH_FLOW_LOG))
                return;
        if (u)
                journal_flow(m, u, kept);
}
