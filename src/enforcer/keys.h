/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The node's secrets: the group key (PSK), and the Diffie-Hellman key that lives in memory only. Wiped when freed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "util/clock.h"
#include "util/macro.h"

#define KEYS_DH_LIFE_USEC (24 * 3600 * USEC_PER_SEC)

typedef enum KeyMode { KEY_NONE, KEY_PSK } KeyMode;

typedef struct Keys {
        KeyMode mode;
        char *fault;              /* KEY_NONE: why, for people */
        PskKeys psk;
        DhKey dh, previous_dh;    /* tokens made with the previous one are still on their way for a while */
        bool has_previous_dh;
        usec_t dh_made_usec;
} Keys;

/* Reads trireme.psk from directory ($CREDENTIALS_DIRECTORY; NULL: there is none). A key that is missing or unusable is not an error of this function: mode is
 * KEY_NONE and fault says why. -ENOMEM, -EIO. */
_must_use_ int keys_load(const char *directory, usec_t now_usec, Keys **ret);
Keys *keys_free(Keys *k);
DEFINE_CLEANUP(Keys *, keys_free);

/* 1: a new Diffie-Hellman key was made because the old one is a day old; 0: not yet. */
_must_use_ int keys_rotate_dh(Keys *k, usec_t now_usec);

/* The key pair with this public key (32 bytes), NULL if it is not (or no longer) ours. */
const DhKey *keys_find_dh(const Keys *k, const uint8_t *public_key);

const char *key_mode_to_string(KeyMode mode);

/* The text of a trireme.psk: 32 bytes in base64, one newline allowed. -EINVAL with *ret_fault (static text) when it is not that, or is no random key. */
_must_use_ int psk_parse(const char *text, size_t len, uint8_t ret[static 32], const char **ret_fault);
