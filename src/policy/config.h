/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* trireme.conf and its drop-ins: trireme.conf(5). */

#include <stdbool.h>
#include <stdint.h>

#include "policy/acl.h"
#include "policy/config-file.h"
#include "policy/unit-settings.h"
#include "util/macro.h"

typedef enum DefaultPolicy { DEFAULT_POLICY_SAME_LABEL, DEFAULT_POLICY_DENY } DefaultPolicy;

typedef struct Config {
        NetworkList target_networks;      /* peers that get an identity token */
        NetworkList excluded_networks;    /* never a token */
        uint16_t announce;                /* bit set of TagFamily */
        DefaultPolicy default_policy;
        UnitMode mode;                    /* never UNIT_MODE_DEFAULT */
        bool failure_open;
        AclList failsafe_accept_from;
        bool require_direct_path;
        AclList accept_translated_to;
        uint32_t conntrack_mark_mask;     /* at least CTMARK_BITS contiguous bits */
        bool deny_drop;                   /* DenyAction=drop */
} Config;

_must_use_ int config_init(Config *ret); /* the defaults; -ENOMEM */
void config_done(Config *c);
/* files in the order they apply: trireme.conf, then the drop-ins by name; later ones win. 0; -EINVAL: faults appended to *errors, *ret untouched; -ENOMEM. */
_must_use_ int config_parse(const ConfigFile *files, size_t n_files, Config *ret, ConfigErrors *errors);
