/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Asks trireme-inspect (ipc/inspect-protocol.h). A worker that dies costs the questions it was at one try each. */

#include <systemd/sd-event.h>

#include "ipc/inspect-protocol.h"
#include "util/macro.h"

#define INSPECT_TRIES 3u     /* a file that kills the worker each time is given up */
#define INSPECT_WAITING_MAX 1024u

typedef struct Inspector Inspector;

/* fd: a connected socket, which is all it ever has; -1: it connects when there is a question, and lets go when there was none for a while. event is borrowed. */
_must_use_ int inspector_new(sd_event *event, int fd, Inspector **ret);
Inspector *inspector_free(Inspector *i); /* answers what is pending with -ECONNRESET */
DEFINE_CLEANUP(Inspector *, inspector_free);

/* Called once: with the data, or NULL and why there is none. */
typedef void (*inspect_answer_t)(const InspectHeader *data, int result, void *userdata);
/* name: of the library, "" where none is asked for. fd is duplicated. */
_must_use_ int inspector_ask(Inspector *i, InspectType type, const char *name, int fd, inspect_answer_t answer, void *userdata);
