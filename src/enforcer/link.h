/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A client's end of a SOCK_SEQPACKET connection to one of our other processes: connects, reconnects with backoff, queues what the socket does not take,
 * and pairs answers with requests by serial. Knows no message beyond the common head {type, serial}. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "util/macro.h"

#define LINK_QUEUE_MAX 65536u  /* messages waiting for the socket; more means the other side hangs: the connection is given up */
#define LINK_FDS_MAX 128u      /* HELPER_DROPINS_MAX and room */

typedef struct LinkHeader { /* HelperHeader and DatapathHeader both begin so */
        uint32_t type, serial;
} LinkHeader;

typedef struct LinkMessage {
        const LinkHeader *header; /* borrowed, whole message of len bytes, aligned */
        size_t len;
        int *fds;                 /* closed after the callback; take one by setting it to -1 */
        size_t n_fds;
} LinkMessage;

typedef struct Link Link;

/* Every message. serial 0 or data: is_final is false; the last answer to a request is the one of the type reply_type. */
typedef void (*link_message_t)(Link *l, const LinkMessage *m, void *userdata);
/* Connected (send HELLO here) or lost; all pending requests have been answered with -ECONNRESET before "lost". */
typedef void (*link_state_t)(Link *l, bool connected, void *userdata);
/* m: data or, as the last call, NULL with result: what the reply said, or -ECONNRESET. */
typedef void (*link_answer_t)(Link *l, const LinkMessage *m, int result, void *userdata);

typedef struct LinkConfig {
        const char *name;         /* for the log, borrowed for ever */
        const char *path;         /* borrowed for ever */
        size_t message_max;       /* largest message we may receive */
        uint32_t reply_type;      /* of {header, int32_t result}; 0: this protocol has none */
        link_message_t on_message;
        link_state_t on_state;
        void *userdata;
} LinkConfig;

/* Returns at once; the first attempt to connect is made from the event loop. */
_must_use_ int link_new(sd_event *event, const LinkConfig *config, Link **ret);
/* The same over a socket that is connected already (tests); it is not reconnected. Takes fd on success. */
_must_use_ int link_new_fd(sd_event *event, const LinkConfig *config, int fd, Link **ret);
Link *link_free(Link *l);
DEFINE_CLEANUP(Link *, link_free);

bool link_is_connected(const Link *l);
void *link_userdata(const Link *l); /* of its LinkConfig */

/* Sends or queues size bytes; the header's serial is the caller's. fd: -1 or a descriptor to attach (duplicated when queued). -ENOTCONN. */
_must_use_ int link_send(Link *l, const void *message, size_t size, int fd);
/* Sets a fresh serial in message and calls answer once for each data message and once at the end, possibly from within link_free(). On failure it is never called. */
_must_use_ int link_request(Link *l, void *message, size_t size, int fd, link_answer_t answer, void *userdata);
