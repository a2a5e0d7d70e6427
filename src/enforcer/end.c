/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "Inactive" is believed only of the life it is about: an attach comes before the unit's first change of state. While PID 1 has a job for a unit that was attached and
 * not seen active since, its start is still to come; without a job that start was given up. PID 1 announces no change then, so such units are asked about. */
#include "enforcer/end.h"

#include <errno.h>

#include "enforcer/bus.h"
#include "enforcer/datapath-client.h"
#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "enforcer/identity.h"
#include "enforcer/record.h"
#include "enforcer/run-labels.h"
#include "util/log.h"


#define CHECKS_MAX 16u      /* at a time: PID 1 may be busy with a thousand starts, and they are over the later for it */
#define CHECKS_SHIFT_MAX 6u

static void unit_forget(Manager *m, Unit *u) {
        datapath_send_gone(m, u);
        helper_local_forget(m, u->index);
        told_forget(m->told, u->info.cgroup_id);
        u->profile = profile_release(u->profile);
        u->retired = profile_release(u->retired);
        unit_free(&m->units, u);
        manager_update_status(m);
}

static void arm_timer(Manager *m) {
        if (sd_event_source_set_time_relative(m->release_timer, RELEASE_RETRY_USEC) < 0 ||
            sd_event_source_set_enabled(m->release_timer, SD_EVENT_ONESHOT) < 0)
                log_error("Cannot arm the timer that releases ended units");
}

static void on_released(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Unit *u = units_find_index(&m->units, (uint32_t) (uintptr_t) userdata);

        if (!msg && u)
                u->releasing = false;
        if (msg || !u || !u->remnant)
                return;
        if (result >= 0 || result == -ENOENT)
                unit_forget(m, u);
        else if (result != -EBUSY && result != -EAGAIN && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot release %s", u->name);
}

static void release(Manager *m, Unit *u) {
        int r;

        if (u->releasing)
                return;
        r = helper_release(m, u, on_released);
        u->releasing = r >= 0;
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to release %s", u->name);
}

/* After 0, 0.5, 1.5, 3.5 seconds and so on, at last every half a minute. A start that is over is heard of; this is about those that were given up without a word. */
static bool check_is_due(Unit *u) {
        usec_t now = clock_boottime_usec();

        if (u->asked_about || now < u->check_usec)
                return false;
        u->check_usec = now + (RELEASE_RETRY_USEC << u->n_checks);
        if (u->n_checks < CHECKS_SHIFT_MAX)
                u->n_checks++;
        return true;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        unsigned n_checks = 0;
        bool left = false;

        for (Unit *u = m->units.first; u; u = u->next)
                if (u->remnant) {
                        release(m, u);
                        left = true;
                } else if (u->fresh && !u->attach_waits) {
                        if (n_checks < CHECKS_MAX && check_is_due(u)) {
                                enforce_check(m, u->name);
                                n_checks++;
                        }
                        left = true;
                }
        if (m->listed && !m->loads && !helper_looks_again(m)) /* before, a unit may yet turn up that bears one of these ids */
                strays_release(m);
        if (left || m->strays.n > 0)
                arm_timer(m);
        return 0;
}

void end_watch(Manager *m) {
        arm_timer(m);
}

int end_start_timer(Manager *m) {
        int r = sd_event_add_time_relative(m->event, &m->release_timer, CLOCK_BOOTTIME, 0, 0, on_timer, m);

        return r < 0 ? r : sd_event_source_set_enabled(m->release_timer, SD_EVENT_OFF);
}

static void on_closed(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg && result < 0 && result != -ECONNRESET && result != -ENOENT)
                log_error_errno(result, "The helper cannot close a unit that ended");
}

static void unit_close(Manager *m, Unit *u) {
        int r;

        u->state = UNIT_DENIED;
        u->reason = REASON_CLOSED;
        u->token_len = 0;
        datapath_send_unit(m, u);
        r = helper_enforce(m, u, on_closed);
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to close %s", u->name);
}

void end_unit(Manager *m, Unit *u, const char *cause) {
        log_info("%s ended (%s)", u->name, cause);
        unit_make_remnant(&m->units, u);
        for (Unit *other = m->units.first; other; other = other->next)
                if (other->remnant && streq(other->name, u->name))
                        unit_close(m, other);
        bus_emit_detached(m, u->name, cause);
        run_labels_remove(m, u->name);
        release(m, u);
        arm_timer(m);
        manager_update_status(m);
}

static void on_let_go(Link *l, const LinkMessage *msg, int result, void *userdata) {
        if (!msg && result < 0 && result != -ECONNRESET && result != -ENOENT)
                log_error_errno(result, "The helper cannot let a unit go that is not labelled");
}

void end_release_stranger(Manager *m, const char *unit, uint64_t cgroup_id) {
        int r = helper_let_go(m, unit, cgroup_id, on_let_go);

        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to release a unit that is not labelled");
}

void end_unlabelled(Manager *m, Unit *u) {
        log_info("%s is no longer labelled", u->name);
        bus_emit_detached(m, u->name, "unlabelled");
        end_release_stranger(m, u->name, u->info.cgroup_id);
        datapath_forget(m, DATAPATH_FORGET_DECISIONS, 0);
        unit_forget(m, u);
}

/* Of its present life: it has started, or its start was given up. */
static void unit_seen(Manager *m, Unit *u) {
        u->fresh = false;
        if (u->unrecorded)
                record_settings(m, u);
        u->unrecorded = false;
}

static void unit_ended(Manager *m, Unit *u, const HelperUnit *info) {
        if (!u || (u->fresh && (info->flags & HELPER_UNIT_JOB)))
                return;
        unit_seen(m, u);
        u->info.active = info->active;
        end_unit(m, u, info->result[0] ? info->result : (info->flags & HELPER_UNIT_FAILED) ? "failed" : "inactive");
}

/* It starts in a control group that an earlier life of its left behind, with processes in it. */
static bool is_left_behind(const Manager *m, const HelperUnit *info) {
        if (strays_have(m, info->cgroup_id))
                return true;
        for (const Unit *u = m->units.first; u; u = u->next)
                if (u->remnant && u->info.cgroup_id == info->cgroup_id && streq(u->name, info->unit))
                        return true;
        return false;
}

void enforce_event(Manager *m, const HelperUnit *info) {
        Unit *u = units_find(&m->units, info->unit);
        bool again;

        if (info->active == HELPER_INACTIVE) {
                unit_ended(m, u, info);
                return;
        }
        /* What waits to be started anew is "activating" already, without a control group: that is not yet the start that was prepared. */
        if (u && u->fresh && info->active == HELPER_ACTIVATING && info->cgroup_id != u->info.cgroup_id)
                return;
        if (!u) { /* started, but not by way of an attach: it may be labelled all the same, or not any more; or taken for ended too soon */
                if (info->cgroup_id && (!(info->flags & HELPER_UNIT_ATTACHED) || (info->active != HELPER_DEACTIVATING && is_left_behind(m, info))))
                        enforce_evaluate(m, info, false);
                return;
        }
        unit_seen(m, u);
        again = ((u->info.flags ^ info->flags) & ENFORCE_FLAGS_THAT_DENY) || (info->cgroup_id && info->cgroup_id != u->info.cgroup_id);
        if (again) {
                enforce_evaluate(m, info, false);
                return;
        }
        if (info->cgroup_id && unit_take_info(u, info) < 0)
                log_error("Out of memory for what is new of %s", u->name);
        identity_event(m, u);
}

static void on_unit(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Unit *u;

        if (msg) {
                if (msg->header->type == HELPER_UNIT && msg->len == sizeof(HelperUnit))
                        enforce_event(m, (const HelperUnit *) msg->header);
                return;
        }
        u = units_find_index(&m->units, (uint32_t) (uintptr_t) userdata);
        if (u)
                u->asked_about = false;
        if (result == -ENOENT && u && !u->remnant && !u->attach_waits)
                end_unit(m, u, u->gone_result[0] ? u->gone_result : "gone");
        else if (result < 0 && result != -ENOENT && result != -ECONNRESET) /* or what has ended would be kept for ever */
                manager_list_again(m);
}

/* "Removed" is also said of every unit in a daemon-reload, and an attach unit can be stopped by hand: ask what the unit does. */
void enforce_check(Manager *m, const char *unit) {
        Unit *u = units_find(&m->units, unit);
        int r;

        if (!u)
                return;
        u->asked_about = true;
        r = helper_request(m, HELPER_GET_UNIT, unit, 0, on_unit, (void *) (uintptr_t) u->index);
        if (r < 0)
                u->asked_about = false;
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper about %s", unit);
}

void enforce_gone(Manager *m, const HelperUnit *info) {
        Unit *u = units_find(&m->units, info->unit);

        if (u && info->result[0] && info->result[sizeof(info->result) - 1] == '\0')
                memcpy(u->gone_result, info->result, sizeof(u->gone_result));
        enforce_check(m, info->unit);
}

void enforce_listed(Manager *m) {
        /* What PID 1 has not any more ended meanwhile; how, the helper may have heard. */
        for (Unit *u = m->units.first; u; u = u->next)
                if (!u->remnant && u->listing != m->units.listing && !u->attach_waits)
                        enforce_check(m, u->name);
        m->listed = m->trim = true;
        if (m->strays.n > 0)
                arm_timer(m);
        manager_check_settled(m, false);
}
