/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/unit-token.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>

static int unit_id(const Unit *u, uint8_t ret[static 16]) {
        uint8_t bytes[HELPER_UNIT_NAME_MAX + sizeof(uint64_t)], hash[CRYPTO_HASH_SIZE];
        const uint64_t id = htobe64(u->info.cgroup_id);
        size_t n = strlen(u->name) + 1;
        int r;

        memcpy(bytes, u->name, n); /* its NUL separates */
        memcpy(bytes + n, &id, sizeof(id));
        r = crypto_sha256(bytes, n + sizeof(id), hash);
        if (r >= 0)
                memcpy(ret, hash, 16);
        return r;
}

static bool travels(const UnitPolicy *p, const Tag *tag) {
        int family = tag_family(tag->key);

        return family >= 0 && (p->families & p->announce & TAG_FAMILY_BIT(family));
}

static size_t proof_size(const Keys *keys) {
        return keys->mode == KEY_PKI ? SIGNATURE_SIZE : TOKEN_MAC_SIZE;
}

/* The longest tags first are what a person should look at. */
static char *too_big_text(const UnitPolicy *p, const Keys *keys) {
        const Tag *longest = NULL;
        size_t size = TOKEN_FIXED_SIZE + keys->certificate_len + proof_size(keys), longest_size = 0, n_tags = 0;
        _cleanup_free_ char *name = NULL;
        char *text;

        for (size_t i = 0; i < p->tags.n_tags; i++) {
                size_t n = 2 + strlen(p->tags.tags[i].key) + strlen(p->tags.tags[i].value);

                if (!travels(p, &p->tags.tags[i]))
                        continue;
                n_tags++;
                size += n;
                if (n > longest_size) {
                        longest_size = n;
                        longest = &p->tags.tags[i];
                }
        }
        name = longest ? tag_format(longest) : NULL;
        if (asprintf(&text, "%zu tags need %zu bytes of a token's %u; the longest is %s", n_tags, size, TOKEN_SIZE_MAX, name ?: "?") < 0)
                return NULL;
        return text;
}

static void token_fill_tags(Token *t, const UnitPolicy *p) {
        for (size_t i = 0; i < p->tags.n_tags; i++) {
                const Tag *tag = &p->tags.tags[i];

                if (travels(p, tag))
                        t->tags[t->n_tags++] = (TokenTag) { .key = tag->key, .value = tag->value, .key_len = (uint8_t) strlen(tag->key),
                                                            .value_len = (uint8_t) strlen(tag->value) };
        }
}

/* What peers would refuse is refused here, where the name of the label can be told. */
static int check_constraints(const Token *t, const Keys *keys, char **ret_text) {
        static const char *const texts[] = {
                [CONSTRAINT_NO_TAGS] = "this node's certificate names no label at all (subjectAltName URI names \"trireme:KEY=VALUE\")",
                [CONSTRAINT_TAGS] = "this node's certificate does not name this label",
                [CONSTRAINT_HOST] = "the host name is none of the DNS names of this node's certificate",
        };
        TagSet tags = {};
        _cleanup_free_ char *name = NULL;
        ConstraintFault fault = CONSTRAINT_OK;
        const Tag *tag;
        int r = tag_set_from_token(t, &tags);

        if (r >= 0)
                fault = constraints_check(&keys->constraints, &tags, &tag);
        if (fault != CONSTRAINT_OK) {
                r = -EACCES;
                name = tag_format(tag);
                if (asprintf(ret_text, "%s: %s", name ?: "?", texts[fault]) < 0)
                        *ret_text = NULL;
        }
        tag_set_done(&tags);
        return r;
}

static int prove(const Keys *keys, const uint8_t *bytes, size_t n, uint8_t *ret) {
        return keys->mode == KEY_PKI ? token_sign(keys->key, bytes, n, ret) : token_mac(keys->psks[0].token_key, bytes, n, ret);
}

int unit_token_make(Unit *u, const Keys *keys, const KeyTimes *times, const PeerTime *time, char **ret_text) {
        Token t = {
                .mode = keys_token_mode(keys),
                .certificate = keys->mode == KEY_PKI ? keys->certificate : NULL,
                .certificate_len = keys->certificate_len,
                .families = u->policy->families & u->policy->announce,
                .key_id = keys->own.key_id,
                .valid_from_sec = time->now_sec,
                .valid_until_sec = time->now_sec + (int64_t) (times->token_usec / USEC_PER_SEC),
        };
        uint8_t buf[TOKEN_SIZE_MAX], *token;
        int n, r;

        memcpy(t.node, keys->own.node, sizeof(t.node));
        memcpy(t.node_dh, keys->own.dh.public_key, sizeof(t.node_dh));
        token_fill_tags(&t, u->policy);
        r = unit_id(u, t.unit);
        if (r < 0)
                return r;
        if (keys->mode == KEY_PKI)
                r = check_constraints(&t, keys, ret_text);
        if (r < 0)
                return r;
        n = token_write(&t, proof_size(keys), buf, sizeof(buf));
        if (n == -EMSGSIZE)
                *ret_text = too_big_text(u->policy, keys);
        if (n < 0)
                return n;
        r = prove(keys, buf, (size_t) n, buf + n);
        if (r < 0)
                return r;
        token = malloc((size_t) n + proof_size(keys));
        if (!token)
                return -ENOMEM;
        free(u->token);
        u->token = token;
        u->token_len = (uint16_t) ((size_t) n + proof_size(keys));
        memcpy(u->token, buf, u->token_len);
        own_key_name(&keys->own, u->token_own);
        u->token_expires_usec = time->now_usec + times->token_usec;
        return 0;
}
