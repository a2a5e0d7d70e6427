/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>

#include "policy/config.h"

#define SECTION "Trireme"
#define MARK_BITS 20 /* a flow's state and a unit's index, docs/architecture.md */

typedef struct Parser {
        Config config;
        /* Lists with a built-in default: the first assignment of all replaces it. */
        bool target_networks_set;
        ConfigErrors *errors;
        const ConfigFile *file;
        const ConfigLine *line;
} Parser;

void config_done(Config *c) {
        network_list_done(&c->target_networks);
        network_list_done(&c->excluded_networks);
        acl_list_done(&c->failsafe_accept_from);
        acl_list_done(&c->accept_translated_to);
        deny_list_done(&c->denied_nodes);
        *c = (Config) {};
}

int config_init(Config *ret) {
        /* Tokens never go to the Internet unasked: loopback, RFC 1918, RFC 6598, link-local, RFC 4193. */
        static const char *const networks[] = {
                "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
        };
        static const TagFamily families[] = {
                TAG_FAMILY_LABELS, TAG_FAMILY_UNIT, TAG_FAMILY_EXE, TAG_FAMILY_EXE_SHA256, TAG_FAMILY_USER, TAG_FAMILY_GROUP, TAG_FAMILY_HOST,
        };
        _cleanup_(config_done) Config c = { .mode = UNIT_MODE_ENFORCE, .conntrack_mark_mask = 0xfffff000u, .token_life_sec = TOKEN_LIFE_DEFAULT_SEC,
                                              .key_life_sec = KEY_LIFE_MAX_SEC };

        for (size_t i = 0; i < ELEMENTSOF(networks); i++) {
                const char *fault;
                IpNetwork n;
                int r = ip_network_parse(networks[i], &n, &fault);

                if (r >= 0)
                        r = network_list_add(&c.target_networks, &n);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                c.announce |= TAG_FAMILY_BIT(families[i]);
        *ret = c;
        c = (Config) {};
        return 0;
}

/* Notes a fault and lets the parser go on: 0, or -ENOMEM. */
static int fault(Parser *p, const char *word, const char *text) {
        _cleanup_free_ char *escaped = tag_escape(word);

        if (!escaped)
                return -ENOMEM;
        return config_errors_add(p->errors, p->file->path, p->line->line, 0, p->line->key, "\"%s\": %s", escaped, text);
}

/* Each word of the value to add(), whose -EINVAL comes with static text. */
static int parse_words(Parser *p, int (*add)(void *list, const char *word, const char **ret_fault), void *list) {
        const char *s = p->line->value, *text;

        for (;;) {
                _cleanup_free_ char *word = NULL;
                int r = config_word(&s, &word);

                if (r == 0 || r == -ENOMEM)
                        return r;
                if (r < 0)
                        return fault(p, p->line->value, "a quote without its end, or an unknown escape behind a backslash");
                r = add(list, word, &text);
                if (r == -EINVAL)
                        r = fault(p, word, text);
                if (r < 0)
                        return r;
        }
}

static int add_network(void *list, const char *word, const char **ret_fault) {
        IpNetwork n;
        int r = ip_network_parse(word, &n, ret_fault);

        return r < 0 ? r : network_list_add(list, &n);
}

static int parse_networks(Parser *p, NetworkList *list) {
        if (!*p->line->value)
                network_list_done(list);
        return parse_words(p, add_network, list);
}

static int add_denied(void *list, const char *word, const char **ret_fault) {
        return deny_list_add(list, word, ret_fault);
}

static int parse_denied_nodes(Parser *p) {
        if (!*p->line->value)
                deny_list_done(&p->config.denied_nodes);
        return parse_words(p, add_denied, &p->config.denied_nodes);
}

static int parse_target_networks(Parser *p) {
        if (!p->target_networks_set)
                network_list_done(&p->config.target_networks);
        p->target_networks_set = true;
        return parse_networks(p, &p->config.target_networks);
}

static int parse_excluded_networks(Parser *p) {
        return parse_networks(p, &p->config.excluded_networks);
}

/* The last assignment counts, whole: which families travel must be readable from one line. */
static int parse_announce(Parser *p) {
        const char *s = p->line->value;
        uint16_t announce = 0;

        for (;;) {
                _cleanup_free_ char *word = NULL;
                int r = config_word(&s, &word), family;

                if (r == -ENOMEM)
                        return r;
                if (r == 0)
                        break;
                family = r < 0 ? r : tag_family_from_string(word);
                if (family < 0)
                        return fault(p, r < 0 ? p->line->value : word,
                                     "unknown tag family; there are labels, unit, exe, exe.sha256, exe.verity, lib, user, uid, group, gid, groups, selinux, apparmor, "
                                     "host, machine and plug-ins");
                announce |= TAG_FAMILY_BIT(family);
        }
        p->config.announce = announce;
        return 0;
}

static int parse_acl(Parser *p, unsigned wants, AclList *list) {
        const char *s = p->line->value, *text;
        _cleanup_free_ char *name = NULL;
        char *words[16] = {};
        size_t n = 0;
        int r = 1;

        if (*s == '\0') {
                acl_list_done(list);
                return 0;
        }
        if (asprintf(&name, "%s:%u", p->file->path, p->line->line) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        while (n < ELEMENTSOF(words) && (r = config_word(&s, words + n)) > 0)
                n++;
        text = r > 0 ? "too many words: use more lines" : "a quote without its end, or an unknown escape behind a backslash";
        if (r == 0)
                r = acl_parse(words, n, wants, name, list, &text);
        else if (r > 0)
                r = -EINVAL;
        for (size_t i = 0; i < n; i++)
                free(words[i]);
        return r == -EINVAL ? fault(p, p->line->value, text) : r;
}

static int parse_failsafe(Parser *p) {
        return parse_acl(p, ACL_TCP_UDP | ACL_NO_PROTOCOL, &p->config.failsafe_accept_from);
}

static int parse_translated(Parser *p) {
        return parse_acl(p, ACL_TCP_UDP, &p->config.accept_translated_to);
}

/* One of two words. */
static int parse_choice(Parser *p, const char *no, const char *yes, bool *ret) {
        _cleanup_free_ char *text = NULL;

        if (streq(p->line->value, no) || streq(p->line->value, yes)) {
                *ret = streq(p->line->value, yes);
                return 0;
        }
        if (asprintf(&text, "write %s or %s", no, yes) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return fault(p, p->line->value, text);
}

static int parse_default_policy(Parser *p) {
        bool deny = p->config.default_policy == DEFAULT_POLICY_DENY;
        int r = parse_choice(p, "same-label", "deny", &deny);

        p->config.default_policy = deny ? DEFAULT_POLICY_DENY : DEFAULT_POLICY_SAME_LABEL;
        return r;
}

static int parse_mode(Parser *p) {
        int mode = unit_mode_from_string(p->line->value);

        if (mode < 0 || mode == UNIT_MODE_DEFAULT)
                return fault(p, p->line->value, "write enforce, observe or off");
        p->config.mode = (UnitMode) mode;
        return 0;
}

static int parse_failure_mode(Parser *p) {
        return parse_choice(p, "closed", "open", &p->config.failure_open);
}

static int parse_deny_action(Parser *p) {
        return parse_choice(p, "reset", "drop", &p->config.deny_drop);
}

static int parse_require_direct_path(Parser *p) {
        return config_bool(p->line->value, &p->config.require_direct_path) < 0 ? fault(p, p->line->value, "write yes or no") : 0;
}

static int parse_mark_mask(Parser *p) {
        const char *s = p->line->value, *digits = startswith(s, "0x");
        unsigned long value = 0;
        char *end = NULL;

        if (digits && *digits && strspn(digits, "0123456789abcdefABCDEF") == strlen(digits) && strlen(digits) <= 8)
                value = strtoul(digits, &end, 16);
        if (!end || __builtin_popcountl(value) < MARK_BITS || ((value >> __builtin_ctzl(value)) & ((value >> __builtin_ctzl(value)) + 1)) != 0)
                return fault(p, s, "write 0x and a mask of at least 20 bits side by side, as in 0xfffff000");
        p->config.conntrack_mark_mask = (uint32_t) value;
        return 0;
}

static int parse_seconds(Parser *p, uint32_t min, uint32_t max, uint32_t *ret) {
        const char *s = p->line->value;
        _cleanup_free_ char *text = NULL;
        unsigned long value = 0;

        if (*s && strlen(s) <= 8 && strspn(s, "0123456789") == strlen(s))
                value = strtoul(s, NULL, 10);
        if (value >= min && value <= max) {
                *ret = (uint32_t) value;
                return 0;
        }
        if (asprintf(&text, "write a number of seconds from %u to %u", min, max) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return fault(p, s, text);
}

static int parse_token_life(Parser *p) {
        return parse_seconds(p, TOKEN_LIFE_MIN_SEC, TOKEN_LIFE_CONFIG_MAX_SEC, &p->config.token_life_sec);
}

static int parse_key_life(Parser *p) {
        return parse_seconds(p, KEY_LIFE_MIN_SEC, KEY_LIFE_MAX_SEC, &p->config.key_life_sec);
}

static int parse_setting(Parser *p) {
        static const struct {
                const char *key;
                int (*parse)(Parser *p);
        } settings[] = {
                { "TargetNetworks", parse_target_networks }, { "ExcludedNetworks", parse_excluded_networks },
                { "AnnounceTags", parse_announce },          { "DefaultPolicy", parse_default_policy },
                { "Mode", parse_mode },                      { "FailureMode", parse_failure_mode },
                { "FailsafeAcceptFrom", parse_failsafe },    { "RequireDirectPath", parse_require_direct_path },
                { "AcceptTranslatedTo", parse_translated },  { "ConntrackMarkMask", parse_mark_mask },
                { "DenyAction", parse_deny_action },         { "DeniedNodes", parse_denied_nodes },
                { "TokenLifeSec", parse_token_life },        { "KeyLifeSec", parse_key_life },
        };

        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                if (streq(p->line->key, settings[i].key))
                        return settings[i].parse(p);
        return config_errors_add(p->errors, p->file->path, p->line->line, 0, p->line->key, "unknown setting; see trireme.conf(5)");
}

static int parse_line(Parser *p, ConfigFault found) {
        const ConfigLine *line = p->line;

        if (found != CONFIG_FAULT_NONE)
                return config_errors_add(p->errors, p->file->path, line->line, 0, NULL, "%s", config_fault_text(found));
        if (line->header)
                return streq(line->text, SECTION) ? 0 : fault(p, line->text, "unknown section: all settings stand under [" SECTION "]");
        if (!line->key)
                return fault(p, line->text, "not a setting: \"=\" is missing");
        if (!line->section)
                return config_errors_add(p->errors, p->file->path, line->line, 0, line->key, "stands outside of its section: write [" SECTION "] above it");
        return streq(line->section, SECTION) ? parse_setting(p) : 0; /* the section was complained of */
}

static int parse_file(Parser *p) {
        _cleanup_(config_reader_done) ConfigReader reader;
        int r;

        config_reader_init(&reader, p->file);
        for (;;) {
                ConfigFault found;
                ConfigLine line;

                r = config_reader_next(&reader, &line, &found);
                if (r <= 0)
                        return r;
                p->line = &line;
                r = parse_line(p, found);
                if (r < 0)
                        return r;
        }
}

int config_parse(const ConfigFile *files, size_t n_files, Config *ret, ConfigErrors *errors) {
        size_t n_errors = errors->n_errors, n_omitted = errors->n_omitted;
        Parser p = { .errors = errors };
        int r = config_init(&p.config);

        for (size_t i = 0; r >= 0 && i < n_files; i++) {
                p.file = files + i;
                r = parse_file(&p);
        }
        if (r >= 0 && (errors->n_errors > n_errors || errors->n_omitted > n_omitted))
                r = -EINVAL;
        if (r < 0) {
                config_done(&p.config);
                return r;
        }
        *ret = p.config;
        return 0;
}
