/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/test-world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/fd.h"

/* ---- the helper ---- */

void helper_send(World *w, void *message, size_t size, uint32_t serial, int fd) {
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

void helper_event(World *w, HelperType type, const HelperUnit *unit) {
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
        for (size_t i = 0; r < 0 && i < ELEMENTSOF(w->texts) && w->starting; i++)
                if (w->texts[i][0] && streq(only, w->texts[i][0])) {
                        HelperUnit unit = make_unit(only, 0, HELPER_INACTIVE, HELPER_UNIT_JOB);

                        unit.header.type = HELPER_UNIT;
                        helper_send(w, &unit, sizeof(unit), serial, -1);
                        r = 0;
                }
        return r;
}

static void send_plugin(World *w, uint32_t serial) {
        HelperPlugin plugin = { .header.type = HELPER_PLUGIN };

        (void) snprintf(plugin.name, sizeof(plugin.name), "%s", w->plugin);
        helper_send(w, &plugin, sizeof(plugin), serial, -1);
}

static int send_identity(World *w, uint32_t serial) {
        HelperCredentials credentials = { .header.type = HELPER_CREDENTIALS, .flags = HELPER_FROM_PROCESS };

        if (w->selinux) {
                strcpy(credentials.selinux, w->selinux);
                helper_send(w, &credentials, sizeof(credentials), serial, -1);
        }
        return 0;
}

static int helper_answer(World *w, const HelperMessage *q) {
        switch (q->header.type) {
        case HELPER_OPEN_UNIT_FILES:
                if (w->late && streq(w->late, q->request.unit))
                        return -ETIMEDOUT;
                return w->results[HELPER_OPEN_UNIT_FILES] < 0 ? w->results[HELPER_OPEN_UNIT_FILES] : send_files(w, q);
        case HELPER_GET_IDENTITY:
                return w->results[HELPER_GET_IDENTITY] < 0 ? w->results[HELPER_GET_IDENTITY] : send_identity(w, q->header.serial);
        case HELPER_LIST_UNITS:
                return send_listed(w, NULL, q->header.serial);
        case HELPER_GET_UNIT:
                return w->results[HELPER_GET_UNIT] < 0 ? w->results[HELPER_GET_UNIT] : send_listed(w, q->request.unit, q->header.serial);
        case HELPER_LIST_PLUGINS:
                if (w->plugin)
                        send_plugin(w, q->header.serial);
                return 0;
        case HELPER_LIST_SOCKETS:
                for (size_t i = 0; i < w->n_sockets; i++) {
                        w->sockets[i].header.type = HELPER_SOCKET;
                        if (w->sockets[i].cgroup_id == q->list.cgroup_id)
                                helper_send(w, &w->sockets[i], sizeof(w->sockets[i]), q->header.serial, -1);
                }
                return w->results[HELPER_LIST_SOCKETS];
        case HELPER_LIST_CGROUPS:
                for (size_t i = 0; i < w->n_cgroups; i++) {
                        w->cgroups[i].header.type = HELPER_CGROUP;
                        helper_send(w, &w->cgroups[i], sizeof(w->cgroups[i]), q->header.serial, -1);
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

void world_settle(World *w) {
        bool busy = true;

        while (busy) {
                busy = sd_event_run(w->m->event, 2000) > 0;
                while (helper_step(w))
                        busy = true;
                while (datapath_step(w))
                        busy = true;
        }
}

void world_wait(World *w, unsigned msec) {
        for (unsigned i = 0; i < msec / 20; i++) {
                usleep(20000);
                world_settle(w);
        }
}

void world_forget(World *w) {
        w->n_asked = w->n_told = 0;
}

const HelperMessage *world_asked(const World *w, HelperType type, unsigned n) {
        for (size_t i = 0; i < w->n_asked; i++)
                if (w->asked[i].header.type == type && n-- == 0)
                        return &w->asked[i];
        return NULL;
}

const DatapathMessage *world_told(const World *w, DatapathType type, unsigned n) {
        for (size_t i = 0; i < w->n_told; i++)
                if (w->told[i].header.type == type && n-- == 0)
                        return &w->told[i];
        return NULL;
}

/* ---- the world ---- */

void world_write_policy(const World *w) {
        char text[256];
        FILE *f;

        (void) snprintf(text, sizeof(text), "mkdir -p %s/etc/trireme/policy.d", w->credentials);
        assert_int_equal(system(text), 0);
        (void) snprintf(text, sizeof(text), "%s/etc/trireme/policy.d/p.json", w->credentials);
        f = fopen(text, "we");
        assert_non_null(f);
        assert_true(fputs(w->policy, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void connect_all(World *w) {
        int helper[2], datapath[2];
        ManagerOptions options = { .no_bus = true, .inspect_fd = -1 };

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, helper), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, datapath), 0);
        w->helper = helper[1];
        w->datapath = datapath[1];
        options.credentials = options.config_root = w->credentials;
        options.runtime_directory = options.state_directory = w->remember ? w->credentials : NULL;
        options.helper_fd = helper[0];
        options.datapath_fd = datapath[0];
        assert_int_equal(manager_new(&options, &w->m), 0);
        world_settle(w);
        assert_true(w->m->helper_ready);
        assert_true(w->m->datapath_ready);
}

void world_restart(World *w) {
        w->m = manager_free(w->m);
        close(w->helper);
        close(w->datapath);
        connect_all(w);
}

void world_start(World *w, const char *psk) {
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
        if (w->policy)
                world_write_policy(w);
        connect_all(w);
}

int world_setup(void **state) {
        World *w = calloc(1, sizeof(*w));

        if (w)
                w->starting = true;
        *state = w;
        return w ? 0 : -1;
}

int world_teardown(void **state) {
        World *w = *state;
        char path[128];

        manager_free(w->m);
        close(w->helper);
        close(w->datapath);
        (void) snprintf(path, sizeof(path), "rm -rf '%s'", w->credentials);
        free(w);
        return system(path);
}

HelperUnit make_unit(const char *name, uint64_t cgroup_id, HelperActive active, uint32_t flags) {
        HelperUnit u = { .slice = "system.slice", .cgroup_id = cgroup_id, .active = active, .flags = flags, .level = 2 };

        strcpy(u.unit, name);
        (void) snprintf(u.cgroup, sizeof(u.cgroup), "%s/%s", cgroup_id ? "/system.slice" : "", cgroup_id ? name : "");
        return u;
}

void world_attach(World *w, const char *name, uint64_t cgroup_id) {
        const HelperUnit u = make_unit(name, cgroup_id, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);

        helper_event(w, HELPER_ATTACH, &u);
        world_settle(w);
}
