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

/* The longest tags first are what a person should look at. */
static char *too_big_text(const UnitPolicy *p) {
        const Tag *longest = NULL;
        size_t size = TOKEN_FIXED_SIZE + TOKEN_MAC_SIZE, longest_size = 0, n_tags = 0;
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

int unit_token_make(Unit *u, const Keys *keys, const uint8_t *node, const PeerTime *time, char **ret_text) {
        Token t = {
                .mode = TOKEN_PSK,
                .families = u->policy->families & u->policy->announce,
                .key_id = keys->psk.key_id,
                .valid_from_sec = time->now_sec,
                .valid_until_sec = time->now_sec + UNIT_TOKEN_LIFE_SEC,
        };
        uint8_t buf[TOKEN_SIZE_MAX];
        int n, r;

        memcpy(t.node, node, sizeof(t.node));
        memcpy(t.node_dh, keys->dh.public_key, sizeof(t.node_dh));
        token_fill_tags(&t, u->policy);
        r = unit_id(u, t.unit);
        if (r < 0)
                return r;
        n = token_write(&t, TOKEN_MAC_SIZE, buf, sizeof(buf));
        if (n == -EMSGSIZE)
                *ret_text = too_big_text(u->policy);
        if (n < 0)
                return n;
        r = token_mac(keys->psk.token_key, buf, (size_t) n, buf + n);
        if (r < 0)
                return r;
        u->token_len = (uint16_t) (n + (int) TOKEN_MAC_SIZE);
        memcpy(u->token, buf, u->token_len);
        memcpy(u->token_dh, t.node_dh, sizeof(u->token_dh));
        u->token_expires_usec = time->now_usec + UNIT_TOKEN_LIFE_SEC * USEC_PER_SEC;
        return 0;
}
