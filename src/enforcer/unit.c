/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/unit.h"

#include <errno.h>
#include <search.h>

#include <systemd/sd-bus.h>

#include "enforcer/identity.h"

const char *unit_state_to_string(UnitState state) {
        static const char *const names[_UNIT_STATE_MAX] = { [UNIT_DENIED] = "denied", [UNIT_ENFORCING] = "enforcing", [UNIT_OBSERVING] = "observing" };

        return names[state];
}

/* Units and search keys both begin with a pointer to the name. */
static int unit_compare(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void unit_destroy(Unit *u) {
        free((char *) u->name);
        free(u->strings);
        free(u->path);
        free(u->token);
        free(u->reason_text);
        identity_free(u->identity);
        unit_policy_unref(u->policy);
        free(u);
}

Unit *units_find_index(const Units *units, uint32_t index) {
        return index <= UNIT_INDEX_MAX ? units->by_index[index] : NULL;
}

Unit *units_find(const Units *units, const char *name) {
        Unit **slot = tfind(&name, &units->by_name, unit_compare);

        return slot ? *slot : NULL;
}

UnitInfo unit_info_of(const HelperUnit *info) {
        UnitInfo i = { .unit = info->unit, .triggers = info->triggers, .cgroup = info->cgroup, .cgroup_id = info->cgroup_id, .active = info->active, .flags = info->flags };

        memcpy(i.invocation_id, info->invocation_id, sizeof(i.invocation_id));
        return i;
}

int unit_take_info(Unit *u, const HelperUnit *info) {
        size_t n_triggers = strlen(info->triggers) + 1, n_cgroup = strlen(info->cgroup) + 1;

        if (!u->strings || !streq(u->info.triggers, info->triggers) || !streq(u->info.cgroup, info->cgroup)) {
                char *strings = malloc(n_triggers + n_cgroup);

                if (!strings)
                        return -ENOMEM;
                memcpy(strings, info->triggers, n_triggers);
                memcpy(strings + n_triggers, info->cgroup, n_cgroup);
                free(u->strings);
                u->strings = strings;
        }
        u->info = unit_info_of(info);
        u->info.unit = u->name;
        u->info.triggers = u->strings;
        u->info.cgroup = u->strings + n_triggers;
        return 0;
}

static int unit_take_index(Units *units, Unit *u, uint32_t index) {
        if (index && index_reserve(&units->pool, index) >= 0) {
                u->index = index;
                return 0;
        }
        return index_take(&units->pool, &u->index);
}

int unit_new(Units *units, const HelperUnit *info, Unit **ret) {
        Unit *u = calloc(1, sizeof(*u)), **slot;
        int r = -ENOMEM;

        if (!u)
                return r;
        u->name = strdup(info->unit);
        u->reason = REASON_CLOSED;
        u->listing = units->listing;
        if (u->name)
                r = unit_take_info(u, info);
        if (r >= 0)
                r = sd_bus_path_encode("/org/trireme/unit", info->unit, &u->path);
        if (r >= 0)
                r = unit_take_index(units, u, info->index);
        if (r < 0) {
                unit_destroy(u);
                return r;
        }
        slot = tsearch(u, &units->by_name, unit_compare);
        if (!slot || *slot != u) {
                index_release(&units->pool, u->index);
                unit_destroy(u);
                return slot ? -EEXIST : -ENOMEM;
        }
        units->by_index[u->index] = u;
        u->next = units->first;
        if (u->next)
                u->next->previous = u;
        units->first = u;
        units->n_units++;
        *ret = u;
        return 0;
}

void unit_make_remnant(Units *units, Unit *u) {
        if (!u->remnant)
                tdelete(u, &units->by_name, unit_compare);
        u->remnant = true;
}

int unit_revive(Units *units, Unit *u) {
        Unit **slot = tsearch(u, &units->by_name, unit_compare);

        if (!slot || *slot != u)
                return slot ? -EEXIST : -ENOMEM;
        u->remnant = false;
        u->announced = false;
        return 0;
}

const FormerUnit *units_find_former(const Units *units, uint32_t index) {
        for (unsigned i = 1; index && i <= FORMER_UNITS_MAX; i++) { /* the latest first: numbers come round again */
                const FormerUnit *f = &units->former[(units->n_former - i) % FORMER_UNITS_MAX];

                if (f->index == index)
                        return f;
        }
        return NULL;
}

static void former_done(FormerUnit *f) {
        free(f->name);
        free(f->labels);
        *f = (FormerUnit) {};
}

/* Without memory it is forgotten, and its last records name nobody. */
static void unit_remember(Units *units, const Unit *u) {
        FormerUnit f = { .index = u->index, .name = strdup(u->name), .labels = u->policy ? tag_set_format(&u->policy->labels) : strdup("") };
        FormerUnit *slot = &units->former[units->n_former % FORMER_UNITS_MAX];

        if (!f.name || !f.labels) {
                former_done(&f);
                return;
        }
        former_done(slot);
        *slot = f;
        units->n_former++;
}

Unit *unit_free(Units *units, Unit *u) {
        if (!u)
                return NULL;
        unit_make_remnant(units, u);
        if (u->next)
                u->next->previous = u->previous;
        if (u->previous)
                u->previous->next = u->next;
        else
                units->first = u->next;
        units->by_index[u->index] = NULL;
        index_release(&units->pool, u->index);
        units->n_units--;
        unit_remember(units, u);
        unit_destroy(u);
        return NULL;
}

void units_done(Units *units) {
        while (units->first)
                unit_free(units, units->first);
        for (unsigned i = 0; i < FORMER_UNITS_MAX; i++)
                former_done(&units->former[i]);
}

int unit_set_denied(Unit *u, Reason reason, const char *text) {
        char *copy = strdup(text ? text : reason_explain(reason));

        if (!copy)
                return -ENOMEM;
        free(u->reason_text);
        u->reason_text = copy;
        u->reason = reason;
        u->state = UNIT_DENIED;
        u->token_len = 0;
        return 0;
}

const char *unit_mode_in_force(const Unit *u) {
        if (u->mode_override != UNIT_MODE_DEFAULT)
                return unit_mode_to_string(u->mode_override);
        return u->policy ? unit_mode_to_string(u->policy->mode) : "";
}
