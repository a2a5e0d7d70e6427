/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The decision of one end about a peer that has an identity. Pure; cannot fail. Both ends must agree: the server's accept side over the client's tags and the client's
 * connect side over the server's. */

#include <stdbool.h>
#include <stdint.h>

#include "policy/reason.h"
#include "policy/rule.h"
#include "policy/tags.h"

/* One direction of one unit. Borrowed. Order: rejects, accepts, same label; nothing matched: denied. */
typedef struct PolicySide {
        const RuleSet *rejects;      /* NULL: none */
        const RuleSet *accepts;      /* NULL: none */
        const TagSet *same_label;    /* the unit's own tags when the default policy same-label applies; else NULL */
        const RuleSet *observed_rejects, *observed_accepts; /* RULE_OBSERVE: reported, decide nothing; NULL: none */
} PolicySide;

typedef struct PolicyRequest {
        const TagSet *tags;          /* of the peer. Borrowed. */
        uint16_t announced;          /* families its token announces; TAG_FAMILIES_ALL for a peer on this host */
        uint8_t protocol;            /* IPPROTO_TCP, IPPROTO_UDP */
        uint16_t port;               /* the server's, host order; 0: not known, then clauses on @port do not hold */
} PolicyRequest;

typedef struct Verdict {
        bool accept;
        bool port_dependent;         /* another port might be judged otherwise */
        Reason reason;               /* RULE, SAME_LABEL, NO_RULE, NOT_ANNOUNCED */
        const Rule *rule;            /* the deciding rule, or the one that was not-announced; NULL: none. Borrowed from the RuleSet. */
        const Tag *shared;           /* SAME_LABEL: the label. Borrowed from the side's own tags. */
        const Rule *observed;        /* the observed rule that holds, reject before accept; NULL: none. Borrowed. */
        bool observed_accept;
} Verdict;

_must_use_ Verdict policy_evaluate(const PolicySide *side, const PolicyRequest *request);

/* ---- for explanations ---- */
typedef enum Holds { HOLDS_NO, HOLDS_UNKNOWN, HOLDS_YES } Holds; /* UNKNOWN: negative, over a family that was not sent, or a plug-in that told nothing */
Holds clause_holds(const Clause *c, const PolicyRequest *request);
Holds rule_holds(const Rule *r, const PolicyRequest *request);

/* Text for people, several lines: which rule decided, or which clause of which rule failed and what would make it pass. NULL: no memory. */
char *policy_explain(const PolicySide *side, const PolicyRequest *request);
