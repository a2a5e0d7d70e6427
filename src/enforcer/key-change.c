/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/key-change.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "enforcer/cut.h"
#include "enforcer/datapath-client.h"
#include "enforcer/enforce.h"
#include "enforcer/number-sweep.h"
#include "enforcer/verify-client.h"
#include "ipc/credentials-protocol.h"
#include "util/fd.h"
#include "util/log.h"

#define FETCH_USEC (30 * USEC_PER_SEC) /* a TPM that decrypts takes its time */
/* PID 1 rejects who waits when a service of the socket ends: one that could not have its credentials, or one that has served another reload. */
#define FETCH_TRIES 5u
#define FETCH_AGAIN_USEC (100 * USEC_PER_MSEC) /* it goes on rejecting for a moment */

struct KeyFetch {                      /* one at a time, the last of the list */
        KeyFetch *next;
        Manager *manager;
        sd_event_source *io, *timer;   /* NULL: waits for its turn */
        sd_event_source *again;
        unsigned n_tries;
        key_change_done_t done;
        void *userdata;
};

static int64_t now_sec(void) {
        return (int64_t) (clock_realtime_usec() / USEC_PER_SEC);
}

static int keys_from(const Manager *m, int directory, Keys **ret) {
        const KeySource source = { .directory = directory, .exposed = CREDENTIALS_EXPOSED_PATH, .machine = m->node };

        return keys_load(&source, now_sec(), clock_boottime_usec(), ret);
}

static int open_directory(const char *path) {
        int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        if (path && fd < 0)
                log_error_errno(errno, "Cannot open %s", path);
        return fd;
}

/* ---- taking others ---- */

/* With certificates that is done when all of them are judged. */
static unsigned judge_numbers(Manager *m) {
        return m->keys->mode == KEY_PSK ? peer_numbers_judge(m->numbers, m->keys, m->certificates, clock_boottime_usec()) : 0;
}

/* Takes keys. */
static void put_in_force(Manager *m, Keys *keys) {
        unsigned n_revoked;
        int r = 0;

        keys_succeed(keys, m->keys, clock_boottime_usec());
        keys_free(m->keys);
        m->keys = keys;
        if (keys->mode == KEY_PKI)
                r = verify_client_start(m, -1);
        else
                verify_client_stop(m);
        if (r < 0)
                log_error_errno(r, "Cannot reach the certificate verifier");
        verify_client_renew(m);
        n_revoked = peers_revoke_unknown(m->peers, keys) + judge_numbers(m);
        datapath_forget(m, DATAPATH_FORGET_DECISIONS | (n_revoked > 0 ? DATAPATH_FORGET_KEYS : 0), 0);
        enforce_refresh_all(m);
        if (n_revoked > 0)
                cut_all(m);
        log_notice("New keys are in force (%s)", key_mode_to_string(keys->mode));
        manager_update_status(m);
}

static int change_keys(Manager *m, int directory, char **ret_text) {
        Keys *keys;
        int r = keys_from(m, directory, &keys);

        if (r < 0)
                return r;
        if (keys->fault && m->keys->mode != KEY_NONE) {
                *ret_text = strdup(keys->fault);
                keys_free(keys);
                return -EINVAL;
        }
        if (keys_equal(keys, m->keys) && m->keys->mode != KEY_NONE)
                keys_free(keys);
        else
                put_in_force(m, keys);
        return 0;
}

/* ---- fetching them ---- */

static void fetch_free(KeyFetch *f) {
        for (KeyFetch **p = &f->manager->key_fetches; *p; p = &(*p)->next)
                if (*p == f) {
                        *p = f->next;
                        break;
                }
        sd_event_source_disable_unref(f->io);
        sd_event_source_disable_unref(f->timer);
        sd_event_source_disable_unref(f->again);
        free(f);
}

static void finish(Manager *m, int r, int directory, key_change_done_t done, void *userdata) {
        _cleanup_free_ char *text = NULL;

        if (r >= 0)
                r = change_keys(m, directory, &text);
        else if (r == -ECONNRESET)
                text = strdup("systemd cannot read or decrypt the credentials; see: journalctl -u trireme-credentials.service");
        if (r < 0)
                log_error_errno(r, "Cannot take new keys, those in force stay in force%s%s", text ? ": " : "", text ?: "");
        if (done)
                done(m, r, text, userdata);
}

static void fetch_finish(KeyFetch *f, int r, int directory) {
        Manager *m = f->manager;
        key_change_done_t done = f->done;
        void *userdata = f->userdata;

        finish(m, r, directory, done, userdata);
        fetch_free(f); /* closes the connection, at which the credentials vanish: only now */
}

/* *ret stays -1 where there is no credential at all. -ECONNRESET: nobody is there any more who would pass it. */
static int receive_directory(int fd, int *ret) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control;
        uint8_t byte;
        struct iovec iov = { &byte, sizeof(byte) };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;

        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(ret, CMSG_DATA(c), sizeof(*ret));
        return n < 0 ? -errno : n == 0 ? -ECONNRESET : 0;
}

static int fetch_again(KeyFetch *f);
static void fetch_next(Manager *m);

static int on_directory(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        _cleanup_close_ int directory = -1;
        KeyFetch *f = userdata;
        Manager *m = f->manager;
        int r = receive_directory(fd, &directory);

        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r == -ECONNRESET && f->n_tries < FETCH_TRIES) {
                r = fetch_again(f);
                if (r >= 0)
                        return 0;
        }
        fetch_finish(f, r, directory);
        fetch_next(m);
        return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        KeyFetch *f = userdata;
        Manager *m = f->manager;

        fetch_finish(f, -ETIMEDOUT, -1);
        fetch_next(m);
        return 0;
}

static int connect_source(void) {
        const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = CREDENTIALS_SOCKET_PATH };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int fetch_connect(KeyFetch *f) {
        _cleanup_close_ int fd = connect_source();
        int r;

        if (fd < 0)
                return fd;
        f->n_tries++;
        f->io = sd_event_source_disable_unref(f->io);
        r = sd_event_add_io(f->manager->event, &f->io, fd, EPOLLIN, on_directory, f);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(f->io, true);
        if (r < 0)
                return r;
        TAKE_FD(fd);
        return 0;
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata) {
        KeyFetch *f = userdata;
        Manager *m = f->manager;
        int r = fetch_connect(f);

        if (r < 0) {
                fetch_finish(f, r, -1);
                fetch_next(m);
        }
        return 0;
}

static int fetch_again(KeyFetch *f) {
        int r = sd_event_source_set_enabled(f->io, SD_EVENT_OFF);

        if (r < 0)
                return r;
        f->again = sd_event_source_disable_unref(f->again);
        return sd_event_add_time_relative(f->manager->event, &f->again, CLOCK_BOOTTIME, FETCH_AGAIN_USEC, 0, on_again, f);
}

static int fetch_begin(KeyFetch *f) {
        int r = fetch_connect(f);

        return r < 0 ? r : sd_event_add_time_relative(f->manager->event, &f->timer, CLOCK_BOOTTIME, FETCH_USEC, 0, on_timeout, f);
}

/* Begins the one that has waited longest. */
static void fetch_next(Manager *m) {
        for (KeyFetch *f = m->key_fetches; f; f = m->key_fetches) {
                int r;

                while (f->next)
                        f = f->next;
                r = f->io ? 0 : fetch_begin(f);
                if (r >= 0)
                        return;
                fetch_finish(f, r, -1);
        }
}

static int fetch_start(Manager *m, key_change_done_t done, void *userdata) {
        KeyFetch *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        *f = (KeyFetch) { .next = m->key_fetches, .manager = m, .done = done, .userdata = userdata };
        m->key_fetches = f;
        r = f->next ? 0 : fetch_begin(f);
        if (r < 0)
                fetch_free(f);
        return r;
}

void key_change_reload(Manager *m, key_change_done_t done, void *userdata) {
        _cleanup_close_ int directory = -1;
        int r = fetch_start(m, done, userdata);

        if (r >= 0)
                return;
        if (r != -ENOENT) {
                finish(m, r, -1, done, userdata);
                return;
        }
        directory = open_directory(m->credentials); /* started by hand, without our sockets */
        finish(m, 0, directory, done, userdata);
}

void key_change_stop(Manager *m) {
        while (m->key_fetches)
                fetch_finish(m->key_fetches, -ECANCELED, -1);
}

/* ---- the first ones, and time ---- */

static void note_clock(Manager *m) {
        int r = wall_clock_note(&m->clock, now_sec());

        if (r < 0)
                log_warning_errno(r, "Cannot write down the time");
        if (r > 0)
                log_warning("The wall clock is %" PRIi64 " s behind what it was before; peers may refuse our tokens, and we theirs", m->clock.behind_sec);
}

int key_change_start(Manager *m) {
        _cleanup_close_ int directory = open_directory(m->credentials);
        int r = keys_from(m, directory, &m->keys);

        if (r < 0)
                return log_error_errno(r, "Cannot make the node's keys");
        note_clock(m);
        if (m->keys->fault)
                log_error("No usable key, so every unit is denied: %s", m->keys->fault);
        if (judge_numbers(m) > 0)
                cut_all(m);
        return m->keys->mode == KEY_PKI ? verify_client_start(m, -1) : 0;
}

void key_change_tick(Manager *m) {
        const KeyTimes times = manager_key_times(m);
        int r;

        note_clock(m);
        number_sweep(m, clock_boottime_usec());
        r = keys_rotate_dh(m->keys, &times, clock_boottime_usec());
        if (r < 0)
                log_error_errno(r, "Cannot make a new Diffie-Hellman key, keeping the old one");
        r = keys_judge(m->keys, now_sec());
        if (r < 0)
                log_error_errno(r, "Cannot judge this node's certificate");
        if (r > 0) {
                log_notice("This node's certificate: %s", m->keys->fault ?: "it can be used again");
                enforce_refresh_all(m);
        } else
                enforce_refresh_tokens(m);
        manager_update_status(m);
}
