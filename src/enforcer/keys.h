/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The node's secrets: the group's keys (PSK) or its own key with its certificate (PKI), and the Diffie-Hellman key that lives in memory only. Wiped when freed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "enforcer/psk.h"
#include "policy/constraint.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/token.h"

typedef enum KeyMode { KEY_NONE, KEY_PSK, KEY_PKI } KeyMode;

/* How long things last, so that no Diffie-Hellman key outlives its life: the last token that it is in ends with it. */
typedef struct KeyTimes {
        usec_t token_usec;        /* a unit's token */
        usec_t tick_usec;         /* between two looks: tokens are made anew, with half of their life left */
        usec_t rotate_usec;       /* a Diffie-Hellman key goes into tokens no longer */
} KeyTimes;
KeyTimes key_times(uint32_t token_life_sec, uint32_t key_life_sec);

/* What a token of ours binds together. */
typedef struct OwnKey {
        DhKey dh;
        uint8_t node[16];
        uint32_t key_id;          /* PSK */
} OwnKey;

typedef struct Keys {
        KeyMode mode;
        char *fault;              /* not NULL: no token can be made, and this is why; with KEY_PKI the certificate is not (or no longer) good */
        PskKeys psks[PSK_LINES_MAX]; /* the first is our own */
        size_t n_psks;

        NodeKey *key;             /* PKI */
        uint8_t certificate[CERTIFICATE_MAX]; /* DER */
        size_t certificate_len;
        CertificateInfo info;     /* of it, as last judged; and what it lets us say */
        Constraints constraints;
        char *trust;              /* trireme.ca and trireme.crl, in PEM */
        size_t trust_len;

        OwnKey own, previous;     /* tokens made with the previous one are still on their way for a while */
        bool has_previous;
        usec_t dh_made_usec, previous_usec; /* CLOCK_BOOTTIME: since then it is the previous one */
} Keys;

/* Where keys come from. */
typedef struct KeySource {
        int directory;            /* of credentials; borrowed; -1: there is none */
        const char *exposed;      /* the file that says which key in the store others may read (ipc/credentials-protocol.h) */
        const uint8_t *machine;   /* 16 bytes: the node id in PSK mode */
} KeySource;

/* Keys that are missing or unusable are not an error of this function: fault says why. -ENOMEM, -EIO. */
_must_use_ int keys_load(const KeySource *source, int64_t now_sec, usec_t now_usec, Keys **ret);
Keys *keys_free(Keys *k);
DEFINE_CLEANUP(Keys *, keys_free);

bool keys_equal(const Keys *a, const Keys *b); /* but for the Diffie-Hellman key */

/* Judges our own certificate by today's date. 1: fault came, went or changed; 0; -ENOMEM, -EIO. */
_must_use_ int keys_judge(Keys *k, int64_t now_sec);

/* 1: a new Diffie-Hellman key was made because it was time; 0: not yet. The previous one is wiped when no token bears it any more. */
_must_use_ int keys_rotate_dh(Keys *k, const KeyTimes *times, usec_t now_usec);
/* k takes the place of old: handshakes that are under way with old's token can end. With a new certificate or PSK the Diffie-Hellman key stays, so that peers can tell who has it. */
void keys_succeed(Keys *k, const Keys *old, usec_t now_usec);

/* Names what goes together: of two keys that share the Diffie-Hellman key each has its own. */
void own_key_name(const OwnKey *own, uint8_t ret[static 32]);
/* NULL: none of ours, or no longer. */
const OwnKey *keys_find_own(const Keys *k, const uint8_t name[static 32]);
const PskKeys *keys_find_psk(const Keys *k, uint32_t key_id);

TokenMode keys_token_mode(const Keys *k);
const char *key_mode_to_string(KeyMode mode);
