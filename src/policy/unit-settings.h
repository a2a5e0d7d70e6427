/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The [X-Trireme] section of a unit: trireme.unit(5). Pure: the caller brings the bytes of the unit file and its drop-ins, in the order PID 1 applies them. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/acl.h"
#include "policy/config-file.h"
#include "policy/evaluate.h"
#include "policy/rule.h"
#include "policy/specifier.h"
#include "policy/tags.h"
#include "util/macro.h"

typedef enum UnitMode {
        UNIT_MODE_DEFAULT, /* Mode= of trireme.conf */
        UNIT_MODE_ENFORCE,
        UNIT_MODE_OBSERVE,
        UNIT_MODE_OFF,
        _UNIT_MODE_MAX,
} UnitMode;

const char *unit_mode_to_string(UnitMode mode); /* "" for DEFAULT */
int unit_mode_from_string(const char *s);       /* "" is DEFAULT; -EINVAL */

typedef struct UnitSettings {
        bool labelled;         /* some file has the section (or was meant to have it and is broken) */
        TagSet labels;         /* own ones only */
        bool drop_inherited;   /* TriremeLabels= was emptied: no labels of slices above */
        RuleList accept, connect;
        bool accept_set, connect_set; /* the key appeared: these rules replace the policy's accepts of that direction. Set without rules (emptied): nothing is allowed. */
        AclList accept_from, connect_to;
        bool accept_from_reset, connect_to_reset; /* emptied: the accepts of the policy's ACL do not count either, its rejects do */
        char *policy;          /* TriremePolicy=; NULL: the default policy */
        UnitMode mode;
} UnitSettings;

void unit_settings_done(UnitSettings *s);
/* False: unit_settings_parse() finds nothing in such a file. */
bool unit_settings_may_mention(const char *data, size_t size);
/* Returns 1: labelled; 0: no section anywhere (*ret is empty); -EINVAL: faults, appended to *errors, *ret untouched (the unit is labelled and must be denied everything);
 * -ENOMEM. */
_must_use_ int unit_settings_parse(const ConfigFile *files, size_t n_files, const UnitSpecifiers *specifiers, UnitSettings *ret, ConfigErrors *errors);

/* Own labels and those of the slices above (innermost first), up to and with the first that drops what is above it. -E2BIG: too many, -ENOMEM. */
_must_use_ int unit_labels_inherit(const UnitSettings *own, const UnitSettings *const *slices, size_t n_slices, TagSet *ret);
