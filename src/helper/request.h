/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the enforcer may ask for: one table of type, size and handler (request.c). A packet is first checked as it is, without looking at the
 * state of anything (request-check.c); handlers check its arguments against what there is. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "helper/box.h"
#include "ipc/helper-protocol.h"
#include "util/macro.h"

typedef struct Manager Manager;

/* What a type looks like; NULL: not a request. */
typedef struct RequestShape {
        const char *name;
        size_t size;
        size_t n_fds;
        bool quiet; /* not worth a line of the log each */
} RequestShape;

const RequestShape *request_shape(uint32_t type);

/* 0; -EBADMSG: too short for a header, unknown type, size or number of descriptors wrong, reserved bytes set; -EINVAL: a value that no request may have
 * (text without NUL or not a unit name, family, prefix, ports upside down, ...). */
_must_use_ int request_check(const void *packet, size_t size, size_t n_fds);

/* Checked requests as boxes of the table. */
_must_use_ int request_box_of_acl(const HelperAcl *acl, Box *ret);
_must_use_ int request_box_of_network(const HelperNetwork *network, Box *ret);

/* Carries out one checked request and answers it, now or later. fd: the descriptor that came with it, or -1; borrowed. */
void request_handle(Manager *m, const HelperHeader *request, int fd);
