/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tags: what is known of a unit, as "key=value". A key begins with its namespace: "@usr:" for labels, "@sys:" for what the enforcer finds out, "@NAME:" for what a
 * plug-in adds. A key without '@' is a label. "@port" stands in rules only. A key may have several values. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"
#include "wire/token.h"

#define TAG_KEY_MAX 128u   /* docs/protocol.md */
#define TAG_VALUE_MAX 255u
#define TAGS_MAX TOKEN_TAGS_MAX
#define TAG_LABEL_PREFIX "@usr:"
#define TAG_PORT "@port"
#define TAG_KEY_FAULT "the key is too long, or has other characters than letters, digits and _ . : / - + $ %"
#define TAG_FAMILIES_ALL ((uint16_t) 0xffff)
#define TAG_FAMILY_BIT(f) ((uint16_t) (1u << (f)))

typedef struct Tag {
        char *key;   /* full key, NUL-terminated; value stands in the same allocation */
        char *value;
} Tag;

/* Sorted by (key, value) in byte order, no duplicates: the order of a token. All zero is the empty set. */
typedef struct TagSet {
        Tag *tags;
        size_t n_tags;
} TagSet;

void tag_set_done(TagSet *s); /* and ready for use again */
/* Full keys. 0 (also when it was there already), -EINVAL, -E2BIG beyond TAGS_MAX, -ENOMEM. */
_must_use_ int tag_set_add(TagSet *s, const char *key, const char *value);
_must_use_ int tag_set_add_n(TagSet *s, const char *key, size_t key_len, const char *value, size_t value_len);
_must_use_ int tag_set_merge(TagSet *s, const TagSet *more);
bool tag_set_equal(const TagSet *a, const TagSet *b);
bool tag_set_has(const TagSet *s, const char *key, const char *value);
/* The tags of one key; *ret_n may be 0. Borrowed. */
const Tag *tag_set_find(const TagSet *s, const char *key, size_t *ret_n);
/* Has it any tag "@NAME:...", key being "@NAME:KEY"? */
bool tag_set_has_namespace(const TagSet *s, const char *key);
/* The first label both have, NULL when they share none. Labels only: two services of one user or one host are no friends for that. */
const Tag *tag_set_shared_label(const TagSet *a, const TagSet *b);

/* "k=v", a key without '@' being a label. For labels that people write (TriremeLabels=, triremectl run): */
_must_use_ int label_parse(const char *word, TagSet *s, const char **ret_fault); /* -EINVAL: *ret_fault (static) says why; keys with '@' are refused */
/* "k=v k=v ..." quoted like unit files, any namespace but @port: triremectl policy eval, explain. */
_must_use_ int tag_set_from_string(const char *text, TagSet *ret, const char **ret_fault);
/* The tags of a parsed token. -EPROTONOSUPPORT: @port or an unknown namespace (REASON_UNKNOWN_NAMESPACE); -EBADMSG: a tag of a family that the token does not
 * announce, or a key that is none (REASON_BAD_TOKEN); -ENOMEM. */
_must_use_ int tag_set_from_token(const Token *t, TagSet *ret);

/* TagFamily of a full key, -ENOENT for @port and for what has no known namespace. */
int tag_family(const char *key);
const char *tag_family_to_string(TagFamily family); /* "labels", "unit", "exe.sha256", ... as in AnnounceTags= */
int tag_family_from_string(const char *s);          /* -EINVAL */

/* A bare key gets its "@usr:"; a key with '@' must be of a known namespace, or @port. Newly allocated. -EINVAL, -ENOENT (unknown namespace), -ENOMEM. */
_must_use_ int tag_key_normalize(const char *key, char **ret);
bool tag_key_is_valid(const char *key, size_t n);   /* 1..TAG_KEY_MAX bytes of UTF-8; of ASCII letters, digits and _.:/-+$%@ only */
bool tag_value_is_valid(const char *value, size_t n); /* 0..TAG_VALUE_MAX bytes of UTF-8 without control characters */

/* For people: "key=value" without "@usr:". Control, bidirectional and invisible characters, spaces, quotes and backslashes come out as \xNN. NULL: no memory. */
char *tag_escape(const char *s);
char *text_printable(const char *s); /* of text whose parts are escaped already: its backslashes stay */
char *text_escape(const char *s); /* the same for sentences: spaces and quotes stay */
char *tag_format(const Tag *t);
char *tag_set_format(const TagSet *s); /* joined by spaces */
/* "app" for "@usr:app"; other keys as they are. Borrowed. */
const char *tag_key_short(const char *key);
