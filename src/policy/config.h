/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* trireme.conf and its drop-ins: trireme.conf(5). */

#include <stdbool.h>
#include <stdint.h>

#include "policy/acl.h"
#include "policy/config-file.h"
#include "policy/deny-list.h"
#include "policy/unit-settings.h"
#include "util/macro.h"

typedef enum DefaultPolicy { DEFAULT_POLICY_SAME_LABEL, DEFAULT_POLICY_DENY } DefaultPolicy;

#define TOKEN_LIFE_DEFAULT_SEC 600u
#define TOKEN_LIFE_MIN_SEC 4u           /* renewed after half of it */
#define TOKEN_LIFE_CONFIG_MAX_SEC 3600u /* what receivers allow: docs/protocol.md */
#define KEY_LIFE_MIN_SEC 8u
#define KEY_LIFE_MAX_SEC 86400u         /* and the default */

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
        DenyList denied_nodes;
        uint32_t token_life_sec, key_life_sec;
} Config;

_must_use_ int config_init(Config *ret); /* the defaults; -ENOMEM */
void config_done(Config *c);
/* files in the order they apply: trireme.conf, then the drop-ins by name; later ones win. 0; -EINVAL: faults appended to *errors, *ret untouched; -ENOMEM. */
_must_use_ int config_parse(const ConfigFile *files, size_t n_files, Config *ret, ConfigErrors *errors);
