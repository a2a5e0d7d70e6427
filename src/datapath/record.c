/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "datapath/record.h"

void records_add(Records *r, Control *control, const DatapathFlow *flow, usec_t now) {
        if (r->batch.n_flows == 0)
                r->flush_usec = now + RECORDS_DELAY_USEC;
        r->batch.flows[r->batch.n_flows] = *flow;
        r->batch.flows[r->batch.n_flows++].time_usec = clock_realtime_usec();
        if (r->batch.n_flows == DATAPATH_FLOWS_MAX)
                records_flush(r, control);
}

void records_flush(Records *r, Control *control) {
        if (r->batch.n_flows == 0)
                return;
        r->batch.header.type = DATAPATH_FLOWS;
        if (control_send(control, &r->batch, offsetof(DatapathFlows, flows) + r->batch.n_flows * sizeof(DatapathFlow)) >= 0)
                r->batch.n_lost = 0;
        else
                r->batch.n_lost += r->batch.n_flows;
        r->batch.n_flows = 0;
}
