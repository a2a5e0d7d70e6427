/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Runs the plug-ins for a unit, each by itself, and keeps what they print. One that fails costs its own tags only. */

#include "enforcer/manager.h"

#define PLUGINS_MAX 32u

typedef struct Plugins Plugins;
_must_use_ int plugins_new(Manager *m, Plugins **ret);
Plugins *plugins_free(Plugins *p); /* after the link to the helper */

void plugins_list(Manager *m);     /* which there are; then they run for every unit anew */

/* What they said of one unit. */
typedef struct UnitPlugin {
        char name[HELPER_PLUGIN_NAME_MAX];
        TagSet tags;
        char *fault;               /* NULL: none */
} UnitPlugin;

typedef struct UnitPlugins {
        UnitPlugin *plugins;       /* at most PLUGINS_MAX */
        size_t n;
        uint8_t invocation_id[16]; /* of the unit's life that they were run for */
        bool run;
} UnitPlugins;

void unit_plugins_done(UnitPlugins *p);
/* Runs them for a unit that is up, once in each of its lives. */
void plugins_run(Manager *m, Unit *u);
/* Adds what is known. The family is known as soon as it is known which plug-ins there are: which of them told something is judged name by name (policy/evaluate.c), so that
 * one that fails or still runs takes nothing from the others. -E2BIG, -ENOMEM. */
_must_use_ int plugins_tags(const Manager *m, const UnitPlugins *p, TagSet *tags, uint16_t *families);

bool plugins_wait(const Manager *m, const UnitPlugins *p); /* for one that has said nothing of it yet */

/* "PLUG-IN: why it told nothing of the unit" of each that failed. Passes on the first negative result. */
typedef int (*plugin_fault_t)(const char *text, void *userdata);
_must_use_ int plugins_faults(const Manager *m, const UnitPlugins *p, plugin_fault_t done, void *userdata);
