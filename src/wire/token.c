/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "util/utf8.h"
#include "wire/bytes.h"
#include "wire/token.h"

#define TOKEN_VERSION 1u
#define TAG_KEY_MAX 128u
#define CERTIFICATE_LEN_SIZE 2u

/* Offsets in the fixed part. */
enum {
        AT_VERSION = 0,
        AT_MODE = 1,
        AT_FAMILIES = 2,
        AT_KEY_ID = 4,
        AT_NODE = 8,
        AT_NODE_DH = 24,
        AT_VALID_FROM = 56,
        AT_VALID_UNTIL = 64,
        AT_UNIT = 72,
        AT_N_TAGS = 88,
};

/* Shorter first among equals, as a dictionary. */
static int text_compare(const char *a, size_t n_a, const char *b, size_t n_b) {
        size_t n = MIN(n_a, n_b);
        int c = n > 0 ? memcmp(a, b, n) : 0;

        return c != 0 ? c : (n_a > n_b) - (n_a < n_b);
}

static int tag_compare(const TokenTag *a, const TokenTag *b) {
        int c = text_compare(a->key, a->key_len, b->key, b->key_len);

        return c != 0 ? c : text_compare(a->value, a->value_len, b->value, b->value_len);
}

static bool tags_are_valid(const Token *t) {
        if (t->n_tags > TOKEN_TAGS_MAX)
                return false;
        for (size_t i = 0; i < t->n_tags; i++) {
                const TokenTag *tag = &t->tags[i];

                if (tag->key_len == 0 || tag->key_len > TAG_KEY_MAX)
                        return false;
                if (!utf8_is_printable(tag->key, tag->key_len) || !utf8_is_printable(tag->value, tag->value_len))
                        return false;
                if (i > 0 && tag_compare(&t->tags[i - 1], tag) >= 0)
                        return false;
        }
        return true;
}

/* What holds for a token that is read as for one to be written. */
static bool token_is_valid(const Token *t) {
        if (t->mode == TOKEN_PKI ? t->key_id != 0 || t->certificate_len == 0 : t->mode != TOKEN_PSK)
                return false;
        if (t->valid_from_sec < 0 || t->valid_until_sec < t->valid_from_sec || t->valid_until_sec - t->valid_from_sec > TOKEN_LIFE_MAX_SEC)
                return false;
        return tags_are_valid(t);
}

static void token_parse_fixed(const uint8_t *p, Token *t) {
        t->mode = p[AT_MODE];
        t->families = load_be16(p + AT_FAMILIES);
        t->key_id = load_be32(p + AT_KEY_ID);
        memcpy(t->node, p + AT_NODE, sizeof(t->node));
        memcpy(t->node_dh, p + AT_NODE_DH, sizeof(t->node_dh));
        t->valid_from_sec = (int64_t) load_be64(p + AT_VALID_FROM);
        t->valid_until_sec = (int64_t) load_be64(p + AT_VALID_UNTIL);
        memcpy(t->unit, p + AT_UNIT, sizeof(t->unit));
        t->n_tags = load_be16(p + AT_N_TAGS);
}

static int token_parse_tags(Reader *r, Token *t) {
        if (t->n_tags > TOKEN_TAGS_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < t->n_tags; i++) {
                const uint8_t *lengths = reader_take(r, 2);
                const uint8_t *text = lengths ? reader_take(r, (size_t) lengths[0] + lengths[1]) : NULL;

                if (!text)
                        return -EBADMSG;
                t->tags[i] = (TokenTag) {
                        .key = (const char *) text,
                        .value = (const char *) text + lengths[0],
                        .key_len = lengths[0],
                        .value_len = lengths[1],
                };
        }
        return 0;
}

static int token_parse_certificate(Reader *r, Token *t) {
        const uint8_t *length = reader_take(r, CERTIFICATE_LEN_SIZE);

        if (!length)
                return -EBADMSG;
        t->certificate_len = load_be16(length);
        t->certificate = reader_take(r, t->certificate_len);
        return t->certificate ? 0 : -EBADMSG;
}

int token_parse(const uint8_t *bytes, size_t len, Token *ret) {
        Reader r = { .at = bytes, .left = len };
        Token t = { .bytes = bytes, .len = len };
        const uint8_t *fixed;

        if (len > TOKEN_SIZE_MAX)
                return -EBADMSG;
        fixed = reader_take(&r, TOKEN_FIXED_SIZE);
        if (!fixed)
                return -EBADMSG;
        if (fixed[AT_VERSION] != TOKEN_VERSION || (fixed[AT_MODE] != TOKEN_PSK && fixed[AT_MODE] != TOKEN_PKI))
                return -EPROTONOSUPPORT;
        token_parse_fixed(fixed, &t);
        if (token_parse_tags(&r, &t) < 0)
                return -EBADMSG;
        if (t.mode == TOKEN_PKI && token_parse_certificate(&r, &t) < 0)
                return -EBADMSG;
        t.signed_len = len - r.left;
        t.proof = r.at;
        t.proof_len = r.left;
        if (t.mode == TOKEN_PSK ? t.proof_len != TOKEN_MAC_SIZE : t.proof_len == 0)
                return -EBADMSG;
        if (!token_is_valid(&t))
                return -EBADMSG;
        *ret = t;
        return 0;
}

static size_t token_signed_len(const Token *t) {
        size_t n = TOKEN_FIXED_SIZE;

        for (size_t i = 0; i < t->n_tags; i++)
                n += 2u + t->tags[i].key_len + t->tags[i].value_len;
        if (t->mode == TOKEN_PKI)
                n += CERTIFICATE_LEN_SIZE + t->certificate_len;
        return n;
}

static void token_write_fixed(const Token *t, uint8_t *p) {
        p[AT_VERSION] = TOKEN_VERSION;
        p[AT_MODE] = (uint8_t) t->mode;
        store_be16(p + AT_FAMILIES, t->families);
        store_be32(p + AT_KEY_ID, t->key_id);
        memcpy(p + AT_NODE, t->node, sizeof(t->node));
        memcpy(p + AT_NODE_DH, t->node_dh, sizeof(t->node_dh));
        store_be64(p + AT_VALID_FROM, (uint64_t) t->valid_from_sec);
        store_be64(p + AT_VALID_UNTIL, (uint64_t) t->valid_until_sec);
        memcpy(p + AT_UNIT, t->unit, sizeof(t->unit));
        store_be16(p + AT_N_TAGS, t->n_tags);
}

int token_write(const Token *t, size_t proof_len, uint8_t *buf, size_t size) {
        uint8_t *p = buf + TOKEN_FIXED_SIZE;
        size_t n;

        if (!token_is_valid(t))
                return -EINVAL;
        n = token_signed_len(t);
        if (n > size || n > TOKEN_SIZE_MAX || proof_len > TOKEN_SIZE_MAX - n)
                return -EMSGSIZE;
        token_write_fixed(t, buf);
        for (size_t i = 0; i < t->n_tags; i++) {
                const TokenTag *tag = &t->tags[i];

                *p++ = tag->key_len;
                *p++ = tag->value_len;
                p = mempcpy(p, tag->key, tag->key_len);
                if (tag->value_len > 0)
                        p = mempcpy(p, tag->value, tag->value_len);
        }
        if (t->mode == TOKEN_PKI) {
                store_be16(p, (uint16_t) t->certificate_len);
                memcpy(p + CERTIFICATE_LEN_SIZE, t->certificate, t->certificate_len);
        }
        return (int) n;
}
