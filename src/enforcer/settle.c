/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All units are listed once more; when that is over and what it caused to be read has been, the helper, which changes the table in the order in which it is asked to, is
 * asked one question more. Its answer says that the table is changed. What others cause meanwhile is not waited for: on a busy host there is always something. */
#include "enforcer/settle.h"

#include <errno.h>

#include "enforcer/helper-client.h"
#include "enforcer/load.h"
#include "util/log.h"

struct Settle {
        Settle *next;
        settle_done_t done;
        void *userdata;
        unsigned list;            /* Units.listing of the list that knows the change */
        bool listed, asked;
        uint64_t n_loads;         /* begun by the end of that list */
};

static void settle_finish(Manager *m, bool asked, int result) {
        for (Settle **i = &m->settles; *i;) {
                Settle *s = *i;

                if (asked && !s->asked) {
                        i = &s->next;
                        continue;
                }
                *i = s->next;
                s->done(result, s->userdata);
                free(s);
        }
        if (!m->settles)
                m->settle_post = sd_event_source_disable_unref(m->settle_post);
}

static void on_helper_answer(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg && result != -ECONNRESET)
                settle_finish(helper_manager(l), true, 0);
}

static bool is_in_force(const Manager *m, Settle *s) {
        if (!m->helper_ready || m->list_ended < s->list)
                return false;
        if (!s->listed)
                s->n_loads = m->n_loads;
        s->listed = true;
        if (loads_any_until(m, s->n_loads))
                return false;
        for (const Unit *u = m->units.first; u; u = u->next)
                if (u->closing || (u->profile && !u->profile->ready))
                        return false;
        return true;
}

/* After each round of the event loop in which anything happened. */
static int on_post(sd_event_source *source, void *userdata) {
        bool asked = false;
        Manager *m = userdata;

        for (Settle *s = m->settles; s; s = s->next) {
                if (s->asked || !is_in_force(m, s))
                        continue;
                if (!asked && helper_request(m, HELPER_GET_STATE, "", 0, on_helper_answer, NULL) < 0)
                        return 0;
                s->asked = asked = true;
        }
        return 0;
}

void settle_start(Manager *m, settle_done_t done, void *userdata) {
        Settle *s = calloc(1, sizeof(*s));
        int r = s ? 0 : -ENOMEM;

        if (r >= 0 && !m->settle_post)
                r = sd_event_add_post(m->event, &m->settle_post, on_post, m);
        if (r < 0) {
                free(s);
                done(r, userdata);
                return;
        }
        helper_list_units(m);
        *s = (Settle) { .next = m->settles, .done = done, .userdata = userdata, .list = m->units.listing + (m->list_again ? 1 : 0) };
        m->settles = s;
}

void settle_restart(Manager *m) {
        for (Settle *s = m->settles; s; s = s->next) {
                s->listed = s->asked = false;
                s->list = m->units.listing + 1;
        }
}

void settle_stop(Manager *m) {
        settle_finish(m, false, -ECANCELED);
}
