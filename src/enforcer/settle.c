/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All units are listed once more; when that is over and nothing of it is left to be read, the helper, which changes the table in the order in which it is asked to, is
 * asked one question more. Its answer says that the table is changed. */
#include "enforcer/settle.h"

#include <errno.h>

#include "enforcer/helper-client.h"
#include "util/log.h"

struct Settle {
        Settle *next;
        settle_done_t done;
        void *userdata;
        bool asked;
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
        Manager *m = helper_manager(l);

        if (msg)
                return;
        if (result != -ECONNRESET) {
                settle_finish(m, true, 0);
                return;
        }
        for (Settle *s = m->settles; s; s = s->next) /* the next helper is told of all units, and then asked again */
                s->asked = false;
}

static bool is_in_force(const Manager *m) {
        if (!m->helper_ready || m->listing || m->list_again || m->loads || sd_event_source_get_enabled(m->list_timer, NULL) > 0)
                return false;
        for (const Unit *u = m->units.first; u; u = u->next)
                if (u->closing || (u->profile && !u->profile->ready))
                        return false;
        return true;
}

/* After each round of the event loop in which anything happened. */
static int on_post(sd_event_source *source, void *userdata) {
        Manager *m = userdata;
        bool unasked = false;

        for (Settle *s = m->settles; s; s = s->next)
                unasked = unasked || !s->asked;
        if (!unasked || !is_in_force(m) || helper_request(m, HELPER_GET_STATE, "", 0, on_helper_answer, NULL) < 0)
                return 0;
        for (Settle *s = m->settles; s; s = s->next)
                s->asked = true;
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
        *s = (Settle) { .next = m->settles, .done = done, .userdata = userdata };
        m->settles = s;
        helper_list_units(m);
}

void settle_stop(Manager *m) {
        settle_finish(m, false, -ECANCELED);
}
