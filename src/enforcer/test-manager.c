/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole enforcer between a helper and a datapath that this test plays: what is asked of them, in which order, and what follows from their answers. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "enforcer/enforce.h"
#include "enforcer/manager.h"
#include "ipc/marks.h"
#include "util/fd.h"

#define LOG_MAX 256u

typedef union HelperMessage {
        HelperHeader header;
        HelperRequest request;
        HelperUnitRequest unit;
        HelperAcl acl;
        HelperLocal local;
        HelperSocket socket;
        HelperRecord record;
        uint8_t bytes[8192];
} HelperMessage;

typedef union DatapathMessage {
        DatapathHeader header;
        DatapathUnit unit;
        DatapathResolved resolved;
        DatapathForget forget;
        uint8_t bytes[4096];
} DatapathMessage;

typedef struct World {
        Manager *m;
        int helper, datapath;
        char credentials[64];
        const char *texts[8][2];          /* unit, its one file */
        HelperUnit listed[4];
        size_t n_listed;
        HelperSocket sockets[4];
        size_t n_sockets;
        int results[_HELPER_TYPE_MAX];    /* of requests; answered with 0 else */
        unsigned n_busy;                  /* so many RELEASE_UNITs (or first PROFILE_REMOVEs) are answered with -EBUSY */
        HelperMessage asked[LOG_MAX];
        size_t n_asked;
        DatapathMessage told[LOG_MAX];
        size_t n_told;
} World;

/* ---- the helper ---- */

static void helper_send(World *w, void *message, size_t size, uint32_t serial, int fd) {
        struct iovec iov = { message, size };
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {};
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

        ((HelperHeader *) message)->serial = serial;
        if (fd >= 0) {
                mh.msg_control = &control;
                mh.msg_controllen = sizeof(control);
                control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
        }
        assert_int_equal(sendmsg(w->helper, &mh, 0), size);
}

static void helper_event(World *w, HelperType type, const HelperUnit *unit) {
        HelperUnit event = *unit;

        event.header.type = type;
        helper_send(w, &event, sizeof(event), 0, -1);
}

static int send_files(World *w, const HelperMessage *q) {
        HelperUnitFiles files = { .header.type = HELPER_UNIT_FILES };

        for (size_t i = 0; i < ELEMENTSOF(w->texts) && w->texts[i][0]; i++) {
                _cleanup_close_ int fd = -1;

                if (!streq(w->texts[i][0], q->request.unit))
                        continue;
                fd = memfd_create("unit", MFD_CLOEXEC);
                assert_int_equal(write(fd, w->texts[i][1], strlen(w->texts[i][1])), strlen(w->texts[i][1]));
                files.n_files = 1;
                (void) snprintf(files.paths[0], sizeof(files.paths[0]), "/etc/systemd/system/%s.d/t.conf", q->request.unit);
                helper_send(w, &files, sizeof(files), q->header.serial, fd);
                return 0;
        }
        helper_send(w, &files, sizeof(files), q->header.serial, -1); /* known, with no file of interest */
        return 0;
}

static int send_listed(World *w, const char *only, uint32_t serial) {
        int r = only ? -ENOENT : 0;

        for (size_t i = 0; i < w->n_listed; i++)
                if (!only || streq(only, w->listed[i].unit)) {
                        w->listed[i].header.type = HELPER_UNIT;
                        helper_send(w, &w->listed[i], sizeof(w->listed[i]), serial, -1);
                        r = 0;
                }
        return r;
}

static int helper_answer(World *w, const HelperMessage *q) {
        switch (q->header.type) {
        case HELPER_OPEN_UNIT_FILES:
                return send_files(w, q);
        case HELPER_LIST_UNITS:
                return send_listed(w, NULL, q->header.serial);
        case HELPER_GET_UNIT:
                return send_listed(w, q->request.unit, q->header.serial);
        case HELPER_LIST_SOCKETS:
                for (size_t i = 0; i < w->n_sockets; i++) {
                        w->sockets[i].header.type = HELPER_SOCKET;
                        helper_send(w, &w->sockets[i], sizeof(w->sockets[i]), q->header.serial, -1);
                }
                return 0;
        case HELPER_RELEASE_UNIT:
        case HELPER_PROFILE_REMOVE:
                if (w->n_busy > 0) {
                        w->n_busy--;
                        return -EBUSY;
                }
                return 0;
        default:
                return w->results[q->header.type];
        }
}

static bool helper_step(World *w) {
        HelperMessage *q = &w->asked[w->n_asked];
        HelperReply reply = { .header.type = HELPER_REPLY };
        ssize_t n = recv(w->helper, q, sizeof(*q), MSG_DONTWAIT);

        if (n < 0)
                return false;
        if (q->header.type == HELPER_HELLO) {
                HelperHello hello = { .header.type = HELPER_HELLO, .version = HELPER_PROTOCOL_VERSION };

                helper_send(w, &hello, sizeof(hello), 0, -1);
                return true;
        }
        assert_true(++w->n_asked < LOG_MAX);
        reply.result = helper_answer(w, q);
        helper_send(w, &reply, sizeof(reply), q->header.serial, -1);
        return true;
}

/* ---- the datapath ---- */

static bool datapath_step(World *w) {
        ssize_t n = recv(w->datapath, &w->told[w->n_told], sizeof(w->told[0]), MSG_DONTWAIT);

        if (n < 0)
                return false;
        if (w->told[w->n_told].header.type == DATAPATH_HELLO) {
                const DatapathHello hello = { .header.type = DATAPATH_HELLO, .version = DATAPATH_PROTOCOL_VERSION };

                assert_int_equal(send(w->datapath, &hello, sizeof(hello), 0), sizeof(hello));
                return true;
        }
        assert_true(++w->n_told < LOG_MAX);
        return true;
}

/* Until nobody has anything to say any more. */
static void settle(World *w) {
        bool busy = true;

        while (busy) {
                busy = sd_event_run(w->m->event, 2000) > 0;
                while (helper_step(w))
                        busy = true;
                while (datapath_step(w))
                        busy = true;
        }
}

static void wait_for_timers(World *w, unsigned msec) {
        for (unsigned i = 0; i < msec / 20; i++) {
                usleep(20000);
                settle(w);
        }
}

static void forget_log(World *w) {
        w->n_asked = w->n_told = 0;
}

/* The nth request of a type since the last forget_log(); NULL: there was none. */
static const HelperMessage *asked(const World *w, HelperType type, unsigned n) {
        for (size_t i = 0; i < w->n_asked; i++)
                if (w->asked[i].header.type == type && n-- == 0)
                        return &w->asked[i];
        return NULL;
}

static const DatapathMessage *told(const World *w, DatapathType type, unsigned n) {
        for (size_t i = 0; i < w->n_told; i++)
                if (w->told[i].header.type == type && n-- == 0)
                        return &w->told[i];
        return NULL;
}

/* ---- the world ---- */

static void start(World *w, const char *psk) {
        int helper[2], datapath[2];
        ManagerOptions options = { .config_root = "/nonexistent", .no_bus = true };
        char path[128];

        strcpy(w->credentials, "/tmp/trireme-test-XXXXXX");
        assert_non_null(mkdtemp(w->credentials));
        if (psk) {
                int fd;

                (void) snprintf(path, sizeof(path), "%s/trireme.psk", w->credentials);
                fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
                assert_int_equal(write(fd, psk, strlen(psk)), strlen(psk));
                close(fd);
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, helper), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, datapath), 0);
        w->helper = helper[1];
        w->datapath = datapath[1];
        options.credentials = w->credentials;
        options.helper_fd = helper[0];
        options.datapath_fd = datapath[0];
        assert_int_equal(manager_new(&options, &w->m), 0);
        settle(w);
        assert_true(w->m->helper_ready);
        assert_true(w->m->datapath_ready);
}

#define PSK "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg=\n"

static int setup(void **state) {
        World *w = calloc(1, sizeof(*w));

        *state = w;
        return w ? 0 : -1;
}

static int teardown(void **state) {
        World *w = *state;
        char path[128];

        manager_free(w->m);
        close(w->helper);
        close(w->datapath);
        (void) snprintf(path, sizeof(path), "%s/trireme.psk", w->credentials);
        (void) unlink(path);
        (void) rmdir(w->credentials);
        free(w);
        return 0;
}

static HelperUnit make_unit(const char *name, uint64_t cgroup_id, HelperActive active, uint32_t flags) {
        HelperUnit u = { .slice = "system.slice", .cgroup_id = cgroup_id, .active = active, .flags = flags, .level = 2 };

        strcpy(u.unit, name);
        return u;
}

static void attach(World *w, const char *name, uint64_t cgroup_id) {
        const HelperUnit u = make_unit(name, cgroup_id, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);

        helper_event(w, HELPER_ATTACH, &u);
        settle(w);
}

static void an_attached_unit_is_enforced_and_only_then_let_go(void **state) {
        World *w = *state;
        const HelperMessage *enforce, *done;
        const DatapathMessage *unit;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        enforce = asked(w, HELPER_ENFORCE_UNIT, 0);
        done = asked(w, HELPER_ATTACH_DONE, 0);
        unit = told(w, DATAPATH_UNIT, 0);
        assert_non_null(enforce);
        assert_non_null(done);
        assert_non_null(unit);
        assert_true(enforce < done);
        assert_int_equal(enforce->unit.cgroup_id, 77);
        assert_int_equal(enforce->unit.flags, 0);
        assert_int_equal(enforce->unit.profile, 0);
        assert_int_equal(unit->unit.index, enforce->unit.index);
        assert_int_equal(unit->unit.cgroup_id, 77);
        assert_true(unit->unit.token_len > TOKEN_FIXED_SIZE);
        assert_string_equal(done->unit.unit, "a.service");
        assert_int_equal(done->unit.result, 0);
        assert_null(asked(w, HELPER_CLOSE_UNIT, 0)); /* the attach had closed it */
        assert_null(asked(w, HELPER_RECORD, 0));
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_ENFORCING);
}

static void a_local_question_is_answered_and_the_kernel_is_told(void **state) {
        DatapathResolve q = { .header = { DATAPATH_RESOLVE, 9 }, .direction = DATAPATH_LOCAL, .port = 80 };
        const DatapathMessage *answer;
        const HelperMessage *local;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->texts[1][0] = "b.service";
        w->texts[1][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, PSK);
        attach(w, "a.service", 1);
        attach(w, "b.service", 2);
        q.unit = units_find(&w->m->units, "a.service")->index;
        q.client = units_find(&w->m->units, "b.service")->index;
        forget_log(w);
        assert_int_equal(send(w->datapath, &q, sizeof(q), 0), sizeof(q));
        settle(w);
        answer = told(w, DATAPATH_RESOLVED, 0);
        assert_non_null(answer);
        assert_int_equal(answer->header.serial, 9);
        assert_int_equal(answer->resolved.decision.allow, 1);
        assert_int_equal(answer->resolved.client.allow, 1);
        local = asked(w, HELPER_LOCAL_ACCEPT, 0);
        assert_non_null(local);
        assert_int_equal(local->local.client, q.client);
        assert_int_equal(local->local.server, q.unit);
        assert_int_equal(local->local.port, 0);
}

static void a_unit_with_bad_settings_starts_but_is_denied_everything_and_says_why(void **state) {
        const HelperMessage *enforce, *record;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeNonsense=1\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        enforce = asked(w, HELPER_ENFORCE_UNIT, 0);
        assert_non_null(enforce);
        assert_int_equal(enforce->unit.flags, REQUEST_UNIT_CLOSED);
        assert_int_equal(asked(w, HELPER_ATTACH_DONE, 0)->unit.result, 0);
        assert_int_equal(told(w, DATAPATH_UNIT, 0)->unit.token_len, 0);
        record = asked(w, HELPER_RECORD, 0);
        assert_non_null(record);
        assert_int_equal(record->record.kind, HELPER_RECORD_SETTINGS);
        assert_string_equal(record->record.unit, "a.service");
        assert_string_equal(record->record.reason, "bad-settings");
        assert_non_null(strstr(record->record.text, "a.service.d/t.conf:3"));
}

static void without_a_key_every_unit_is_denied_with_that_reason(void **state) {
        const Unit *u;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, "BADPASS\n");
        attach(w, "a.service", 77);
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        u = units_find(&w->m->units, "a.service");
        assert_int_equal(u->state, UNIT_DENIED);
        assert_non_null(strstr(u->reason_text, "trireme.psk"));
}

static void a_unit_that_is_not_labelled_is_let_go(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[Service]\nExecStart=/bin/true\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        assert_int_equal(asked(w, HELPER_RELEASE_UNIT, 0)->unit.cgroup_id, 77);
        assert_int_equal(asked(w, HELPER_RELEASE_UNIT, 0)->unit.flags, HELPER_RELEASE_UNLABELLED);
        assert_true(asked(w, HELPER_RELEASE_UNIT, 0) < asked(w, HELPER_ATTACH_DONE, 0));
        assert_null(asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_unit_that_cannot_be_enforced_does_not_start(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->results[HELPER_ENFORCE_UNIT] = -EIO;
        start(w, PSK);
        attach(w, "a.service", 77);
        assert_int_equal(asked(w, HELPER_ATTACH_DONE, 0)->unit.result, -EIO);
        assert_non_null(strstr(asked(w, HELPER_ATTACH_DONE, 0)->unit.reason, "rules"));
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_DENIED);
}

static HelperSocket make_socket(uint8_t state, uint16_t sport, uint8_t last, uint16_t dport) {
        return (HelperSocket) {
                .cgroup_id = 77, .family = AF_INET, .protocol = IPPROTO_TCP, .state = state, .sport = sport, .dport = dport,
                .saddr.s6_addr = { 192, 0, 2, 1 }, .daddr.s6_addr = { 192, 0, 2, last }, .cookie = { sport, dport },
        };
}

static void a_unit_found_running_is_closed_then_enforced_and_its_strangers_are_cut(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeAcceptFrom=192.0.2.7/32 tcp/80\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, 0);
        w->n_listed = 1;
        w->sockets[0] = make_socket(TCP_LISTEN, 80, 0, 0);
        w->sockets[1] = make_socket(TCP_ESTABLISHED, 80, 7, 4000); /* allowed by the ACL */
        w->sockets[2] = make_socket(TCP_ESTABLISHED, 80, 8, 4001); /* not */
        w->sockets[3] = make_socket(TCP_ESTABLISHED, 4002, 7, 80); /* outgoing: another list, which is empty */
        w->n_sockets = 4;
        start(w, PSK);
        assert_non_null(asked(w, HELPER_CLOSE_UNIT, 0));
        assert_true(asked(w, HELPER_CLOSE_UNIT, 0) < asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_true(asked(w, HELPER_ACL_ADD, 0) < asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.profile, asked(w, HELPER_ACL_ADD, 0)->acl.profile);
        assert_int_equal(asked(w, HELPER_CUT_SOCKET, 0)->socket.dport, 4001);
        assert_int_equal(asked(w, HELPER_CUT_SOCKET, 1)->socket.sport, 4002);
        assert_null(asked(w, HELPER_CUT_SOCKET, 2));
}

static void an_attached_unit_keeps_its_index_over_a_restart_of_the_enforcer(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->listed[0].index = 4711;
        w->n_listed = 1;
        start(w, PSK);
        assert_null(asked(w, HELPER_CLOSE_UNIT, 0));
        assert_null(asked(w, HELPER_LIST_SOCKETS, 0));
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.index, 4711);
}

static void a_profile_number_that_another_unit_uses_is_not_added_to(void **state) {
        const HelperMessage *first, *second;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeConnectTo=0.0.0.0/0 udp/53\n";
        start(w, PSK);
        w->n_busy = 1;
        attach(w, "a.service", 77);
        first = asked(w, HELPER_PROFILE_REMOVE, 0);
        second = asked(w, HELPER_PROFILE_REMOVE, 1);
        assert_non_null(second);
        assert_int_not_equal(first->acl.profile, second->acl.profile);
        assert_int_equal(asked(w, HELPER_ACL_ADD, 0)->acl.profile, second->acl.profile);
        assert_int_equal(asked(w, HELPER_ACL_ADD, 0)->acl.protocol, IPPROTO_UDP);
        assert_null(asked(w, HELPER_ACL_ADD, 1));
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.profile, second->acl.profile);
        assert_true(asked(w, HELPER_ACL_ADD, 0) < asked(w, HELPER_ENFORCE_UNIT, 0));
}

static void an_access_list_that_the_kernel_refuses_closes_its_unit(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeAcceptFrom=192.0.2.0/24 tcp/80\n";
        w->results[HELPER_ACL_ADD] = -ENOSPC;
        start(w, PSK);
        attach(w, "a.service", 77);
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_DENIED);
        assert_int_equal(w->asked[w->n_asked - 1].header.type == HELPER_ENFORCE_UNIT || asked(w, HELPER_ENFORCE_UNIT, 1) != NULL, 1);
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 1)->unit.flags, REQUEST_UNIT_CLOSED);
}

static void an_ended_unit_is_closed_at_once_and_released_when_its_last_socket_is_gone(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), ended = make_unit("a.service", 0, HELPER_INACTIVE, 0);
        World *w = *state;
        uint32_t index;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        index = units_find(&w->m->units, "a.service")->index;
        forget_log(w);
        helper_event(w, HELPER_UNIT, &ended); /* about the life before: it was not seen active yet */
        settle(w);
        assert_non_null(units_find(&w->m->units, "a.service"));
        helper_event(w, HELPER_UNIT, &active);
        settle(w);
        w->n_busy = 2;
        helper_event(w, HELPER_UNIT, &ended);
        settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        assert_int_equal(told(w, DATAPATH_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        assert_null(told(w, DATAPATH_UNIT_GONE, 0));
        assert_non_null(units_find_index(&w->m->units, index)); /* a socket bears its cgroup id */
        wait_for_timers(w, 1200);
        assert_non_null(asked(w, HELPER_RELEASE_UNIT, 2));
        assert_int_equal(told(w, DATAPATH_UNIT_GONE, 0)->unit.index, index);
        assert_null(units_find_index(&w->m->units, index));
        assert_int_equal(w->m->units.n_units, 0);
        assert_string_equal(units_find_former(&w->m->units, index)->name, "a.service");
}

static void what_an_earlier_life_left_is_judged_again_when_the_unit_lives_again(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), ended = make_unit("a.service", 0, HELPER_INACTIVE, 0);
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        helper_event(w, HELPER_UNIT, &active);
        settle(w);
        w->n_busy = 1000;
        helper_event(w, HELPER_UNIT, &ended);
        settle(w);
        forget_log(w);
        attach(w, "a.service", 78);
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.cgroup_id, 77); /* a listener in its file descriptor store */
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, 0);
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 1)->unit.cgroup_id, 78);
        assert_int_equal(asked(w, HELPER_ENFORCE_UNIT, 1)->unit.flags, 0);
        assert_int_not_equal(asked(w, HELPER_ENFORCE_UNIT, 0)->unit.index, asked(w, HELPER_ENFORCE_UNIT, 1)->unit.index);
}

static void changed_labels_make_a_new_token_and_everything_decided_is_forgotten(void **state) {
        World *w = *state;
        HelperReply reloaded = { .header.type = HELPER_RELOADED };

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        start(w, PSK);
        forget_log(w);
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1); /* nothing changed */
        settle(w);
        assert_null(told(w, DATAPATH_FORGET, 0));
        assert_null(asked(w, HELPER_LIST_SOCKETS, 0));
        forget_log(w);
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=db\n";
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1);
        settle(w);
        assert_non_null(told(w, DATAPATH_UNIT, 0));
        assert_non_null(memmem(told(w, DATAPATH_UNIT, 0)->unit.token, told(w, DATAPATH_UNIT, 0)->unit.token_len, "db", 2));
        assert_int_equal(told(w, DATAPATH_FORGET, 0)->forget.flags, DATAPATH_FORGET_DECISIONS);
        assert_non_null(asked(w, HELPER_LOCAL_FORGET, 0));
        assert_non_null(asked(w, HELPER_LIST_SOCKETS, 0)); /* live connections are judged again */
        assert_null(asked(w, HELPER_CLOSE_UNIT, 0));
        forget_log(w);
        w->n_listed = 0;
        w->texts[0][1] = "";
        w->listed[0].active = HELPER_ACTIVE;
        w->n_listed = 1;
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1); /* no longer labelled */
        settle(w);
        assert_int_equal(asked(w, HELPER_RELEASE_UNIT, 0)->unit.flags, HELPER_RELEASE_UNLABELLED);
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_reload_that_says_removed_ends_nothing(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        start(w, PSK);
        forget_log(w);
        helper_event(w, HELPER_UNIT_GONE, &w->listed[0]);
        settle(w);
        assert_non_null(units_find(&w->m->units, "a.service"));
        assert_null(asked(w, HELPER_ENFORCE_UNIT, 0));
        w->n_listed = 0; /* really gone */
        helper_event(w, HELPER_UNIT_GONE, &w->listed[0]);
        settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_socket_inherits_from_its_service_and_labels_from_the_slices_above(void **state) {
        HelperUnit u = make_unit("a.socket", 77, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);
        World *w = *state;
        const Unit *unit;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web name=%n\n";
        w->texts[1][0] = "x-y.slice";
        w->texts[1][1] = "[X-Trireme]\nTriremeLabels=tier=front\n";
        w->texts[2][0] = "x.slice";
        w->texts[2][1] = "[X-Trireme]\nTriremeLabels=env=prod\n";
        strcpy(u.triggers, "a.service");
        strcpy(u.slice, "x-y.slice");
        start(w, PSK);
        helper_event(w, HELPER_ATTACH, &u);
        settle(w);
        unit = units_find(&w->m->units, "a.socket");
        assert_non_null(unit);
        assert_true(tag_set_has(&unit->policy->labels, "@usr:app", "web"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:name", "a.service"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:tier", "front"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:env", "prod"));
        assert_true(tag_set_has(&unit->policy->tags, "@sys:unit", "a.socket"));
        assert_true(tag_set_has(&unit->policy->tags, "@sys:unit", "a.service"));
        assert_string_equal(asked(w, HELPER_OPEN_UNIT_FILES, 4)->request.unit, "-.slice");
}

static void a_denial_is_remembered_and_told_to_the_journal_but_a_flood_is_counted(void **state) {
        DatapathFlows flows = { .header.type = DATAPATH_FLOWS, .n_flows = 20 };
        const HelperMessage *record;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        start(w, PSK);
        attach(w, "a.service", 77);
        forget_log(w);
        for (unsigned i = 0; i < flows.n_flows; i++)
                flows.flows[i] = (DatapathFlow) {
                        .unit = units_find(&w->m->units, "a.service")->index, .verdict = DATAPATH_FLOW_REJECT, .direction = DATAPATH_ACCEPT,
                        .family = AF_INET, .protocol = IPPROTO_TCP, .sport = (uint16_t) (1000 + i), .dport = 80, .reason = REASON_NO_IDENTITY,
                };
        assert_int_equal(send(w->datapath, &flows, offsetof(DatapathFlows, flows) + flows.n_flows * sizeof(DatapathFlow), 0),
                         offsetof(DatapathFlows, flows) + flows.n_flows * sizeof(DatapathFlow));
        settle(w);
        assert_int_equal(w->m->flows.last_serial, 20);
        assert_string_equal(flow_log_get(&w->m->flows, 20)->unit, "a.service");
        record = asked(w, HELPER_RECORD, 0);
        assert_non_null(record);
        assert_string_equal(record->record.reason, "no-identity");
        assert_int_equal(record->record.dport, 80);
        assert_non_null(asked(w, HELPER_RECORD, 9));
        assert_null(asked(w, HELPER_RECORD, 10));
        assert_int_equal(units_find(&w->m->units, "a.service")->n_suppressed, 10);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(an_attached_unit_is_enforced_and_only_then_let_go),
                TEST(a_local_question_is_answered_and_the_kernel_is_told),
                TEST(a_unit_with_bad_settings_starts_but_is_denied_everything_and_says_why),
                TEST(without_a_key_every_unit_is_denied_with_that_reason),
                TEST(a_unit_that_is_not_labelled_is_let_go),
                TEST(a_unit_that_cannot_be_enforced_does_not_start),
                TEST(a_unit_found_running_is_closed_then_enforced_and_its_strangers_are_cut),
                TEST(an_attached_unit_keeps_its_index_over_a_restart_of_the_enforcer),
                TEST(a_profile_number_that_another_unit_uses_is_not_added_to),
                TEST(an_access_list_that_the_kernel_refuses_closes_its_unit),
                TEST(an_ended_unit_is_closed_at_once_and_released_when_its_last_socket_is_gone),
                TEST(what_an_earlier_life_left_is_judged_again_when_the_unit_lives_again),
                TEST(changed_labels_make_a_new_token_and_everything_decided_is_forgotten),
                TEST(a_reload_that_says_removed_ends_nothing),
                TEST(a_socket_inherits_from_its_service_and_labels_from_the_slices_above),
                TEST(a_denial_is_remembered_and_told_to_the_journal_but_a_flood_is_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
