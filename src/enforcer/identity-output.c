/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-output.h"

#include <errno.h>
#include <stdio.h>

static int line_parse(const char *plugin, const char *line, size_t n, TagSet *tags, const char **ret_fault) {
        const char *equals = memchr(line, '=', n);
        char key[TAG_KEY_MAX + 1];
        int len, r;

        if (!equals || equals == line) {
                *ret_fault = "a line is not KEY=VALUE";
                return -EINVAL;
        }
        if (tags->n_tags >= PLUGIN_TAGS_MAX) {
                *ret_fault = "too many tags";
                return -EINVAL;
        }
        len = snprintf(key, sizeof(key), "@%s:%.*s", plugin, (int) (equals - line), line);
        if (len < 0 || (size_t) len >= sizeof(key) || tag_family(key) != TAG_FAMILY_PLUGIN) {
                *ret_fault = "a key is too long, or none that a tag can have";
                return -EINVAL;
        }
        r = tag_set_add_n(tags, key, (size_t) len, equals + 1, n - (size_t) (equals + 1 - line));
        if (r == -EINVAL)
                *ret_fault = "a key or a value has characters that a tag cannot have, or is too long";
        return r;
}

static bool says_host(const char *line, size_t n) {
        static const char word[] = "host";

        for (line++, n--; n > 0 && *line == ' '; line++)
                n--;
        return n == strlen(word) && memcmp(line, word, n) == 0;
}

int plugin_output_parse(const char *plugin, const char *text, size_t n, TagSet *ret, bool *ret_host, const char **ret_fault) {
        const char *end = text + n;
        TagSet tags = {};
        bool host = false;
        int r = 0;

        if (n > PLUGIN_OUTPUT_MAX || memchr(text, '\0', n)) {
                *ret_fault = n > PLUGIN_OUTPUT_MAX ? "it prints too much" : "it prints a NUL";
                return -EINVAL;
        }
        while (r >= 0 && text < end) {
                const char *newline = memchr(text, '\n', (size_t) (end - text));
                size_t len = (size_t) ((newline ?: end) - text);

                if (!newline) {
                        *ret_fault = "its last line has no end";
                        r = -EINVAL;
                } else if (len > 0 && text[0] == '#')
                        host = host || says_host(text, len);
                else if (len > 0)
                        r = line_parse(plugin, text, len, &tags, ret_fault);
                text += len + 1;
        }
        if (r < 0) {
                tag_set_done(&tags);
                return r;
        }
        *ret = tags;
        *ret_host = host;
        return 0;
}
