/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One entry a record: the sentence is made here, from a fixed form, so that whoever asks for an entry chooses its fields but not its words. */
#include "ipc/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/uio.h>

#include <systemd/sd-journal.h>

#define FIELDS_MAX 20u
#define FIELD_SIZE 2600u

typedef struct Entry {
        char fields[FIELDS_MAX][FIELD_SIZE];
        struct iovec iov[FIELDS_MAX];
        size_t n;
} Entry;

bool record_text_is_clean(const char *s, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (!s[i])
                        return true;
                if (s[i] < 0x20 || s[i] > 0x7e)
                        return false;
        }
        return false;
}

int record_check(const HelperRecord *r) {
        if (!record_text_is_clean(r->unit, sizeof(r->unit)) || !record_text_is_clean(r->peer_unit, sizeof(r->peer_unit)) ||
            !record_text_is_clean(r->reason, sizeof(r->reason)) || !record_text_is_clean(r->rule, sizeof(r->rule)) || !record_text_is_clean(r->text, sizeof(r->text)))
                return -EINVAL;
        if (!r->unit[0])
                return -EINVAL;
        if (r->kind == HELPER_RECORD_SETTINGS)
                return 0;
        return r->kind == HELPER_RECORD_FLOW && (r->family == AF_INET || r->family == AF_INET6) ? 0 : -EINVAL;
}

static _printf_(2, 3) void entry_add(Entry *e, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(e->fields[e->n], FIELD_SIZE, format, ap);
        va_end(ap);
        e->iov[e->n] = (struct iovec) { e->fields[e->n], MIN((size_t) n, (size_t) FIELD_SIZE - 1) };
        e->n++;
}

static void entry_add_text(Entry *e, const char *field, const char *value) {
        if (value[0])
                entry_add(e, "%s=%s", field, value);
}

static void address_to_string(uint8_t family, const struct in6_addr *a, char ret[static INET6_ADDRSTRLEN]) {
        (void) inet_ntop(family, family == AF_INET ? (const void *) &a->s6_addr[12] : a, ret, INET6_ADDRSTRLEN);
}

static const char *protocol_name(uint8_t protocol) {
        switch (protocol) {
        case IPPROTO_TCP: return "tcp";
        case IPPROTO_UDP: return "udp";
        case IPPROTO_ICMP: return "icmp";
        case IPPROTO_ICMPV6: return "icmp6";
        default: return "ip";
        }
}

static void entry_flow(Entry *e, const HelperRecord *r, const char *explanation) {
        const char *verb = r->logged ? "Accepted" : r->observed ? "Would deny" : "Denied", *protocol = protocol_name(r->protocol);
        char saddr[INET6_ADDRSTRLEN] = "", daddr[INET6_ADDRSTRLEN] = "", who[1400] = "", why[1000] = "", more[64] = "", what[32];
        const char *claims = r->claimed ? "claims to be " : "";

        address_to_string(r->family, &r->saddr, saddr);
        address_to_string(r->family, &r->daddr, daddr);
        if (r->peer_unit[0] || r->text[0])
                (void) snprintf(who, sizeof(who), " (%s%s%s%s)", claims, r->peer_unit, r->peer_unit[0] && r->text[0] ? ": " : "", r->text);
        if (r->suppressed)
                (void) snprintf(more, sizeof(more), " %u more not shown.", r->suppressed);
        (void) snprintf(why, sizeof(why), "%s%s%s%s%s%s", r->reason, r->rule[0] ? " (" : "", r->rule, r->rule[0] ? ")" : "", explanation[0] ? ". " : ".", explanation);
        if (r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6)
                (void) snprintf(what, sizeof(what), "type %u", r->sport);
        else
                (void) snprintf(what, sizeof(what), "port %u", r->dport);
        if (r->connect)
                entry_add(e, "MESSAGE=%s %s to %s %s%s: %s%s", verb, protocol, daddr, what, who, why, more);
        else
                entry_add(e, "MESSAGE=%s %s from %s%s to %s: %s%s", verb, protocol, saddr, who, what, why, more);
        entry_add(e, "MESSAGE_ID=%s", r->logged ? RECORD_MESSAGE_ID_ACCEPTED : r->observed ? RECORD_MESSAGE_ID_OBSERVED : RECORD_MESSAGE_ID_DENIED);
        entry_add(e, "PRIORITY=%u", r->observed || r->logged ? 6u : 5u);
        entry_add(e, "TRIREME_VERDICT=%s", r->logged ? "accept" : r->observed ? "would-reject" : "reject");
        entry_add(e, "TRIREME_DIRECTION=%s", r->connect ? "connect" : "accept");
        entry_add(e, "TRIREME_PROTOCOL=%s", protocol);
        entry_add(e, "TRIREME_SOURCE=%s", saddr);
        entry_add(e, "TRIREME_SOURCE_PORT=%u", r->sport);
        entry_add(e, "TRIREME_DESTINATION=%s", daddr);
        entry_add(e, "TRIREME_PORT=%u", r->dport);
        entry_add(e, "TRIREME_SUPPRESSED=%u", r->suppressed);
        entry_add_text(e, "TRIREME_EXPLANATION", explanation);
        entry_add_text(e, "TRIREME_RULE", r->rule);
        entry_add_text(e, "TRIREME_PEER_UNIT", r->peer_unit);
        entry_add_text(e, r->claimed ? "TRIREME_CLAIMED_LABELS" : "TRIREME_PEER_LABELS", r->text);
}

static void entry_settings(Entry *e, const HelperRecord *r) {
        entry_add(e, "MESSAGE=Trireme denies %s everything: %s", r->unit, r->text[0] ? r->text : r->reason);
        entry_add(e, "MESSAGE_ID=%s", RECORD_MESSAGE_ID_SETTINGS);
        entry_add(e, "PRIORITY=3");
        entry_add_text(e, "TRIREME_ERROR", r->text);
}

int record_write(const HelperRecord *r, const char *explanation) {
        _cleanup_free_ Entry *e = NULL;
        int k = record_check(r);

        if (k < 0)
                return k;
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        if (r->kind == HELPER_RECORD_FLOW)
                entry_flow(e, r, explanation);
        else
                entry_settings(e, r);
        entry_add(e, "OBJECT_SYSTEMD_UNIT=%s", r->unit);
        entry_add(e, "TRIREME_LOCAL_UNIT=%s", r->unit);
        entry_add(e, "TRIREME_REASON=%s", r->reason);
        entry_add(e, "SYSLOG_IDENTIFIER=trireme");
        return sd_journal_sendv(e->iov, (int) e->n);
}
