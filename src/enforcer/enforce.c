/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing here opens anything by itself: a cgroup id is put into the maps closed (by the helper's attach, or by helper_close()), and only the last request of
 * unit_put_in_force() replaces that. Every failure on the way leaves it closed. */
#include "enforcer/enforce.h"

#include <errno.h>
#include <stdio.h>

#include "enforcer/bus.h"
#include "enforcer/cut.h"
#include "enforcer/datapath-client.h"
#include "enforcer/end.h"
#include "enforcer/helper-client.h"
#include "enforcer/identity.h"
#include "enforcer/record.h"
#include "enforcer/unit-token.h"
#include "util/log.h"


#define SETTLE_USEC (15 * USEC_PER_SEC) /* as long as a plug-in may take, and a large binary to be hashed */

typedef struct Denial {
        Reason reason;
        char *text; /* NULL: the reason's own */
} Denial;

static void denial_done(Denial *d) {
        free(d->text);
}

static int denial_set(Denial *d, Reason reason, const char *text) {
        d->reason = reason;
        d->text = text ? strdup(text) : NULL;
        return text && !d->text ? -ENOMEM : 0;
}

static int make_token(Manager *m, Unit *u, Denial *denial) {
        const PeerTime time = { .now_sec = (int64_t) (clock_realtime_usec() / USEC_PER_SEC), .now_usec = clock_boottime_usec() };
        const KeyTimes times = manager_key_times(m);
        int r = unit_token_make(u, m->keys, &times, &time, &denial->text);

        if (r != -EMSGSIZE && r != -EACCES)
                return r;
        denial->reason = r == -EMSGSIZE ? REASON_TOO_BIG : REASON_CERT_TAGS;
        return 0;
}

/* Why a unit whose settings can be read is denied everything all the same; REASON_NONE: it is not. */
static int find_denial(Manager *m, Unit *u, Denial *ret) {
        if (m->config_fault)
                return denial_set(ret, REASON_CLOSED, m->config_fault);
        if (m->keys->fault)
                return denial_set(ret, REASON_CLOSED, m->keys->fault);
        if (u->info.flags & HELPER_UNIT_OWN_NETWORK)
                return denial_set(ret, REASON_OWN_NETWORK, NULL);
        if (u->info.flags & HELPER_UNIT_TOO_DEEP)
                return denial_set(ret, REASON_TOO_DEEP, NULL);
        if (u->info.flags & HELPER_UNIT_FOREIGN_LISTENER)
                return denial_set(ret, REASON_FOREIGN_LISTENER, NULL);
        if (u->profile && u->profile->failed)
                return denial_set(ret, REASON_INTERNAL, "the kernel refuses the unit's access lists");
        return make_token(m, u, ret);
}

static UnitState allowed_state(const Unit *u) {
        UnitMode mode = u->mode_override != UNIT_MODE_DEFAULT ? u->mode_override : u->policy->mode;

        return mode == UNIT_MODE_OBSERVE ? UNIT_OBSERVING : UNIT_ENFORCING;
}

static int unit_choose_state(Manager *m, Unit *u, Denial *denial) {
        bool was_denied = u->state == UNIT_DENIED;
        _cleanup_free_ char *old_text = u->reason_text ? strdup(u->reason_text) : NULL;
        int r = 0;

        if (denial->reason == REASON_NONE)
                r = find_denial(m, u, denial);
        if (r < 0)
                return r;
        if (denial->reason == REASON_NONE) {
                u->state = allowed_state(u);
                u->reason = REASON_NONE;
                free(u->reason_text);
                u->reason_text = NULL;
                return 0;
        }
        r = unit_set_denied(u, denial->reason, denial->text);
        if (r < 0)
                return r;
        if (!was_denied || !old_text || !streq(old_text, u->reason_text)) {
                log_warning("%s is denied everything: %s", u->name, u->reason_text);
                if (u->fresh)
                        u->unrecorded = true; /* systemctl status shows what was logged since the unit's start, which is still to come */
                else
                        record_settings(m, u);
        }
        return 0;
}

static void on_closed(Link *l, const LinkMessage *msg, int result, void *userdata) {
        const Unit *u = units_find_index(&helper_manager(l)->units, (uint32_t) (uintptr_t) userdata);

        if (!msg && result < 0 && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot close %s", u ? u->name : "a unit");
}

static void on_enforced(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Unit *u = units_find_index(&m->units, (uint32_t) (uintptr_t) userdata);
        char text[128];

        if (msg || !u)
                return;
        u->retired = profile_release(u->retired);
        if (result < 0 && result != -ECONNRESET) {
                log_error_errno(result, "The helper cannot enforce %s", u->name);
                (void) snprintf(text, sizeof(text), "the kernel's rules could not be changed: %s", strerror(-result));
                if (unit_set_denied(u, REASON_INTERNAL, text) < 0)
                        u->state = UNIT_DENIED;
                datapath_send_unit(m, u);
                if (helper_close(m, u, on_closed) < 0)
                        log_error("Cannot ask the helper to close %s", u->name);
        }
        if (u->attach_waits && result != -ECONNRESET) /* a helper that comes back asks again */
                helper_attach_done(m, u->name, result, result < 0 ? u->reason_text : "");
        u->attach_waits = false;
}

/* The helper answers in order: the list comes when the new rules hold. */
static void unit_cut(Manager *m, Unit *u) {
        CutWhat what;

        if (u->cut == CUT_NONE || !m->helper_ready || m->cut_waits) /* then cut_all() does it, when the other ends are known, too */
                return;
        what = u->cut;
        u->cut = CUT_NONE;
        cut_start(m, u, what);
}

static void unit_send(Manager *m, Unit *u) {
        int r;

        datapath_send_unit(m, u);
        if (u->closing || (u->profile && !u->profile->ready))
                return;
        r = helper_enforce(m, u, on_enforced);
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to enforce %s", u->name);
        unit_cut(m, u);
}

/* The helper asks PID 1 before it closes, so what follows waits for its word. */
static void on_closed_first(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Unit *u = units_find_index(&m->units, (uint32_t) (uintptr_t) userdata);

        if (msg || !u)
                return;
        u->closing = false;
        if (result >= 0) {
                unit_send(m, u);
                return;
        }
        if (result != -ECONNRESET)
                on_enforced(l, NULL, result, userdata);
}

static void unit_close_first(Manager *m, Unit *u) {
        int r = helper_close(m, u, on_closed_first);

        if (r >= 0)
                u->closing = true;
        else if (r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to close %s", u->name);
}

/* Peers, and units of this host, must judge anew what they decided about this unit. */
static void unit_changed(Manager *m, const Unit *u) {
        m->changed_usec = clock_boottime_usec();
        datapath_forget(m, DATAPATH_FORGET_DECISIONS, 0);
        helper_local_forget(m, u->index);
}

static void unit_retire_profile(Unit *u, Profile *old) {
        if (old == u->profile || u->retired)
                profile_release(old);
        else
                u->retired = old;
}

static CutWhat what_changed(const Unit *u, const UnitPolicy *old_policy, UnitState old_state, const Profile *old_profile) {
        const UnitPolicy *policy = u->policy;

        if (!old_policy && old_state == UNIT_DENIED) /* nothing passed */
                return CUT_NONE;
        if (!policy || !old_policy || u->state == UNIT_DENIED || old_state == UNIT_DENIED)
                return CUT_CHANGED;
        if (!unit_policy_same_tags(old_policy, policy))
                return CUT_CHANGED_TAGS;
        return u->state != old_state || u->profile != old_profile || !unit_policy_same_rules(old_policy, policy) ? CUT_CHANGED : CUT_NONE;
}

/* Also by somebody who changed them while there was no enforcer. */
static bool told_changed(Manager *m, const Unit *u, const UnitPolicy *policy) {
        int r = told_note(m->told, u->info.cgroup_id, policy);

        if (r < 0)
                log_error_errno(r, "Cannot note what %s says of itself", u->name);
        return r > 0;
}

/* policy NULL: denied for denial. A unit that is new has nothing to be forgotten. */
static int unit_put_in_force(Manager *m, Unit *u, UnitPolicy *policy, Denial *denial) {
        Profile *old_profile = u->profile, *profile = NULL;
        UnitPolicy *old_policy = u->policy;
        UnitState old_state = u->state;
        CutWhat what;
        int r;

        if (policy) {
                r = profile_acquire(m, &policy->accept_from, &policy->connect_to, &profile);
                if (r < 0)
                        return r;
        }
        u->policy = policy ? unit_policy_ref(policy) : NULL;
        u->profile = profile;
        r = unit_choose_state(m, u, denial);
        if (r < 0)
                u->state = UNIT_DENIED;
        what = what_changed(u, old_policy, old_state, old_profile);
        if (policy && told_changed(m, u, policy))
                what = CUT_CHANGED_TAGS;
        u->cut = MAX(u->cut, what);
        if (what != CUT_NONE)
                unit_changed(m, u);
        unit_send(m, u);
        unit_retire_profile(u, old_profile);
        unit_policy_unref(old_policy);
        return r;
}

/* Returns 1: it has other tags than before; 0, or a negative errno. */
static int unit_identify(Manager *m, Unit *u, UnitPolicy *policy) {
        TagSet tags = {};
        uint16_t families = 0;
        int r;

        r = identity_tags(m, u, &tags, &families);
        if (r >= 0)
                r = unit_policy_identify(policy, &tags, families);
        tag_set_done(&tags);
        return r;
}

/* Tags that come to be known after the start add to what peers went by; one that is no longer true takes its ground away. */
static bool tags_kept(const TagSet *old, const TagSet *tags) {
        for (size_t i = 0; i < old->n_tags; i++)
                if (!tag_set_has(tags, old->tags[i].key, old->tags[i].value))
                        return false;
        return true;
}

/* What was put off is judged now, or put off once more for another unit. */
static void unit_settle(Manager *m, Unit *u) {
        if (u->unsettled_until_usec == 0 || (!identity_is_settled(m, u) && clock_boottime_usec() < u->unsettled_until_usec))
                return;
        u->unsettled_until_usec = 0;
        for (Unit *i = m->units.first; i; i = i->next)
                unit_cut(m, i);
}

static void unit_take_identity(Manager *m, Unit *u) {
        _cleanup_(denial_done) Denial denial = {};
        UnitState old_state = u->state;
        _cleanup_(tag_set_done) TagSet old = {};
        CutWhat what;
        int r;

        if (!u->policy)
                return;
        if (tag_set_merge(&old, &u->policy->tags) < 0)
                log_error("Out of memory for the tags of %s", u->name);
        r = unit_identify(m, u, u->policy);
        if (r < 0) {
                log_error_errno(r, "Cannot have all tags of %s, it goes on without those of its processes", u->name);
                r = unit_policy_identify(u->policy, &(TagSet) {}, 0);
        }
        if (r == 0)
                return;
        what = tags_kept(&old, &u->policy->tags) ? CUT_CHANGED : CUT_CHANGED_TAGS;
        u->cut = MAX(u->cut, what);
        unit_changed(m, u);
        if (r > 0)
                r = unit_choose_state(m, u, &denial);
        if (r < 0) {
                log_error_errno(r, "%s is closed", u->name);
                u->state = UNIT_DENIED;
        }
        if (u->state != old_state) {
                unit_send(m, u);
                return;
        }
        datapath_send_unit(m, u); /* to the kernel a unit is what it was before */
        unit_cut(m, u);
}

void enforce_identity_changed(Manager *m, Unit *u) {
        unit_take_identity(m, u);
        unit_settle(m, u);
}

/* Sockets that a unit's earlier life left elsewhere are judged as the unit is, as long as it lives again. */
static void enforce_remnants(Manager *m, const char *name, UnitPolicy *policy, const Denial *denial) {
        for (Unit *u = m->units.first; u; u = u->next) {
                Denial copy = { .reason = denial->reason };

                if (!u->remnant || !streq(u->name, name))
                        continue;
                if (denial->text && !(copy.text = strdup(denial->text)))
                        log_error("Out of memory");
                if (unit_put_in_force(m, u, policy, &copy) < 0)
                        log_error("What is left of %s stays closed", name);
                denial_done(&copy);
        }
}

static Unit *find_or_revive(Manager *m, const HelperUnit *info) {
        Unit *u = units_find(&m->units, info->unit);

        if (u && info->cgroup_id && u->info.cgroup_id != info->cgroup_id) {
                end_unit(m, u, "restarted");
                u = NULL;
        }
        if (u)
                return u;
        for (u = m->units.first; u; u = u->next)
                if (u->remnant && u->info.cgroup_id == info->cgroup_id && streq(u->name, info->unit)) /* PID 1 took the directory over */
                        return unit_revive(&m->units, u) < 0 ? NULL : u;
        return NULL;
}

/* The unit of this cgroup id, made if need be. 0: there is nothing to enforce on. */
static int unit_get(Manager *m, const HelperUnit *info, bool attach, Unit **ret) {
        Unit *u = find_or_revive(m, info);
        bool found_running = false;
        int r;

        if (!u) {
                if (info->cgroup_id == 0)
                        return 0;
                strays_claim(m, info->cgroup_id);
                r = unit_new(&m->units, info, &u);
                if (r < 0)
                        return r;
                found_running = !attach && !(info->flags & HELPER_UNIT_ATTACHED) && info->active != HELPER_INACTIVE;
                if (!attach && info->flags & HELPER_UNIT_ATTACHED)
                        u->unsettled_until_usec = clock_boottime_usec() + SETTLE_USEC;
        }
        r = info->cgroup_id ? unit_take_info(u, info) : 0; /* what waits to be started anew has none, and what it had is to be released */
        if (r < 0)
                return r;
        u->info.active = info->active;
        u->listing = m->units.listing;
        u->fresh = attach;
        u->n_checks = 0;
        u->check_usec = 0;
        if (attach)
                end_watch(m);
        u->attach_waits = u->attach_waits || attach;
        u->found_running = found_running;
        *ret = u;
        return 1;
}

static void unlabelled(Manager *m, const HelperUnit *info, bool attach) {
        Unit *u = units_find(&m->units, info->unit);

        if (u)
                end_unlabelled(m, u);
        else if (attach || (info->flags & HELPER_UNIT_ATTACHED))
                end_release_stranger(m, info->unit, info->cgroup_id);
        if (attach)
                helper_attach_done(m, info->unit, 0, "");
}

static void labelled(Manager *m, const HelperUnit *info, LoadResult *result) {
        _cleanup_(denial_done) Denial denial = { .reason = result->reason, .text = TAKE_PTR(result->text) };
        Unit *u;
        int r = unit_get(m, info, result->attach, &u);

        if (r <= 0) {
                if (r < 0)
                        log_error_errno(r, "Cannot enforce %s, it stays closed", info->unit);
                if (result->attach)
                        helper_attach_done(m, info->unit, r < 0 ? r : -ENOENT, "the enforcer cannot take this unit");
                return;
        }
        if (result->policy) {
                /* No answer is no news here either: what was found out of a unit that lives stands. */
                r = result->identity || !u->identity ? identity_set(m, u, result->identity) : 0;
                if (r >= 0)
                        r = unit_identify(m, u, result->policy);
                if (r < 0)
                        log_error_errno(r, "Cannot have all tags of %s", u->name);
        }
        enforce_remnants(m, u->name, result->policy, &denial);
        if (!result->attach && !(info->flags & HELPER_UNIT_ATTACHED))
                unit_close_first(m, u);
        r = unit_put_in_force(m, u, result->policy, &denial);
        if (r < 0)
                log_error_errno(r, "%s stays closed", u->name);
        unit_settle(m, u);
        if (u->found_running) {
                log_notice("%s was running without being attached; connections that its access lists do not allow are cut", u->name);
                cut_start(m, u, CUT_STRANGERS);
        }
        if (!u->announced)
                bus_emit_attached(m, u);
        u->announced = true;
        manager_update_status(m);
}

/* A unit that was attached before we came, and so is labelled: whatever it is set to, it is not let go for that. */
static void deny_unreadable(Manager *m, const HelperUnit *info, LoadResult *result) {
        result->labelled = true;
        result->reason = REASON_BAD_SETTINGS;
        if (asprintf(&result->text, "its settings cannot be read: %s", result->error == -ERFKILL ? "it is masked" : strerror(-result->error)) < 0)
                result->text = NULL;
        labelled(m, info, result);
}

/* What is in force stays in force; who of them has ended is told by enforce_check(). */
static void load_failed(Manager *m, const HelperUnit *info, LoadResult *result) {
        const int error = result->error;

        if (result->attach) {
                if (error != -ECONNRESET)
                        log_error_errno(error, "Cannot read the settings of %s", info->unit);
                helper_attach_done(m, info->unit, error, "the unit's settings cannot be read");
                return;
        }
        if (error == -ENOENT) { /* unloaded meanwhile, as transient units are that have ended */
                enforce_check(m, info->unit);
                return;
        }
        if (error != -ERFKILL) /* somebody's wish */
                log_error_errno(error, "Cannot read the settings of %s", info->unit);
        if (error != -ETIMEDOUT && (info->flags & HELPER_UNIT_ATTACHED) && !units_find(&m->units, info->unit))
                deny_unreadable(m, info, result);
        if (error != -ERFKILL && error != -ESTALE) /* a busy PID 1: what is in force is not what was asked for */
                manager_list_again(m);
}

void enforce_loaded(Manager *m, const HelperUnit *info, LoadResult *result, void *userdata) {
        bool off = result->policy && result->policy->mode == UNIT_MODE_OFF;

        if (result->error < 0) {
                if (result->error != -ECONNRESET || result->attach)
                        load_failed(m, info, result);
                return;
        }
        if (!result->labelled || off)
                unlabelled(m, info, result->attach);
        else
                labelled(m, info, result);
}

void enforce_evaluate(Manager *m, const HelperUnit *info, bool attach) {
        const LoadRequest request = { .info = info, .attach = attach, .replace = true, .done = enforce_loaded };
        Unit *u = units_find(&m->units, info->unit);
        int r;

        if (u)
                u->listing = m->units.listing;
        if (!attach && info->active == HELPER_INACTIVE) {
                enforce_event(m, info);
                return;
        }
        if (!attach && info->cgroup_id == 0 && !u) /* nothing of it runs */
                return;
        r = load_start(m, &request);
        if (r >= 0)
                return;
        if (r != -ENOTCONN)
                log_error_errno(r, "Cannot read the settings of %s", info->unit);
        if (attach)
                helper_attach_done(m, info->unit, r, "the unit's settings cannot be read");
}

int enforce_set_mode(Manager *m, Unit *u, UnitMode mode) {
        _cleanup_(denial_done) Denial denial = {};
        UnitPolicy *policy = u->policy;

        if (!policy) /* denied for its settings: a mode does not change that */
                return -EINVAL;
        u->mode_override = mode;
        return unit_put_in_force(m, u, policy, &denial);
}

void enforce_refresh_all(Manager *m) {
        for (Unit *u = m->units.first; u; u = u->next) {
                _cleanup_(denial_done) Denial denial = {};

                if (u->remnant || !u->policy)
                        continue;
                if (unit_put_in_force(m, u, u->policy, &denial) < 0)
                        log_error("%s stays closed", u->name);
        }
}

void enforce_profile_ready(Manager *m, const Profile *p) {
        for (Unit *u = m->units.first; u; u = u->next) {
                _cleanup_(denial_done) Denial denial = {};

                if (u->profile != p || !u->policy || (u->remnant && !units_find(&m->units, u->name)))
                        continue;
                if (unit_put_in_force(m, u, u->policy, &denial) < 0)
                        log_error("%s stays closed", u->name);
        }
}

void enforce_refresh_tokens(Manager *m) {
        for (Unit *u = m->units.first; u; u = u->next) {
                _cleanup_(denial_done) Denial denial = {};
                int r;

                if (u->state == UNIT_DENIED || !u->policy)
                        continue;
                r = make_token(m, u, &denial);
                if (r < 0)
                        log_error_errno(r, "Cannot make a new token for %s", u->name);
                else
                        datapath_send_unit(m, u);
        }
}
