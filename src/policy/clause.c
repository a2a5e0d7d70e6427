/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>

#include "policy/acl.h"
#include "policy/clause.h"
#include "util/array.h"

void clause_done(Clause *c) {
        for (size_t i = 0; i < c->n_values; i++)
                free(c->values[i].text);
        free(c->values);
        free(c->key);
        *c = (Clause) {};
}

/* "tcp/5432" or "tcp/" with a prefix star; anything else would be a rule that can never hold. */
static bool port_value_is_valid(const ClauseValue *v) {
        const char *port = startswith(v->text, "tcp/");
        uint16_t first, last;
        char canonical[8];

        if (!port)
                port = startswith(v->text, "udp/");
        if (!port)
                return false;
        if (v->prefix)
                return *port == '\0';
        if (*port == '\0' || port_range_parse(port, &first, &last) < 0 || first != last)
                return false;
        snprintf(canonical, sizeof(canonical), "%u", first);
        return streq(port, canonical);
}

static int clause_add_value(Clause *c, const char *text, size_t n, const char **ret_fault) {
        ClauseValue v = { .prefix = n > 0 && text[n - 1] == '*', .len = n };

        if (n == 0) {
                *ret_fault = "a value is missing";
                return -EINVAL;
        }
        v.len -= v.prefix;
        if (memchr(text, '*', v.len)) {
                *ret_fault = "\"*\" stands only at the end of a value";
                return -EINVAL;
        }
        if (!tag_value_is_valid(text, v.len)) {
                *ret_fault = "the value is longer than 255 bytes, or has control characters";
                return -EINVAL;
        }
        v.text = strndup(text, v.len);
        if (!v.text || !ARRAY_GROW(c->values, c->n_values)) {
                free(v.text);
                return -ENOMEM;
        }
        c->values[c->n_values++] = v;
        if (c->family < 0 && !port_value_is_valid(&v)) {
                *ret_fault = "\"@port\" takes values like tcp/5432, udp/53 or tcp/*";
                return -EINVAL;
        }
        return 0;
}

static int clause_set_key(Clause *c, const char *key, const char **ret_fault) {
        int r = tag_key_normalize(key, &c->key);

        if (r == -ENOENT)
                *ret_fault = "unknown tag namespace: write a label without \"@\", \"@sys:\" and a system tag, \"@PLUG-IN:KEY\", or \"@port\"";
        if (r == -EINVAL)
                *ret_fault = *key ? TAG_KEY_FAULT : "the key is missing";
        if (r < 0)
                return r == -ENOENT ? -EINVAL : r;
        c->family = tag_family(c->key);
        return 0;
}

int clause_make(ClauseOperator op, const char *key, const char *const *values, size_t n_values, Clause *ret, const char **ret_fault) {
        _cleanup_(clause_done) Clause c = { .op = op };
        bool wants_values = op == CLAUSE_EQUAL || op == CLAUSE_NOT_EQUAL;
        int r;

        if (wants_values != (n_values > 0)) {
                *ret_fault = wants_values ? "a value is missing" : "this operator takes no value";
                return -EINVAL;
        }
        r = clause_set_key(&c, key, ret_fault);
        for (size_t i = 0; r >= 0 && i < n_values; i++)
                r = clause_add_value(&c, values[i], strlen(values[i]), ret_fault);
        if (r < 0)
                return r;
        *ret = c;
        c = (Clause) {};
        return 0;
}

int clause_parse(const char *word, Clause *ret, const char **ret_fault) {
        _cleanup_(clause_done) Clause c = {};
        const char *equal = strchr(word, '='), *value;
        _cleanup_free_ char *key = NULL;
        size_t n;
        int r;

        if (!equal)
                return clause_make(*word == '!' ? CLAUSE_ABSENT : CLAUSE_PRESENT, word + (*word == '!'), NULL, 0, ret, ret_fault);
        if (equal[1] == '!' || equal[1] == '=' || *word == '!') {
                *ret_fault = *word == '!' ? "write key!=value, or !key without a value" :
                             equal[1] == '!' ? "write key!=value" : "write key=value with one \"=\"";
                return -EINVAL;
        }
        c.op = equal > word && equal[-1] == '!' ? CLAUSE_NOT_EQUAL : CLAUSE_EQUAL;
        key = strndup(word, (size_t) (equal - word) - (c.op == CLAUSE_NOT_EQUAL));
        if (!key)
                return -ENOMEM;
        r = clause_set_key(&c, key, ret_fault);
        for (value = equal + 1; r >= 0; value += n + 1) {
                n = strcspn(value, "|");
                r = clause_add_value(&c, value, n, ret_fault);
                if (value[n] == '\0')
                        break;
        }
        if (r < 0)
                return r;
        *ret = c;
        c = (Clause) {};
        return 0;
}

/* As a word that config_word() gives back whole. */
static char *quote(const char *word) {
        char *text, *out;

        if (!strpbrk(word, " \"'\\"))
                return strdup(word);
        out = text = malloc(2 * strlen(word) + 3);
        if (!text)
                return NULL;
        *out++ = '"';
        for (; *word; word++) {
                if (*word == '"' || *word == '\\')
                        *out++ = '\\';
                *out++ = *word;
        }
        stpcpy(out, "\"");
        return text;
}

char *clause_format(const Clause *c) {
        _cleanup_free_ char *text = NULL;
        size_t size = strlen(c->key) + 3;
        char *out;

        for (size_t i = 0; i < c->n_values; i++)
                size += c->values[i].len + 2;
        out = text = malloc(size);
        if (!text)
                return NULL;
        out = stpcpy(out, c->op == CLAUSE_ABSENT ? "!" : "");
        out = stpcpy(out, tag_key_short(c->key));
        out = stpcpy(out, c->op == CLAUSE_EQUAL ? "=" : c->op == CLAUSE_NOT_EQUAL ? "!=" : "");
        for (size_t i = 0; i < c->n_values; i++)
                out = stpcpy(stpcpy(stpcpy(out, i > 0 ? "|" : ""), c->values[i].text), c->values[i].prefix ? "*" : "");
        return quote(text);
}
