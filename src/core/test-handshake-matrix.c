/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Every state with every packet, as docs/protocol.md has it; tests/check-protocol compares the rows. */

#include "core/test-pairing.h"
#include "wire/bytes.h"

typedef struct Scene {
        Pairing p;
        Wire syn, syn_ack, ack; /* as they were on the wire */
} Scene;

/* What becomes of a packet, in one letter. */
static char outcome(const Action *a) {
        if (a->type == ACTION_DROP)
                return '-';
        if (a->type == ACTION_WAIT)
                return 'w';
        assert_int_equal(a->type, ACTION_ACCEPT);
        switch (a->edit) {
        case EDIT_RESET:
                return 'r';
        case EDIT_SYN:
                return 'y';
        case EDIT_ACK:
                return 'a';
        case EDIT_PAYLOAD:
                if (a->payload_len > 0)
                        return 'm';
                break;
        default:
                break;
        }
        return a->verdict == VERDICT_DENY ? 'd' : a->verdict == VERDICT_STRANGER || a->verdict == VERDICT_STRANGER_SYN ? 'g' : 'p';
}

static Scene *scene_new(void) {
        Scene *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        host_init(&s->p.client, "client", "the same secret", 2);
        host_init(&s->p.server, "server", "the same secret", 2);
        s->p.c = connection_make(AF_INET, 1000);
        return s;
}

static void scene_free(Scene *s) {
        host_done(&s->p.client);
        host_done(&s->p.server);
        free(s);
}

/* As far as the exchange goes: 1 SYN sent, 2 received, 3 SYN-ACK sent, 4 received, 5 ACK sent, 6 received. */
static void play(Scene *s, unsigned steps) {
        Pairing *p = &s->p;

        if (steps > 0)
                s->syn = send_syn(p);
        if (steps > 1)
                receive_syn(p, s->syn);
        if (steps > 2)
                s->syn_ack = send_syn_ack(p);
        if (steps > 3)
                receive_syn_ack(p, s->syn_ack);
        if (steps > 4)
                s->ack = send_ack(p, "");
        if (steps > 5)
                receive_ack(p, s->ack);
}

/* A first contact, on ports that were not used before, when all that was is over. */
static void scene_begin(Scene *s, uint16_t client_port) {
        test_now += FLOW_RELEASED_USEC;
        s->p.c = connection_make(AF_INET, client_port);
        s->p.client.waits = s->p.server.waits = false;
        s->p.client.allow = true;
        peer_cache_forget(s->p.client.h.peers, DATAPATH_FORGET_KEYS, 0);
        peer_cache_forget(s->p.server.h.peers, DATAPATH_FORGET_KEYS, 0);
        s->syn.len = s->syn_ack.len = s->ack.len = 0;
}

/* ---- packets ---- */

typedef struct Event {
        const char *what;
        QueueHook hook;
        Wire (*make)(const Scene *s, const Scene *whole); /* whole: an exchange as it might have been */
} Event;

#define W(name, expression) static Wire name(const Scene *s, const Scene *whole) { const Connection *c = &s->p.c; Wire w = expression; (void) c; (void) whole; return w; }

static Wire damaged(Wire w, size_t at) {
        w.data[wire_parse(&w).payload_offset + at] ^= 1;
        return w;
}

static Wire with_payload_of(const Connection *c, uint8_t flags, uint32_t off, const Wire *w) {
        return wire_make(c, !(flags & TCP_FLAG_SYN), flags, flags & TCP_FLAG_SYN ? c->server_isn : c->client_isn + 1,
                         (flags & TCP_FLAG_SYN ? c->client_isn : c->server_isn) + 1 + off, wire_payload(w), wire_payload_len(w));
}

static Wire reminder(const Connection *c, const Wire *syn_ack) {
        uint8_t bytes[MESSAGE_SIZE_MIN];

        message_write_reminder(wire_payload(syn_ack), wire_payload_len(syn_ack), bytes);
        return wire_make(c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, c->server_isn, c->client_isn + 1, bytes, sizeof(bytes));
}

W(syn, wire_syn(c))
W(syn_other, wire_make(c, true, TCP_FLAG_SYN, c->client_isn + 9, 0, NULL, 0))
W(syn_back, wire_make(c, false, TCP_FLAG_SYN, 5, 0, "data", 4))
W(syn_message, s->syn.len > 0 ? s->syn : whole->syn)
W(syn_bad, damaged(s->syn.len > 0 ? s->syn : whole->syn, 70))
W(syn_ack_bare, wire_syn_ack(c))
W(syn_ack_number, with_payload_of(c, TCP_FLAG_SYN | TCP_FLAG_ACK, 1, s->syn_ack.len > 0 ? &s->syn_ack : &whole->syn_ack))
W(syn_ack_good, with_payload_of(c, TCP_FLAG_SYN | TCP_FLAG_ACK, 0, s->syn_ack.len > 0 ? &s->syn_ack : &whole->syn_ack))
W(syn_ack_bad, damaged(syn_ack_good(s, whole), wire_payload_len(s->syn_ack.len > 0 ? &s->syn_ack : &whole->syn_ack) - 1))
W(syn_ack_reminder, reminder(c, s->syn_ack.len > 0 ? &s->syn_ack : &whole->syn_ack))
W(ack_good, with_payload_of(c, TCP_FLAG_ACK, 0, s->ack.len > 0 ? &s->ack : &whole->ack))
W(ack_bad, damaged(ack_good(s, whole), 83))
W(ack_number, with_payload_of(c, TCP_FLAG_ACK, 1, s->ack.len > 0 ? &s->ack : &whole->ack))
W(ack_data, wire_ack(c, "data"))
W(data_back, wire_make(c, false, TCP_FLAG_ACK | TCP_FLAG_PSH, c->server_isn + 1, c->client_isn + 1, "data", 4))
W(reset, wire_make(c, true, TCP_FLAG_RST, c->client_isn + 1, 0, NULL, 0))
W(reset_number, wire_make(c, true, TCP_FLAG_RST, c->client_isn + 2, 0, NULL, 0))
W(reset_back, wire_make(c, false, TCP_FLAG_RST | TCP_FLAG_ACK, c->server_isn + 1, c->client_isn + 1, NULL, 0))
W(reset_back_number, wire_make(c, false, TCP_FLAG_RST | TCP_FLAG_ACK, c->server_isn + 1, c->client_isn + 2, NULL, 0))
W(nonsense, wire_make(c, true, TCP_FLAG_SYN | TCP_FLAG_FIN, c->client_isn, 0, NULL, 0))
W(nonsense_back, wire_make(c, false, TCP_FLAG_SYN | TCP_FLAG_RST, c->server_isn, 0, NULL, 0))

static const Event client_events[] = {
        { "SYN out", QUEUE_HOOK_OUTPUT, syn }, { "SYN out, another ISN", QUEUE_HOOK_OUTPUT, syn_other },
        { "ACK with data out", QUEUE_HOOK_OUTPUT, ack_data }, { "RST out", QUEUE_HOOK_OUTPUT, reset },
        { "SYN-ACK in", QUEUE_HOOK_INPUT, syn_ack_good }, { "another number", QUEUE_HOOK_INPUT, syn_ack_number },
        { "wrong MAC", QUEUE_HOOK_INPUT, syn_ack_bad }, { "reminder", QUEUE_HOOK_INPUT, syn_ack_reminder }, { "no message", QUEUE_HOOK_INPUT, syn_ack_bare },
        { "SYN in", QUEUE_HOOK_INPUT, syn_back }, { "data in", QUEUE_HOOK_INPUT, data_back }, { "RST in", QUEUE_HOOK_INPUT, reset_back },
        { "RST in, another number", QUEUE_HOOK_INPUT, reset_back_number }, { "SYN and RST in", QUEUE_HOOK_INPUT, nonsense_back },
};

static const Event server_events[] = {
        { "SYN in", QUEUE_HOOK_INPUT, syn_message }, { "malformed", QUEUE_HOOK_INPUT, syn_bad }, { "no message", QUEUE_HOOK_INPUT, syn },
        { "ACK in", QUEUE_HOOK_INPUT, ack_good }, { "another number", QUEUE_HOOK_INPUT, ack_number }, { "wrong MAC", QUEUE_HOOK_INPUT, ack_bad },
        { "data in", QUEUE_HOOK_INPUT, ack_data }, { "RST in", QUEUE_HOOK_INPUT, reset }, { "RST in, another number", QUEUE_HOOK_INPUT, reset_number },
        { "SYN and FIN in", QUEUE_HOOK_INPUT, nonsense }, { "SYN-ACK out", QUEUE_HOOK_OUTPUT, syn_ack_bare }, { "data out", QUEUE_HOOK_OUTPUT, data_back },
        { "RST out", QUEUE_HOOK_OUTPUT, reset_back }, { "SYN out", QUEUE_HOOK_OUTPUT, syn_back },
};

typedef struct Row {
        const char *text;      /* the state's name, and a letter for each event */
        unsigned steps;
        void (*prepare)(Scene *s);
} Row;

static void deny(Scene *s) {
        Wire w = s->syn_ack;

        s->p.client.allow = false;
        EXPECT_ACCEPT(host_input(&s->p.client, &w), VERDICT_PASS);
}

static void meet_stranger(Scene *s) {
        Wire w = wire_syn_ack(&s->p.c);

        EXPECT_ACCEPT(host_input(&s->p.client, &w), VERDICT_STRANGER);
}

static const Row client_rows[] = {
        { "none       mm-------g----", 0, NULL },
        { "SYN sent   mm-pp---gd-p--", 3, NULL },
        { "denied     -m-pd-dddd-p--", 3, deny },
        { "stranger   -m-pp---gd-p--", 3, meet_stranger },
        { "proven     -mwpp-pppd-p--", 4, NULL },
        { "released   mmppp-pppdppp-", 5, NULL },
};

static const Row server_rows[] = {
        { "none       pdg----------m", 0, NULL },
        { "received   pp-----p--m-pm", 2, NULL },
        { "answered   pp-p--wp--m-pm", 5, NULL },
        { "released   --gpppppp--ppm", 6, NULL },
};

/* The table queues what comes to an authorized end as a repetition, and tells the unit of SYNs only. */
static char happens(Scene *s, const Scene *whole, const Row *row, const Event *e, bool client) {
        Host *h = client ? &s->p.client : &s->p.server;
        bool released = row->steps >= (client ? 5u : 6u);
        Action a;
        Wire w;
        char c;

        play(s, row->steps);
        if (row->prepare)
                row->prepare(s);
        h->waits = true;
        w = e->make(s, whole);
        if (released && e->hook == QUEUE_HOOK_INPUT && ((wire_parse(&w).flags & TCP_FLAG_ACK) && wire_payload_len(&w) != 4))
                a = host_step(h, e->hook, REQUEST_REPEAT, 0, &w);
        else
                a = e->hook == QUEUE_HOOK_INPUT ? host_input(h, &w) : host_output(h, &w);
        c = outcome(&a);
        if (e->hook == QUEUE_HOOK_INPUT && c == 'p' && (wire_parse(&w).flags & TCP_FLAG_SYN))
                assert_int_equal(wire_payload_len(&w), 0);
        return c;
}

static void check(const Row *rows, size_t n_rows, const Event *events, size_t n_events, bool client) {
        Scene *s = scene_new(), *whole = scene_new(); /* whole: between two others of the same kind, for packets that have not been sent yet here */
        bool wrong = false;

        play(whole, 6);
        for (size_t i = 0; i < n_rows; i++) {
                char got[64] = {};

                memcpy(got, rows[i].text, 11);
                for (size_t k = 0; k < n_events; k++) {
                        scene_begin(s, (uint16_t) (2000 + i * n_events + k));
                        got[11 + k] = happens(s, whole, &rows[i], &events[k], client);
                }
                for (size_t k = 0; k < n_events; k++)
                        if (got[11 + k] != rows[i].text[11 + k])
                                print_error("%.11s %s: %c, not %c\n", got, events[k].what, got[11 + k], rows[i].text[11 + k]);
                wrong = wrong || strcmp(got, rows[i].text) != 0;
                if (wrong)
                        print_error("%s\n", got);
        }
        scene_free(s);
        scene_free(whole);
        assert_false(wrong);
}

static void each_packet_in_each_state_of_the_connecting_end(void **state) {
        check(client_rows, ELEMENTSOF(client_rows), client_events, ELEMENTSOF(client_events), true);
}

static void each_packet_in_each_state_of_the_listening_end(void **state) {
        check(server_rows, ELEMENTSOF(server_rows), server_events, ELEMENTSOF(server_events), false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_packet_in_each_state_of_the_connecting_end),
                cmocka_unit_test(each_packet_in_each_state_of_the_listening_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
