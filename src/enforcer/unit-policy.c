/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/unit-policy.h"

#include <errno.h>

#define FAMILIES_OF_SETTINGS \
        ((uint16_t) (TAG_FAMILY_BIT(TAG_FAMILY_LABELS) | TAG_FAMILY_BIT(TAG_FAMILY_UNIT) | TAG_FAMILY_BIT(TAG_FAMILY_HOST) | TAG_FAMILY_BIT(TAG_FAMILY_MACHINE)))

static int add_system_tags(TagSet *tags, const UnitFacts *facts) {
        int r = facts->unit[0] ? tag_set_add(tags, "@sys:unit", facts->unit) : 0;

        /* What a socket unit accepts is its service's: peers name the service. */
        if (r >= 0 && facts->triggers[0])
                r = tag_set_add(tags, "@sys:unit", facts->triggers);
        if (r >= 0)
                r = tag_set_add(tags, "@sys:host", facts->hostname);
        return r < 0 || !facts->machine ? r : tag_set_add(tags, "@sys:machine", facts->machine);
}

/* The unit's own rules replace what its policy accepts, never what that rejects. */
static int take_rules(RuleList *own, bool set, const PolicyRules *policy, PolicyRules *ret) {
        if (policy) {
                ret->rejects = rule_set_ref(policy->rejects);
                ret->observed_rejects = rule_set_ref(policy->observed_rejects);
        }
        if (policy && !set) {
                ret->accepts = rule_set_ref(policy->accepts);
                ret->observed_accepts = rule_set_ref(policy->observed_accepts);
        }
        return set && own->n_rules > 0 ? rule_set_new(own, &ret->accepts) : 0;
}

/* The unit's own list adds to that of its policy; if it was emptied first, only the policy's rejects stay. */
static int take_acl(AclList *own, bool reset, const AclList *policy, AclList *ret) {
        int r = 0;

        *ret = *own;
        *own = (AclList) {};
        for (size_t i = 0; r >= 0 && policy && i < policy->n_entries; i++)
                if (!reset || policy->entries[i].reject)
                        r = acl_list_add(ret, &policy->entries[i]);
        return r;
}

static int unit_policy_fill(UnitPolicy *p, UnitSettings *own, const UnitSettings *const *slices, size_t n_slices, const UnitFacts *facts, const Config *config) {
        const NamedPolicy *policy = facts->policy;
        bool same_label = !policy && config->default_policy == DEFAULT_POLICY_SAME_LABEL;
        int r;

        p->mode = own->mode == UNIT_MODE_DEFAULT ? config->mode : own->mode;
        p->announce = config->announce;
        p->accept_same_label = same_label && !own->accept_set;
        p->connect_same_label = same_label && !own->connect_set;
        r = unit_labels_inherit(own, slices, n_slices, &p->labels);
        if (r >= 0)
                r = tag_set_merge(&p->settings_tags, &p->labels);
        if (r >= 0)
                r = add_system_tags(&p->settings_tags, facts);
        if (r >= 0)
                r = unit_policy_identify(p, &(TagSet) {}, 0);
        if (r >= 0)
                r = take_rules(&own->accept, own->accept_set, policy ? &policy->accept : NULL, &p->accept);
        if (r >= 0)
                r = take_rules(&own->connect, own->connect_set, policy ? &policy->connect : NULL, &p->connect);
        if (r >= 0)
                r = take_acl(&own->accept_from, own->accept_from_reset, policy ? &policy->accept_from : NULL, &p->accept_from);
        if (r >= 0)
                r = take_acl(&own->connect_to, own->connect_to_reset, policy ? &policy->connect_to : NULL, &p->connect_to);
        if (r >= 0 && policy && !(p->name = strdup(policy->name)))
                r = -ENOMEM;
        return r;
}

int unit_policy_new(UnitSettings *own, const UnitSettings *const *slices, size_t n_slices, const UnitFacts *facts, const Config *config, UnitPolicy **ret) {
        _cleanup_(unit_policy_unrefp) UnitPolicy *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->n_ref = 1;
        r = unit_policy_fill(p, own, slices, n_slices, facts, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

UnitPolicy *unit_policy_ref(UnitPolicy *p) {
        p->n_ref++;
        return p;
}

UnitPolicy *unit_policy_unref(UnitPolicy *p) {
        if (!p || --p->n_ref > 0)
                return NULL;
        tag_set_done(&p->labels);
        tag_set_done(&p->settings_tags);
        tag_set_done(&p->tags);
        policy_rules_done(&p->accept);
        policy_rules_done(&p->connect);
        acl_list_done(&p->accept_from);
        acl_list_done(&p->connect_to);
        for (char **f = p->files; f && *f; f++)
                free(*f);
        free(p->files);
        free(p->name);
        free(p);
        return NULL;
}

int unit_policy_identify(UnitPolicy *p, const TagSet *identity, uint16_t families) {
        TagSet tags = {};
        bool changed;
        int r;

        r = tag_set_merge(&tags, &p->settings_tags);
        if (r >= 0)
                r = tag_set_merge(&tags, identity);
        if (r < 0) {
                tag_set_done(&tags);
                return r;
        }
        families |= FAMILIES_OF_SETTINGS;
        changed = families != p->families || !tag_set_equal(&tags, &p->tags);
        tag_set_done(&p->tags);
        p->tags = tags;
        p->families = families;
        return changed;
}

int unit_policy_add_file(UnitPolicy *p, const char *path) {
        size_t n = 0;
        char **files;

        while (p->files && p->files[n])
                n++;
        files = realloc(p->files, (n + 2) * sizeof(*files));
        if (!files)
                return -ENOMEM;
        p->files = files;
        files[n] = strdup(path);
        if (!files[n])
                return -ENOMEM;
        files[n + 1] = NULL;
        return 0;
}

PolicySide unit_policy_side(const UnitPolicy *p, bool connect) {
        const PolicyRules *rules = connect ? &p->connect : &p->accept;

        return (PolicySide) {
                .rejects = rules->rejects,
                .accepts = rules->accepts,
                .observed_rejects = rules->observed_rejects,
                .observed_accepts = rules->observed_accepts,
                .same_label = (connect ? p->connect_same_label : p->accept_same_label) ? &p->labels : NULL,
        };
}

static bool sets_equal(const RuleSet *a, const RuleSet *b) {
        size_t n = rule_set_size(a);

        if (a == b) /* of one snapshot of the policies */
                return true;
        if (n != rule_set_size(b))
                return false;
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *x = rule_format(rule_set_rule(a, i)), *y = rule_format(rule_set_rule(b, i));

                if (!x || !y || !streq(x, y) || rule_set_rule(a, i)->flags != rule_set_rule(b, i)->flags)
                        return false;
        }
        return true;
}

static bool rules_equal(const PolicyRules *a, const PolicyRules *b) {
        return sets_equal(a->rejects, b->rejects) && sets_equal(a->accepts, b->accepts) && sets_equal(a->observed_rejects, b->observed_rejects) &&
               sets_equal(a->observed_accepts, b->observed_accepts);
}

bool unit_policy_same_tags(const UnitPolicy *a, const UnitPolicy *b) {
        return a->families == b->families && a->announce == b->announce && tag_set_equal(&a->tags, &b->tags) && tag_set_equal(&a->labels, &b->labels);
}

bool unit_policy_same_rules(const UnitPolicy *a, const UnitPolicy *b) {
        return a->accept_same_label == b->accept_same_label && a->connect_same_label == b->connect_same_label && tag_set_equal(&a->labels, &b->labels) &&
               rules_equal(&a->accept, &b->accept) && rules_equal(&a->connect, &b->connect);
}
