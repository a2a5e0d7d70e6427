/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Flow records on their way to the enforcer: in batches, and lossy with a count, because a record must never hold up a packet. */

#include "datapath/control.h"
#include "ipc/datapath-protocol.h"
#include "util/clock.h"

#define RECORDS_DELAY_USEC (20 * USEC_PER_MSEC) /* a batch waits no longer than this for company */

typedef struct Records {
        DatapathFlows batch;
        usec_t flush_usec;             /* when the batch must go; meaningless while it is empty */
} Records;

void records_add(Records *r, Control *control, const DatapathFlow *flow, usec_t now);
void records_flush(Records *r, Control *control);
