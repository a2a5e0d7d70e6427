/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "datapath/control.h"
#include "datapath/datapath.h"
#include "ipc/marks.h"
#include "util/fd.h"
#include "util/log.h"

#define RECEIVE_BATCH 64u /* then the packets get their turn */

typedef union ControlMessage { /* what the enforcer may send */
        DatapathHeader header;
        DatapathHello hello;
        DatapathConfig config;
        DatapathUnit unit;
        DatapathResolved resolved;
        DatapathForget forget;
} ControlMessage;

int control_listen(Control *c, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return log_error_errno(ENAMETOOLONG, "%s", path);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 4) < 0)
                return log_error_errno(errno, "Cannot listen on %s", path);
        c->listen_fd = TAKE_FD(fd);
        return 0;
}

void control_close(Control *c) {
        closep(&c->listen_fd);
        closep(&c->fd);
        *c = (Control) CONTROL_INIT;
}

/* Nobody will answer any more: what waits is dropped, TCP sends it again. What is known stays known. */
static void control_lost(Datapath *d) {
        uint32_t serial;

        closep(&d->control.fd);
        d->control.fd = -1;
        d->control.greeted = false;
        while ((serial = pending_set_any(d->pending)) != 0)
                pending_dispatch(d, serial, NULL, 0);
}

void control_accept(Datapath *d) {
        const DatapathHello hello = { .header.type = DATAPATH_HELLO, .version = DATAPATH_PROTOCOL_VERSION };
        _cleanup_close_ int fd = accept4(d->control.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (fd < 0) {
                if (errno != EAGAIN && errno != ECONNABORTED)
                        log_warning_errno(errno, "Cannot accept the enforcer's connection");
                return;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || (peer.uid != d->control.peer_uid && peer.uid != 0)) {
                log_warning("Refused a control connection of uid %u", peer.uid);
                return;
        }
        if (d->control.fd >= 0)
                control_lost(d);
        d->control.fd = TAKE_FD(fd);
        if (control_send(&d->control, &hello, sizeof(hello)) < 0)
                log_warning("Cannot greet the enforcer");
}

int control_send(Control *c, const void *message, size_t len) {
        if (c->fd < 0)
                return -ENOTCONN;
        return send(c->fd, message, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int on_hello(Datapath *d, const DatapathHello *m) {
        if (m->version != DATAPATH_PROTOCOL_VERSION)
                return log_error_errno(EPROTO, "The enforcer speaks version %u, we speak %u; restart both", m->version, DATAPATH_PROTOCOL_VERSION);
        d->control.greeted = true;
        unit_table_begin(d->handshake.units);
        log_info("Connected to the enforcer");
        return 0;
}

static int on_config(Datapath *d, const DatapathConfig *m) {
        if (m->conntrack_mark_mask == 0 || m->n_translated > DATAPATH_TRANSLATED_MAX)
                return -EINVAL;
        for (uint32_t i = 0; i < m->n_translated; i++)
                if (m->translated[i].prefix_len > 128)
                        return -EINVAL;
        d->mark_mask = m->conntrack_mark_mask;
        d->handshake.deny_drop = m->deny_drop;
        d->handshake.require_direct_path = m->require_direct_path;
        d->handshake.n_translated = m->n_translated;
        memcpy(d->handshake.translated, m->translated, sizeof(d->handshake.translated));
        return 0;
}

static int on_unit(Datapath *d, const DatapathUnit *m, usec_t now) {
        int r = unit_table_set(d->handshake.units, m);

        if (r < 0)
                return r;
        waiting_dispatch(d, &(WaitKey) { .unit = m->index }, now);
        return 0;
}

static void on_resolved(Datapath *d, const DatapathResolved *m, usec_t now) {
        const DatapathResolve *question = pending_set_question(d->pending, m->header.serial);
        int r;

        if (!question)
                return; /* too late */
        r = peer_cache_learn(d->handshake.peers, question, m, now);
        if (r < 0)
                log_warning_errno(r, "Cannot use an answer of the enforcer");
        pending_dispatch(d, m->header.serial, r < 0 ? NULL : m, now);
}

/* Returns the size a message of this type must have, 0: not one the enforcer sends. */
static size_t message_size(uint32_t type) {
        switch (type) {
        case DATAPATH_HELLO: return sizeof(DatapathHello);
        case DATAPATH_CONFIG: return sizeof(DatapathConfig);
        case DATAPATH_UNIT: return sizeof(DatapathUnit);
        case DATAPATH_UNIT_GONE: return sizeof(DatapathUnit);
        case DATAPATH_SYNCED: return sizeof(DatapathHeader);
        case DATAPATH_RESOLVED: return sizeof(DatapathResolved);
        case DATAPATH_FORGET: return sizeof(DatapathForget);
        default: return 0;
        }
}

static int control_dispatch(Datapath *d, const ControlMessage *m, size_t len, usec_t now) {
        if (len < sizeof(m->header) || len != message_size(m->header.type))
                return -EBADMSG;
        if (!d->control.greeted && m->header.type != DATAPATH_HELLO)
                return -EPROTO;
        switch (m->header.type) {
        case DATAPATH_HELLO:
                return on_hello(d, &m->hello);
        case DATAPATH_CONFIG:
                return on_config(d, &m->config);
        case DATAPATH_UNIT:
                return on_unit(d, &m->unit, now);
        case DATAPATH_UNIT_GONE:
                unit_table_remove(d->handshake.units, m->unit.index);
                return 0;
        case DATAPATH_SYNCED:
                unit_table_end(d->handshake.units);
                return 0;
        case DATAPATH_RESOLVED:
                on_resolved(d, &m->resolved, now);
                return 0;
        default: /* DATAPATH_FORGET */
                peer_cache_forget(d->handshake.peers, m->forget.flags, m->forget.unit);
                return 0;
        }
}

void control_receive(Datapath *d, uint64_t now) {
        ControlMessage m;

        for (size_t i = 0; i < RECEIVE_BATCH; i++) {
                ssize_t n = recv(d->control.fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);
                int r;

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                r = n > 0 ? control_dispatch(d, &m, (size_t) n, now) : n < 0 ? -errno : -ECONNRESET;
                if (r < 0) {
                        if (r != -ECONNRESET)
                                log_error_errno(r, "The enforcer's connection is unusable");
                        else
                                log_info("The enforcer has gone");
                        control_lost(d);
                        break;
                }
        }
        crypto_wipe(&m, sizeof(m)); /* pair keys */
}
