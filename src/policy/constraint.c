/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/constraint.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define SCHEME "trireme:"
#define DECODED_MAX (TAG_KEY_MAX + TAG_VALUE_MAX + 2)

void constraint_done(Constraint *c) {
        free(c->key);
        free(c->value);
        *c = (Constraint) {};
}

void constraints_done(Constraints *c) {
        for (size_t i = 0; i < c->n_patterns; i++)
                constraint_done(&c->patterns[i]);
        for (size_t i = 0; i < c->n_hosts; i++)
                free(c->hosts[i]);
        c->n_patterns = c->n_hosts = 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes n bytes of s into ret. The length, or -EINVAL; a NUL cannot be part of a tag. */
static int decode(const char *s, size_t n, char ret[static DECODED_MAX]) {
        size_t len = 0;

        for (size_t i = 0; i < n; i++, len++) {
                int c = (unsigned char) s[i];

                if (len >= DECODED_MAX - 1)
                        return -EINVAL;
                if (c == '%') {
                        int high = n - i > 2 ? hex_digit(s[i + 1]) : -1, low = high >= 0 ? hex_digit(s[i + 2]) : -1;

                        if (low < 0)
                                return -EINVAL;
                        c = high << 4 | low;
                        i += 2;
                }
                if (c == 0)
                        return -EINVAL;
                ret[len] = (char) c;
        }
        ret[len] = '\0';
        return (int) len;
}

static int parse_key(const char *s, size_t n, char **ret) {
        char key[DECODED_MAX];
        int len = decode(s, n, key), r;

        if (len < 0)
                return len;
        r = tag_key_normalize(key, ret);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        if (streq(*ret, TAG_PORT) || startswith(*ret, "@sys:")) {
                free(TAKE_PTR(*ret));
                return -EINVAL;
        }
        return 0;
}

int constraint_parse(const char *uri, uint8_t depth, Constraint *ret) {
        _cleanup_(constraint_done) Constraint c = { .depth = depth };
        const char *text = uri + strlen(SCHEME), *equals;
        char value[DECODED_MAX];
        size_t n;
        int len, r;

        if (strncasecmp(uri, SCHEME, strlen(SCHEME)) != 0)
                return -EINVAL;
        if (streq(text, "*")) {
                *ret = (Constraint) { .depth = depth };
                return 0;
        }
        equals = strchr(text, '=');
        if (!equals)
                return -EINVAL;
        r = parse_key(text, (size_t) (equals - text), &c.key);
        if (r < 0)
                return r;
        n = strlen(equals + 1);
        c.prefix = n > 0 && equals[n] == '*';
        len = decode(equals + 1, n - c.prefix, value);
        if (len < 0 || !tag_value_is_valid(value, (size_t) len))
                return -EINVAL;
        c.value = strdup(value);
        if (!c.value)
                return -ENOMEM;
        *ret = c;
        c = (Constraint) {};
        return 0;
}

int constraint_to_uri(const char *label, char **ret) {
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@=";
        _cleanup_free_ char *uri = malloc(strlen(SCHEME) + 3 * strlen(label) + 1);
        Constraint c;
        char *p;
        int r;

        if (!uri)
                return -ENOMEM;
        p = stpcpy(uri, SCHEME);
        for (; *label; label++)
                if (strchr(plain, *label) || (*label == '*' && !label[1]))
                        *p++ = *label;
                else
                        p += sprintf(p, "%%%02X", (unsigned char) *label);
        *p = '\0';
        r = constraint_parse(uri, 0, &c);
        if (r < 0)
                return r;
        constraint_done(&c);
        *ret = TAKE_PTR(uri);
        return 0;
}

static int constraints_add(Constraints *c, const CertificateName *name, const char *text) {
        int r;

        if (name->kind == CERTIFICATE_DNS) {
                c->hosts[c->n_hosts] = strdup(text);
                return c->hosts[c->n_hosts] ? (c->n_hosts++, 0) : -ENOMEM;
        }
        r = constraint_parse(text, name->depth, &c->patterns[c->n_patterns]);
        if (r >= 0)
                c->n_patterns++;
        return r;
}

int constraints_from_certificate(const CertificateInfo *info, Constraints *ret) {
        Constraints c = {};
        int r = info->n_names > CERTIFICATE_NAMES_MAX ? -EINVAL : 0;

        for (uint32_t i = 0; r >= 0 && i < info->n_names; i++) {
                const CertificateName *name = &info->names[i];

                if (name->offset >= sizeof(info->text) || !memchr(info->text + name->offset, '\0', sizeof(info->text) - name->offset))
                        r = -EINVAL; /* the worker that wrote this parses what strangers send */
                else
                        r = constraints_add(&c, name, info->text + name->offset);
        }
        if (r < 0)
                constraints_done(&c);
        else
                *ret = c;
        return r;
}

static bool matches(const Constraint *c, const Tag *tag) {
        if (!c->key)
                return true;
        return streq(c->key, tag->key) && (c->prefix ? startswith(tag->value, c->value) != NULL : streq(c->value, tag->value));
}

static bool level_allows(const Constraints *c, uint8_t depth, const Tag *tag) {
        for (size_t i = 0; i < c->n_patterns; i++)
                if (c->patterns[i].depth == depth && matches(&c->patterns[i], tag))
                        return true;
        return false;
}

/* A CA without patterns sets no limit; a certificate without them may say nothing. */
static ConstraintFault check_label(const Constraints *c, const Tag *tag) {
        bool own = false;

        for (size_t i = 0; i < c->n_patterns; i++)
                own = own || c->patterns[i].depth == 0;
        if (!own)
                return CONSTRAINT_NO_TAGS;
        for (size_t i = 0; i < c->n_patterns; i++)
                if (!level_allows(c, c->patterns[i].depth, tag))
                        return CONSTRAINT_TAGS;
        return CONSTRAINT_OK;
}

static ConstraintFault check_host(const Constraints *c, const Tag *tag) {
        for (size_t i = 0; i < c->n_hosts; i++)
                if (streq(c->hosts[i], tag->value))
                        return CONSTRAINT_OK;
        return CONSTRAINT_HOST;
}

ConstraintFault constraints_check(const Constraints *c, const TagSet *tags, const Tag **ret_tag) {
        for (size_t i = 0; i < tags->n_tags; i++) {
                const Tag *tag = &tags->tags[i];
                ConstraintFault fault = CONSTRAINT_OK;

                if (streq(tag->key, "@sys:host"))
                        fault = check_host(c, tag);
                else if (!startswith(tag->key, "@sys:"))
                        fault = check_label(c, tag);
                if (fault != CONSTRAINT_OK) {
                        *ret_tag = tag;
                        return fault;
                }
        }
        return CONSTRAINT_OK;
}

char *constraint_format(const Constraint *c) {
        _cleanup_free_ char *value = c->key ? tag_escape(c->value) : NULL;
        char *text;

        if (!c->key)
                return strdup("*");
        if (!value || asprintf(&text, "%s=%s%s", tag_key_short(c->key), value, c->prefix ? "*" : "") < 0)
                return NULL;
        return text;
}
