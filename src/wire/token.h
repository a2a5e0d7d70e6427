/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Unit tokens <-> bytes: docs/protocol.md, "Unit token". Pure; a parsed token is UNVERIFIED until crypto says otherwise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define TOKEN_FIXED_SIZE 90u
#define TOKEN_MAC_SIZE 32u
#define TOKEN_SIZE_MAX 1096u
#define TOKEN_TAGS_MAX 256u
#define TOKEN_LIFE_MAX_SEC 3600
/* Key id, node and Diffie-Hellman key stand together: their hash names the pair keys with the token's node, and changes with each of them. */
#define TOKEN_PAIR_AT 4u
#define TOKEN_PAIR_SIZE 52u

typedef enum TokenMode { TOKEN_PSK = 1, TOKEN_PKI = 2 } TokenMode;

/* Bits of the announced families. */
typedef enum TagFamily {
        TAG_FAMILY_LABELS, TAG_FAMILY_UNIT, TAG_FAMILY_EXE, TAG_FAMILY_EXE_SHA256, TAG_FAMILY_EXE_VERITY, TAG_FAMILY_LIB, TAG_FAMILY_USER,
        TAG_FAMILY_UID, TAG_FAMILY_GROUP, TAG_FAMILY_GID, TAG_FAMILY_GROUPS, TAG_FAMILY_SELINUX, TAG_FAMILY_APPARMOR, TAG_FAMILY_HOST,
        TAG_FAMILY_MACHINE, TAG_FAMILY_PLUGIN, _TAG_FAMILY_MAX,
} TagFamily;

typedef struct TokenTag {
        const char *key, *value;        /* borrowed, NOT NUL-terminated */
        uint8_t key_len, value_len;
} TokenTag;

typedef struct Token {
        TokenMode mode;
        uint16_t families;              /* bit set of TagFamily */
        uint32_t key_id;                /* PSK */
        uint8_t node[16], node_dh[32], unit[16];
        int64_t valid_from_sec, valid_until_sec;
        uint16_t n_tags;
        TokenTag tags[TOKEN_TAGS_MAX];
        const uint8_t *bytes;           /* borrowed: the whole token */
        size_t len;
        size_t signed_len;              /* bytes covered by the MAC or signature */
        const uint8_t *proof;           /* MAC or signature, up to the end */
        size_t proof_len;
        const uint8_t *certificate;     /* PKI: DER; else NULL */
        size_t certificate_len;
} Token;

/* Returns 0; -EBADMSG malformed (any rule of docs/protocol.md, sort order and duplicates included); -EPROTONOSUPPORT unknown version or mode.
 * Syntax only: namespaces, today's date and proofs are judged by the caller. */
_must_use_ int token_parse(const uint8_t *bytes, size_t len, Token *ret);

/* Writes everything up to (without) the proof; in PKI mode with the certificate. tags must be sorted. Returns the size written = signed_len;
 * -EMSGSIZE when it would exceed size, or with proof_len more TOKEN_SIZE_MAX; -EINVAL for what token_parse() would refuse. */
_must_use_ int token_write(const Token *t, size_t proof_len, uint8_t *buf, size_t size);
