/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A broken section must never read as no section: the unit would run unprotected. So whatever looks like the section, or like a setting outside of it, makes the unit
 * a labelled one with faults. */

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "policy/unit-settings.h"
#include "util/array.h"

#define SECTION "X-Trireme"

typedef struct Parser {
        const UnitSpecifiers *specifiers;
        UnitSettings settings;
        ConfigErrors *errors;
        const ConfigFile *file;
        const ConfigLine *line;
        bool mentioned;           /* by the file at hand */
        bool named_crlf;          /* one complaint a file is enough */
} Parser;

typedef struct Words {
        char **words;
        size_t n_words;
} Words;

static void words_done(Words *w) {
        for (size_t i = 0; i < w->n_words; i++)
                free(w->words[i]);
        free(w->words);
}

const char *unit_mode_to_string(UnitMode mode) {
        static const char *const names[_UNIT_MODE_MAX] = { "", "enforce", "observe", "off" };

        return (unsigned) mode < _UNIT_MODE_MAX ? names[mode] : "";
}

int unit_mode_from_string(const char *s) {
        for (int i = 0; i < _UNIT_MODE_MAX; i++)
                if (streq(s, unit_mode_to_string(i)))
                        return i;
        return -EINVAL;
}

void unit_settings_done(UnitSettings *s) {
        tag_set_done(&s->labels);
        rule_list_done(&s->accept);
        rule_list_done(&s->connect);
        acl_list_done(&s->accept_from);
        acl_list_done(&s->connect_to);
        free(s->policy);
        *s = (UnitSettings) {};
}

/* Notes a fault of the setting at hand and lets the parser go on: 0, or -ENOMEM. */
static int fault(Parser *p, const char *word, const char *text) {
        _cleanup_free_ char *escaped = word ? tag_escape(word) : NULL;

        if (!word)
                return config_errors_add(p->errors, p->file->path, p->line->line, 0, p->line->key, "%s", text);
        if (!escaped)
                return -ENOMEM;
        return config_errors_add(p->errors, p->file->path, p->line->line, 0, p->line->key, "\"%s\": %s", escaped, text);
}

/* Returns 1 with the words, specifiers expanded; 0 when a fault was noted; -ENOMEM. */
static int split_words(Parser *p, Words *ret) {
        _cleanup_(words_done) Words w = {};
        const char *s = p->line->value, *text;

        for (;;) {
                _cleanup_free_ char *word = NULL, *expanded = NULL;
                int r = config_word(&s, &word);

                if (r == 0)
                        break;
                if (r == -EINVAL)
                        return fault(p, NULL, "a quote without its end, or an unknown escape behind a backslash");
                if (r < 0)
                        return r;
                r = specifier_expand(word, p->specifiers, &expanded, &text);
                if (r == -EINVAL)
                        return fault(p, word, text);
                if (r < 0)
                        return r;
                if (!ARRAY_GROW(w.words, w.n_words))
                        return -ENOMEM;
                w.words[w.n_words++] = TAKE_PTR(expanded);
        }
        *ret = w;
        w = (Words) {};
        return 1;
}

static bool is_reset(const Parser *p) {
        return p->line->value[0] == '\0';
}

static int parse_labels(Parser *p, const Words *w) {
        if (is_reset(p)) {
                tag_set_done(&p->settings.labels);
                p->settings.drop_inherited = true;
        }
        for (size_t i = 0; i < w->n_words; i++) {
                const char *text;
                int r = label_parse(w->words[i], &p->settings.labels, &text);

                if (r == -EINVAL)
                        r = fault(p, w->words[i], text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_rule(Parser *p, const Words *w, RuleList *list, bool *set) {
        _cleanup_(rule_done) Rule rule = {};

        *set = true;
        if (is_reset(p)) {
                rule_list_done(list);
                return 0;
        }
        for (size_t i = 0; i < w->n_words; i++) {
                _cleanup_(clause_done) Clause c = {};
                const char *text;
                int r = clause_parse(w->words[i], &c, &text);

                if (r == -EINVAL)
                        return fault(p, w->words[i], text);
                if (r >= 0)
                        r = rule_take_clause(&rule, &c);
                if (r < 0)
                        return r;
        }
        if (asprintf(&rule.name, "%s:%u", p->file->path, p->line->line) < 0) {
                rule.name = NULL;
                return -ENOMEM;
        }
        return rule_list_take(list, &rule);
}

static int parse_accept(Parser *p, const Words *w) {
        return parse_rule(p, w, &p->settings.accept, &p->settings.accept_set);
}

static int parse_connect(Parser *p, const Words *w) {
        return parse_rule(p, w, &p->settings.connect, &p->settings.connect_set);
}

static int parse_acl(Parser *p, const Words *w, unsigned wants, AclList *list, bool *reset) {
        _cleanup_free_ char *name = NULL;
        const char *text;
        int r;

        if (is_reset(p)) {
                acl_list_done(list);
                *reset = true;
                return 0;
        }
        if (asprintf(&name, "%s:%u", p->file->path, p->line->line) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = acl_parse(w->words, w->n_words, wants, name, list, &text);
        return r == -EINVAL ? fault(p, p->line->value, text) : r;
}

static int parse_accept_from(Parser *p, const Words *w) {
        /* No ICMP: the kernel answers echo requests itself, no socket of the unit is asked. */
        return parse_acl(p, w, ACL_TCP_UDP, &p->settings.accept_from, &p->settings.accept_from_reset);
}

static int parse_connect_to(Parser *p, const Words *w) {
        return parse_acl(p, w, ACL_TCP_UDP | ACL_ICMP, &p->settings.connect_to, &p->settings.connect_to_reset);
}

static int parse_policy(Parser *p, const Words *w) {
        char *name = NULL;

        if (!is_reset(p)) {
                if (w->n_words != 1 || w->words[0][0] == '\0' || !tag_value_is_valid(w->words[0], strlen(w->words[0])))
                        return fault(p, p->line->value, "write the name of one policy");
                name = strdup(w->words[0]);
                if (!name)
                        return -ENOMEM;
        }
        free(p->settings.policy);
        p->settings.policy = name;
        return 0;
}

static int parse_mode(Parser *p, const Words *w) {
        int mode = is_reset(p) ? UNIT_MODE_DEFAULT : w->n_words == 1 ? unit_mode_from_string(w->words[0]) : -EINVAL;

        if (mode < 0 || (mode == UNIT_MODE_DEFAULT && !is_reset(p)))
                return fault(p, p->line->value, "write enforce, observe or off");
        p->settings.mode = (UnitMode) mode;
        return 0;
}

static int parse_setting(Parser *p) {
        static const struct {
                const char *key;
                int (*parse)(Parser *p, const Words *w);
        } settings[] = {
                { "TriremeLabels", parse_labels },
                { "TriremeAccept", parse_accept },
                { "TriremeConnect", parse_connect },
                { "TriremeAcceptFrom", parse_accept_from },
                { "TriremeConnectTo", parse_connect_to },
                { "TriremePolicy", parse_policy },
                { "TriremeMode", parse_mode },
        };

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                _cleanup_(words_done) Words w = {};
                int r;

                if (!streq(p->line->key, settings[i].key))
                        continue;
                r = split_words(p, &w);
                return r > 0 ? settings[i].parse(p, &w) : r;
        }
        return fault(p, NULL, "unknown setting; there are TriremeLabels=, TriremeAccept=, TriremeConnect=, TriremeAcceptFrom=, TriremeConnectTo=, TriremePolicy= "
                              "and TriremeMode=");
}

/* "[X-Trireme]", or what somebody wrote who meant it: "[x-trireme]", "[ X-Trireme ]", "[Trireme]". */
static bool is_section(const char *name) {
        static const char *const meant[] = { SECTION, "XTrireme", "X_Trireme", "Trireme" };
        size_t n;

        if (!name)
                return false;
        name += strspn(name, " \t[");
        n = strcspn(name, " \t]");
        if (name[n + strspn(name + n, " \t]")] != '\0')
                return false;
        for (size_t i = 0; i < ELEMENTSOF(meant); i++)
                if (strlen(meant[i]) == n && strncasecmp(name, meant[i], n) == 0)
                        return true;
        return false;
}

static int parse_line(Parser *p, ConfigFault found) {
        const ConfigLine *line = p->line;
        bool ours = is_section(line->section);
        int r;

        if (ours || (line->text && strcasestr(line->text, SECTION)))
                p->mentioned = true;
        if (found == CONFIG_FAULT_CARRIAGE_RETURN || found == CONFIG_FAULT_BOM) {
                r = p->named_crlf ? 0 : config_errors_add(p->errors, p->file->path, line->line, 0, NULL, "%s", config_fault_text(found));
                if (r < 0)
                        return r;
                p->named_crlf = true;
        } else if (found != CONFIG_FAULT_NONE)
                return config_errors_add(p->errors, p->file->path, line->line, 0, NULL, "%s", config_fault_text(found));
        if (!line->text)
                return 0;
        if (line->header)
                return ours && !streq(line->text, SECTION) ? fault(p, line->text, "write the section's name as [" SECTION "]") : 0;
        if (!line->key && is_section(line->text))
                return fault(p, line->text, "a section header without \"[\"");
        if (ours)
                return line->key ? parse_setting(p) : fault(p, line->text, "not a setting: \"=\" is missing");
        if (line->key && startswith(line->key, "Trireme") && !(line->section && startswith(line->section, "X-"))) {
                p->mentioned = true;
                return fault(p, NULL, "stands outside of its section: write [" SECTION "] above it");
        }
        return 0;
}

/* Most unit files have nothing for us, so they cost one scan. */
bool unit_settings_may_mention(const char *s, size_t size) {
        static const char name[] = "trireme";

        for (size_t i = 0; i + strlen(name) <= size; i++)
                if ((s[i] | 0x20) == 't' && strncasecmp(s + i, name, strlen(name)) == 0)
                        return true;
        return false;
}

static int parse_file(Parser *p) {
        _cleanup_(config_reader_done) ConfigReader reader;
        size_t n_errors = p->errors->n_errors, n_omitted = p->errors->n_omitted;
        int r;

        p->mentioned = p->named_crlf = false;
        config_reader_init(&reader, p->file);
        for (;;) {
                ConfigFault found;
                ConfigLine line;

                r = config_reader_next(&reader, &line, &found);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                p->line = &line;
                r = parse_line(p, found);
                if (r < 0)
                        return r;
        }
        if (p->mentioned)
                p->settings.labelled = true;
        else
                config_errors_cut(p->errors, n_errors, n_omitted); /* faults of a file that does not concern us */
        return 0;
}

int unit_settings_parse(const ConfigFile *files, size_t n_files, const UnitSpecifiers *specifiers, UnitSettings *ret, ConfigErrors *errors) {
        Parser p = { .specifiers = specifiers, .errors = errors };
        size_t n_errors = errors->n_errors, n_omitted = errors->n_omitted;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n_files; i++) {
                p.file = files + i;
                if (unit_settings_may_mention(p.file->data, p.file->size))
                        r = parse_file(&p);
        }
        if (r >= 0 && (errors->n_errors > n_errors || errors->n_omitted > n_omitted))
                r = -EINVAL;
        if (r < 0) {
                unit_settings_done(&p.settings);
                return r;
        }
        *ret = p.settings;
        return ret->labelled;
}

int unit_labels_inherit(const UnitSettings *own, const UnitSettings *const *slices, size_t n_slices, TagSet *ret) {
        _cleanup_(tag_set_done) TagSet all = {};
        int r = own ? tag_set_merge(&all, &own->labels) : 0;

        for (size_t i = 0; r >= 0 && i < n_slices && !(own && own->drop_inherited); i++) {
                r = tag_set_merge(&all, &slices[i]->labels);
                own = slices[i];
        }
        if (r < 0)
                return r;
        *ret = all;
        all = (TagSet) {};
        return 0;
}
