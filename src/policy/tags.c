/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>

#include "policy/config-file.h"
#include "policy/tags.h"
#include "util/array.h"
#include "util/utf8.h"

/* Names in AnnounceTags=; behind "@sys:" they are the keys of the system tags. */
static const char *const family_names[_TAG_FAMILY_MAX] = {
        [TAG_FAMILY_LABELS] = "labels",   [TAG_FAMILY_UNIT] = "unit",     [TAG_FAMILY_EXE] = "exe",
        [TAG_FAMILY_EXE_SHA256] = "exe.sha256", [TAG_FAMILY_EXE_VERITY] = "exe.verity", [TAG_FAMILY_LIB] = "lib",
        [TAG_FAMILY_USER] = "user",       [TAG_FAMILY_UID] = "uid",       [TAG_FAMILY_GROUP] = "group",
        [TAG_FAMILY_GID] = "gid",         [TAG_FAMILY_GROUPS] = "groups", [TAG_FAMILY_SELINUX] = "selinux",
        [TAG_FAMILY_APPARMOR] = "apparmor", [TAG_FAMILY_HOST] = "host",   [TAG_FAMILY_MACHINE] = "machine",
        [TAG_FAMILY_PLUGIN] = "plug-ins",
};

const char *tag_family_to_string(TagFamily family) {
        return (unsigned) family < _TAG_FAMILY_MAX ? family_names[family] : NULL;
}

int tag_family_from_string(const char *s) {
        for (int f = 0; f < _TAG_FAMILY_MAX; f++)
                if (streq(s, family_names[f]))
                        return f;
        return -EINVAL;
}

int tag_family(const char *key) {
        const char *name, *colon;
        size_t n;

        name = startswith(key, TAG_LABEL_PREFIX);
        if (name)
                return *name ? TAG_FAMILY_LABELS : -ENOENT;
        name = startswith(key, "@sys:");
        if (name) {
                int f = tag_family_from_string(name);

                return f > TAG_FAMILY_LABELS && f < TAG_FAMILY_PLUGIN ? f : -ENOENT;
        }
        if (key[0] != '@')
                return -ENOENT;
        colon = strchr(key, ':');
        n = strspn(key + 1, "abcdefghijklmnopqrstuvwxyz0123456789-_");
        if (!colon || n == 0 || key + 1 + n != colon || colon[1] == '\0')
                return -ENOENT;
        if (startswith(key, TAG_PORT ":")) /* too close to @port to be a plug-in's name */
                return -ENOENT;
        return TAG_FAMILY_PLUGIN;
}

static bool is_alphanumeric(char c) { /* isalnum() depends on the locale */
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool tag_key_is_valid(const char *key, size_t n) {
        if (n == 0 || n > TAG_KEY_MAX || !utf8_is_printable(key, n))
                return false;
        /* Nothing that has a meaning in clauses, so that "a=b" is never ambiguous; and "&&" or "," between clauses is a mistake, not a key. */
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) key[i] < 0x80 && !is_alphanumeric(key[i]) && !strchr("_.:/-+$%@", key[i]))
                        return false;
        return true;
}

bool tag_value_is_valid(const char *value, size_t n) {
        return n <= TAG_VALUE_MAX && utf8_is_printable(value, n);
}

int tag_key_normalize(const char *key, char **ret) {
        const char *prefix = key[0] == '@' ? "" : TAG_LABEL_PREFIX;
        _cleanup_free_ char *full = malloc(strlen(prefix) + strlen(key) + 1);

        if (!full)
                return -ENOMEM;
        stpcpy(stpcpy(full, prefix), key);
        if (key[0] == '\0' || !tag_key_is_valid(full, strlen(full)))
                return -EINVAL;
        if (!streq(full, TAG_PORT) && tag_family(full) < 0)
                return -ENOENT;
        *ret = TAKE_PTR(full);
        return 0;
}

const char *tag_key_short(const char *key) {
        const char *name = startswith(key, TAG_LABEL_PREFIX);

        return name && name[0] != '@' ? name : key;
}

/* ---- sets ---- */

static int tag_compare(const Tag *a, const char *key, const char *value) {
        int c = strcmp(a->key, key);

        return c != 0 ? c : strcmp(a->value, value);
}

/* Position of the first tag not below (key, value). */
static size_t lower_bound(const TagSet *s, const char *key, const char *value) {
        size_t low = 0, high = s->n_tags;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (tag_compare(s->tags + middle, key, value) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

void tag_set_done(TagSet *s) {
        for (size_t i = 0; i < s->n_tags; i++)
                free(s->tags[i].key);
        free(s->tags);
        *s = (TagSet) {};
}

int tag_set_add_n(TagSet *s, const char *key, size_t key_len, const char *value, size_t value_len) {
        _cleanup_free_ char *text = NULL;
        char *copy;
        size_t i;

        if (!tag_key_is_valid(key, key_len) || !tag_value_is_valid(value, value_len))
                return -EINVAL;
        text = malloc(key_len + 1 + value_len + 1);
        if (!text)
                return -ENOMEM;
        memcpy(text, key, key_len);
        text[key_len] = '\0';
        copy = text + key_len + 1;
        if (value_len > 0)
                memcpy(copy, value, value_len);
        copy[value_len] = '\0';

        i = lower_bound(s, text, copy);
        if (i < s->n_tags && tag_compare(s->tags + i, text, copy) == 0)
                return 0;
        if (s->n_tags >= TAGS_MAX)
                return -E2BIG;
        if (!ARRAY_GROW(s->tags, s->n_tags))
                return -ENOMEM;
        memmove(s->tags + i + 1, s->tags + i, (s->n_tags - i) * sizeof(Tag));
        s->tags[i] = (Tag) { .key = TAKE_PTR(text), .value = copy };
        s->n_tags++;
        return 0;
}

int tag_set_add(TagSet *s, const char *key, const char *value) {
        return tag_set_add_n(s, key, strlen(key), value, strlen(value));
}

int tag_set_merge(TagSet *s, const TagSet *more) {
        for (size_t i = 0; i < more->n_tags; i++) {
                int r = tag_set_add(s, more->tags[i].key, more->tags[i].value);

                if (r < 0)
                        return r;
        }
        return 0;
}

bool tag_set_equal(const TagSet *a, const TagSet *b) {
        if (a->n_tags != b->n_tags)
                return false;
        for (size_t i = 0; i < a->n_tags; i++)
                if (tag_compare(a->tags + i, b->tags[i].key, b->tags[i].value) != 0)
                        return false;
        return true;
}

bool tag_set_has(const TagSet *s, const char *key, const char *value) {
        size_t i = lower_bound(s, key, value);

        return i < s->n_tags && tag_compare(s->tags + i, key, value) == 0;
}

const Tag *tag_set_find(const TagSet *s, const char *key, size_t *ret_n) {
        size_t first = lower_bound(s, key, ""), n = 0;

        while (first + n < s->n_tags && streq(s->tags[first + n].key, key))
                n++;
        *ret_n = n;
        return s->tags ? s->tags + first : NULL;
}

bool tag_set_has_namespace(const TagSet *s, const char *key) {
        const size_t n = strcspn(key, ":") + 1;

        for (size_t i = 0; i < s->n_tags; i++)
                if (strncmp(s->tags[i].key, key, n) == 0)
                        return true;
        return false;
}

const Tag *tag_set_shared_label(const TagSet *a, const TagSet *b) {
        size_t i = lower_bound(a, TAG_LABEL_PREFIX, ""), k = lower_bound(b, TAG_LABEL_PREFIX, "");

        while (i < a->n_tags && k < b->n_tags) {
                int c = tag_compare(a->tags + i, b->tags[k].key, b->tags[k].value);

                if (!startswith(a->tags[i].key, TAG_LABEL_PREFIX))
                        return NULL; /* sorted: no label behind it either */
                if (c == 0)
                        return a->tags + i;
                if (c < 0)
                        i++;
                else
                        k++;
        }
        return NULL;
}

/* ---- from text and tokens ---- */

static int tag_parse(const char *word, bool label, TagSet *s, const char **ret_fault) {
        const char *equal = strchr(word, '='), *value;
        _cleanup_free_ char *bare = NULL, *key = NULL;
        int r;

        if (!equal || equal == word || equal[1] == '\0') {
                *ret_fault = !equal ? "write KEY=VALUE" : equal == word ? "the key is missing in front of \"=\"" : "the value is missing behind \"=\"";
                return -EINVAL;
        }
        if (label && word[0] == '@') {
                *ret_fault = "a label's key may not begin with \"@\": such tags are found out by the system";
                return -EINVAL;
        }
        value = equal + 1;
        bare = strndup(word, (size_t) (equal - word));
        if (!bare)
                return -ENOMEM;
        r = tag_key_normalize(bare, &key);
        if (r == -ENOENT || (r >= 0 && streq(key, TAG_PORT))) {
                *ret_fault = r < 0 ? "unknown tag namespace" : "\"@port\" stands in rules only";
                return -EINVAL;
        }
        if (r == -EINVAL)
                *ret_fault = TAG_KEY_FAULT;
        if (r < 0)
                return r;
        if (label && strpbrk(value, "|*")) {
                *ret_fault = "a label's value may not have \"|\" or \"*\": no rule could name it";
                return -EINVAL;
        }
        r = tag_set_add(s, key, value);
        if (r == -EINVAL)
                *ret_fault = "the value is longer than 255 bytes, or has control characters";
        if (r == -E2BIG) {
                *ret_fault = "more than 256 tags";
                return -EINVAL;
        }
        return r;
}

int label_parse(const char *word, TagSet *s, const char **ret_fault) {
        return tag_parse(word, true, s, ret_fault);
}

int tag_set_from_string(const char *text, TagSet *ret, const char **ret_fault) {
        _cleanup_(tag_set_done) TagSet s = {};

        for (;;) {
                _cleanup_free_ char *word = NULL;
                int r = config_word(&text, &word);

                if (r == 0)
                        break;
                if (r == -EINVAL)
                        *ret_fault = "unbalanced quote or unknown escape";
                if (r < 0)
                        return r;
                r = tag_parse(word, false, &s, ret_fault);
                if (r < 0)
                        return r;
        }
        *ret = s;
        s = (TagSet) {};
        return 0;
}

int tag_set_from_token(const Token *t, TagSet *ret) {
        _cleanup_(tag_set_done) TagSet s = {};

        for (size_t i = 0; i < t->n_tags; i++) {
                const TokenTag *tag = t->tags + i;
                _cleanup_free_ char *key = strndup(tag->key, tag->key_len);
                int r, family;

                if (!key)
                        return -ENOMEM;
                family = tag_family(key);
                if (family < 0)
                        return -EPROTONOSUPPORT;
                if (!(t->families & TAG_FAMILY_BIT(family)))
                        return -EBADMSG;
                r = tag_set_add_n(&s, tag->key, tag->key_len, tag->value, tag->value_len);
                if (r == -EINVAL || r == -E2BIG)
                        return -EBADMSG;
                if (r < 0)
                        return r;
        }
        *ret = s;
        s = (TagSet) {};
        return 0;
}

/* ---- for people ---- */

/* Code points that a terminal does not show, or that change how others are shown (Unicode bidirectional controls): a tag could pass for another one. */
static bool is_deceptive(uint32_t c) {
        static const struct {
                uint32_t first, last;
        } ranges[] = {
                { 0x80, 0xa0 },     { 0xad, 0xad },     { 0x34f, 0x34f },   { 0x61c, 0x61c },   { 0x115f, 0x1160 }, { 0x1680, 0x1680 },
                { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
                { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xffff }, { 0xe0000, 0xe0fff },
        };

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++)
                if (c >= ranges[i].first && c <= ranges[i].last)
                        return true;
        return false;
}

/* s has a well-formed sequence of n bytes. */
static uint32_t code_point(const uint8_t *s, size_t n) {
        uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

        for (size_t i = 1; i < n; i++)
                c = c << 6 | (s[i] & 0x3fu);
        return c;
}

/* also: ASCII characters to escape besides the control characters. */
static char *escape(const char *s, const char *also) {
        size_t left = strlen(s);
        char *escaped = malloc(4 * left + 1), *out = escaped;

        if (!escaped)
                return NULL;
        while (left > 0) {
                size_t n = utf8_sequence_length(s, left), step = MAX(n, (size_t) 1);
                bool plain = n == 1 ? *s >= 0x20 && *s < 0x7f && !strchr(also, *s)
                                    : n > 1 && !is_deceptive(code_point((const uint8_t *) s, n));

                for (size_t i = 0; i < step; i++)
                        if (plain)
                                *out++ = s[i];
                        else
                                out += sprintf(out, "\\x%02x", (unsigned char) s[i]);
                s += step;
                left -= step;
        }
        *out = '\0';
        return escaped;
}

char *tag_escape(const char *s) {
        return escape(s, " \"'\\");
}

char *text_escape(const char *s) {
        return escape(s, "\\");
}

char *text_printable(const char *s) {
        return escape(s, "");
}

char *tag_format(const Tag *t) {
        _cleanup_free_ char *key = tag_escape(tag_key_short(t->key)), *value = tag_escape(t->value);
        char *text;

        return key && value && asprintf(&text, "%s=%s", key, value) >= 0 ? text : NULL;
}

char *tag_set_format(const TagSet *s) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && i < s->n_tags; i++) {
                _cleanup_free_ char *tag = tag_format(s->tags + i), *old = TAKE_PTR(text);

                if (!tag || asprintf(&text, "%s%s%s", old, i > 0 ? " " : "", tag) < 0)
                        return text = NULL;
        }
        return TAKE_PTR(text);
}
