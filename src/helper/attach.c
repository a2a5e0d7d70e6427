/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attaching a unit ahead of its first process. The client says nothing about the unit: what counts is the cgroup it runs in, that of
 * trireme-attach@UNIT.service. The unit's own cgroup is made here, before PID 1 would; PID 1 takes the directory as it is, so that the id
 * that goes into the table as "closed" now is the id that the unit's sockets will bear. */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "helper/attached.h"
#include "helper/cgroup.h"
#include "helper/manager.h"
#include "helper/process.h"
#include "ipc/attach-protocol.h"
#include "ipc/record.h"
#include "util/fd.h"
#include "util/log.h"

#define ATTACH_TIMEOUT (20 * USEC_PER_SEC) /* without any attach having been answered */
#define ATTACH_TIMEOUT_MAX (80 * USEC_PER_SEC)
#define ATTACHING_MAX 64u /* at a time: when a thousand units start at once, each question to PID 1 about all of them would wait behind a thousand others, and time out */
#define ENDING_POLL (10 * USEC_PER_MSEC)
#define ATTACH_CGROUP "/trireme-attach@" /* Slice=-.slice, see the unit file */
#define ATTACH_AGAIN "trireme-attach-again@"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

struct Attach {
        Manager *manager;
        Attach *next;
        int fd;
        int pidfd;                /* of the client; -1 where the kernel does not give it */
        pid_t pid;
        sd_event_source *io, *timer, *again;
        bool asked;               /* PID 1 is being asked: the object must stay until it has answered */
        bool gone;
        bool waiting;             /* for its turn */
        bool counted;             /* one of n_attaching */
        usec_t since;
        bool announced;           /* its unit is closed in the table, and unit below is complete */
        bool second;              /* by way of ATTACH_AGAIN, after one that met the unit running */
        bool prepared;            /* the control group is the one that the coming start will take */
        char name[HELPER_UNIT_NAME_MAX];
        HelperUnit unit;
};

static void attach_count_off(Attach *a) {
        if (!a->counted)
                return;
        a->counted = false;
        a->manager->n_attaching--;
        if (sd_event_source_set_enabled(a->manager->attach_next, SD_EVENT_ONESHOT) < 0)
                log_error("Cannot go on with the attach clients that wait");
}

static void attach_close(Attach *a) {
        a->waiting = false;
        a->io = sd_event_source_disable_unref(a->io);
        a->timer = sd_event_source_disable_unref(a->timer);
        a->again = sd_event_source_disable_unref(a->again);
        closep(&a->fd);
        closep(&a->pidfd);
        a->fd = a->pidfd = -1;
        a->gone = true;
        pid1_forget(a->manager->pid1, a->name);
        if (a->asked)
                return;
        for (Attach **i = &a->manager->attaches; *i; i = &(*i)->next)
                if (*i == a) {
                        *i = a->next;
                        break;
                }
        attach_count_off(a);
        free(a);
}

void attach_free_all(Manager *m) {
        while (m->attaches) {
                m->attaches->asked = false;
                attach_close(m->attaches);
        }
        m->attach_next = sd_event_source_disable_unref(m->attach_next);
}

/* Where whoever looks after the unit looks: PID 1 says of it only that a dependency failed. */
static void attach_record(const Attach *a, int result, const char *reason) {
        HelperRecord record = { .kind = HELPER_RECORD_SETTINGS, .reason = "closed" };
        int k;

        log_full(LOG_WARNING, result, "%s is not attached%s%s", a->name, reason[0] ? ": " : "", reason);
        memcpy(record.unit, a->name, sizeof(record.unit));
        (void) snprintf(record.text, sizeof(record.text), "it does not start, because it cannot be attached: %s", reason[0] ? reason : strerror(-result));
        k = record_write(&record, "");
        if (k < 0)
                log_debug_errno(k, "Cannot write to the journal of %s", a->name);
}

static void attach_answer(Attach *a, int result, const char *reason) {
        AttachReply reply = { .result = result };

        (void) snprintf(reply.reason, sizeof(reply.reason), "%s", reason);
        if (send(a->fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_warning_errno(errno, "Cannot answer the attach client of %s", a->name);
        if (result < 0)
                attach_record(a, result, reason);
        a->manager->attached_usec = clock_boottime_usec();
        attach_close(a);
}

/* ---- who ---- */

static int client_identify(Attach *a) {
        const char *instance, *suffix = ".service";
        char cgroup[HELPER_CGROUP_MAX];
        size_t len, n = strlen(suffix);
        int k = cgroup_of_pid(a->pid, cgroup);

        if (k < 0)
                return k;
        /* Read through the number of the process, so the process must still be the one that connected. */
        if (a->pidfd >= 0 && !process_alive(a->pidfd))
                return -ESRCH;
        instance = startswith(cgroup, ATTACH_CGROUP);
        if (!instance) {
                instance = startswith(cgroup, "/" ATTACH_AGAIN);
                a->second = instance;
        }
        len = instance ? strlen(instance) : 0;
        if (len <= n || !streq(instance + len - n, suffix) || len - n >= sizeof(a->name))
                return -EPERM;
        memcpy(a->name, instance, len - n);
        a->name[len - n] = '\0';
        return unit_name_is_valid(a->name) ? 0 : -EINVAL;
}

static void attach_start(Attach *a);

static void on_again_queued(int error, void *userdata) {
        Attach *a = userdata;

        a->asked = false;
        if (error < 0 && !a->gone) /* all the same it can fail no more than its unit, by the assertion */
                log_warning_errno(error, "PID 1 will not look again whether %s still runs", a->name);
        if (a->gone)
                attach_close(a);
        else
                attach_answer(a, 0, "");
}

/* A start that waits for this attach is made by PID 1 only if the unit ends now, and would not be prepared: the assertion ends it. So PID 1 is told to look itself, after this
 * attach and immediately before that start. */
static void attach_end_running(Attach *a) {
        char unit[HELPER_UNIT_NAME_MAX + sizeof(ATTACH_AGAIN ".service")];

        (void) snprintf(unit, sizeof(unit), ATTACH_AGAIN "%s.service", a->name);
        if (!a->second && pid1_queue_start(a->manager->pid1, unit, on_again_queued, a) >= 0)
                a->asked = true;
        else
                attach_answer(a, 0, "");
}

/* A unit that was met running needs no attach, unless it has ended meanwhile: then PID 1 is about to start it anew. */
static void on_still_running(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Attach *a = userdata;

        a->asked = false;
        if (a->gone)
                attach_close(a);
        else if (error >= 0 && (unit->cgroup_id != a->unit.cgroup_id || unit->active == HELPER_INACTIVE || unit->active == HELPER_DEACTIVATING)) {
                a->announced = false;
                attach_start(a);
        } else
                attach_end_running(a);
}

static void attach_succeed(Attach *a) {
        int k;

        if (a->asked)
                return;
        if (!a->prepared && pid1_get_unit(a->manager->pid1, a->name, on_still_running, a) >= 0) {
                a->asked = true;
                return;
        }
        k = a->prepared ? attached_write(a->manager->options.attached_dir, a->name, a->unit.cgroup_id, a->unit.cgroup) : 0;
        attach_answer(a, k, k < 0 ? "cannot make its file in /run/trireme/attached" : "");
}

/* ---- start ---- */

static void attach_tell(Attach *a) {
        HelperUnit event = a->unit;

        event.header = (HelperHeader) { .type = HELPER_ATTACH };
        manager_complete_unit(a->manager, &event);
        connection_send(a->manager, &event, sizeof(event), NULL, 0);
}

void attach_announce(Manager *m) {
        for (Attach *a = m->attaches; a; a = a->next)
                if (a->announced && !a->gone)
                        attach_tell(a);
}

int attach_done(Manager *m, const char *unit, int result, const char *reason) {
        int found = -ENOENT;

        for (Attach *a = m->attaches, *next; a; a = next) {
                next = a->next;
                if (a->gone || !a->announced || !streq(a->name, unit))
                        continue;
                found = 0;
                if (result < 0)
                        attach_answer(a, result, reason);
                else
                        attach_succeed(a);
        }
        return found;
}

void attach_let_all_go(Manager *m) {
        for (Attach *a = m->attaches, *next; a; a = next) {
                next = a->next;
                if (a->announced && !a->gone)
                        attach_succeed(a);
        }
}

bool attach_waits(const Manager *m, uint64_t cgroup_id) {
        for (const Attach *a = m->attaches; a; a = a->next)
                if (a->announced && !a->gone && a->unit.cgroup_id == cgroup_id)
                        return true;
        return false;
}

static int unit_close(Attach *a, const HelperUnit *unit) {
        Manager *m = a->manager;
        int k = 0;

        a->unit = *unit;
        a->prepared = unit->active == HELPER_INACTIVE || unit->cgroup_id == 0;
        if (a->prepared) {
                k = cgroup_path_of_unit(unit->unit, unit->slice, a->unit.cgroup);
                if (k >= 0)
                        k = cgroup_make(m->cgroup_root_fd, a->unit.cgroup, &a->unit.cgroup_id);
        }
        if (k < 0)
                return k;
        a->unit.level = cgroup_level(a->unit.cgroup);
        if (a->unit.level > HELPER_LEVEL_MAX)
                return -E2BIG;
        return manager_close_cgroup(m, a->unit.cgroup_id, a->unit.level, 0, false);
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata) {
        attach_start(userdata);
        return 0;
}

static int attach_again(Attach *a) {
        int k;

        if (!a->again)
                return sd_event_add_time_relative(a->manager->event, &a->again, CLOCK_BOOTTIME, ENDING_POLL, 0, on_again, a);
        k = sd_event_source_set_time_relative(a->again, ENDING_POLL);
        return k < 0 ? k : sd_event_source_set_enabled(a->again, SD_EVENT_ONESHOT);
}

static void on_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Attach *a = userdata;
        Manager *m = a->manager;

        a->asked = false;
        if (a->gone) {
                attach_close(a);
                return;
        }
        if (error >= 0 && !streq(unit->unit, a->name))
                error = -ENOENT; /* an alias: the generator names units by their own name */
        if (error >= 0 && unit->active == HELPER_DEACTIVATING) { /* its next start gets another control group than the one that is just being left */
                error = attach_again(a);
                if (error >= 0) {
                        attach_count_off(a); /* that may take its time */
                        return;
                }
        }
        if (error >= 0)
                error = unit_close(a, unit);
        if (error < 0) {
                attach_answer(a, error, error == -E2BIG ? "its control group lies deeper than the rules reach" : "its control group cannot be closed");
                return;
        }
        log_info("%s: control group %s (%llu) is in the table", a->name, a->unit.cgroup, (unsigned long long) a->unit.cgroup_id);
        a->announced = true;
        if (connection_ready(m))
                attach_tell(a);
        else if (manager_is_open(m)) /* it is closed as soon as that is over */
                attach_succeed(a);
        manager_tell_state(m);
}

static void attach_start(Attach *a) {
        int k = attached_remove(a->manager->options.attached_dir, a->name);

        if (k >= 0)
                k = pid1_get_unit_to_attach(a->manager->pid1, a->name, on_unit, a);

        if (k < 0)
                attach_answer(a, k, "PID 1 cannot be asked, or its file in /run/trireme/attached cannot be removed");
        else
                a->asked = true;
}

static void attach_begin(Attach *a) {
        Manager *m = a->manager;

        a->waiting = m->n_attaching >= ATTACHING_MAX;
        if (a->waiting)
                return;
        a->counted = true;
        m->n_attaching++;
        attach_start(a);
}

/* Not from within the end of another: that may be one of many in a row. */
static int on_next(sd_event_source *s, void *userdata) {
        Manager *m = userdata;
        Attach *oldest;

        do {
                oldest = NULL;
                for (Attach *a = m->attaches; a; a = a->next)
                        if (a->waiting)
                                oldest = a;
                if (oldest)
                        attach_begin(oldest);
        } while (oldest && m->n_attaching < ATTACHING_MAX);
        return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Attach *a = userdata;
        usec_t now = clock_boottime_usec();

        if (connection_ready(a->manager) && now < a->manager->attached_usec + ATTACH_TIMEOUT && now < a->since + ATTACH_TIMEOUT_MAX) {
                int k = sd_event_source_set_time(s, MIN(a->manager->attached_usec + ATTACH_TIMEOUT, a->since + ATTACH_TIMEOUT_MAX));

                if (k >= 0)
                        k = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
                if (k >= 0)
                        return 0;
        }
        attach_answer(a, -ETIMEDOUT, connection_ready(a->manager) ? "the enforcer does not answer" : "the enforcer is not there");
        return 0;
}

/* ---- clients ---- */

static int on_client(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        AttachRequest request;
        Attach *a = userdata;
        ssize_t n = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
        int k;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || a->asked || a->announced || a->waiting) { /* it went away, or speaks out of turn */
                attach_close(a);
                return 0;
        }
        k = client_identify(a);
        if (k < 0) {
                log_warning_errno(k, "Refusing an attach client (process %d) that is not in the control group of an attach unit", (int) a->pid);
                attach_close(a);
                return 0;
        }
        log_info("Process %d asks: attach %s", (int) a->pid, a->name);
        if (n != sizeof(request) || request.version != ATTACH_PROTOCOL_VERSION)
                attach_answer(a, -EPROTO, "the attach program is of another version");
        else
                attach_begin(a);
        return 0;
}

static int client_new(Manager *m, int *fd, const struct ucred *peer) {
        Attach *a = calloc(1, sizeof(*a));
        socklen_t len = sizeof(int);
        int k;

        if (!a)
                return -ENOMEM;
        *a = (Attach) { .manager = m, .fd = TAKE_FD(*fd), .pidfd = -1, .pid = peer->pid, .since = clock_boottime_usec(), .next = m->attaches };
        m->attaches = a;
        if (getsockopt(a->fd, SOL_SOCKET, SO_PEERPIDFD, &a->pidfd, &len) < 0)
                a->pidfd = -1;
        k = sd_event_add_io(m->event, &a->io, a->fd, EPOLLIN, on_client, a);
        if (k >= 0)
                k = sd_event_add_time_relative(m->event, &a->timer, CLOCK_BOOTTIME, ATTACH_TIMEOUT, 0, on_timeout, a);
        if (k < 0)
                attach_close(a);
        return k;
}

static int on_connection(sd_event_source *s, int listener, uint32_t revents, void *userdata) {
        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct ucred peer;
        socklen_t len = sizeof(peer);
        int k;

        if (fd < 0)
                return 0;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                k = -errno;
        else if (peer.uid != 0)
                k = -EPERM;
        else
                k = client_new(userdata, &fd, &peer);
        if (k < 0)
                log_warning_errno(k, "Refusing an attach client");
        return 0;
}

int attach_listen(Manager *m) {
        int k = sd_event_add_defer(m->event, &m->attach_next, on_next, m);

        if (k >= 0)
                k = sd_event_source_set_enabled(m->attach_next, SD_EVENT_OFF);
        return k < 0 ? k : sd_event_add_io(m->event, &m->attach_source, m->options.attach_fd, EPOLLIN, on_connection, m);
}
