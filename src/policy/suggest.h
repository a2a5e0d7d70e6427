/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* "triremectl suggest": of connections that were denied, the settings of [X-Trireme] that would have allowed them. Pure; whether they should be allowed is for a person to say. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

/* One record, as ListFlows() of org.trireme(5) tells it. Borrowed. */
typedef struct SuggestDenial {
        bool connect;            /* the unit is the client */
        bool claimed;            /* it is not proven that the token was the peer's own */
        const char *reason, *rule;
        const char *address;     /* of the other end */
        const char *protocol;
        uint16_t port;           /* the server's */
        const char *peer_unit;   /* "": not known */
        const char *labels;      /* of the other end, "k=v k=v" */
} SuggestDenial;

typedef struct Suggestion {
        char *line;              /* NULL: no setting of this unit would help */
        char *why;               /* the reason, or what to do instead */
        bool connect;            /* of which direction; both for lines and for what has none */
        bool rule;               /* line is a rule, which takes the place of the rules of the policy */
        unsigned n_denials;
} Suggestion;

typedef struct SuggestionList {
        Suggestion *items; /* each line and each reason once */
        size_t n_items;
} SuggestionList;

void suggestion_list_done(SuggestionList *l);
/* -ENOMEM. */
_must_use_ int suggest(const SuggestDenial *d, SuggestionList *l);
/* A rule or label as org.trireme tells it, as a line of a unit file: specifiers are expanded there. NULL: no memory. */
char *suggest_line(bool connect, const char *rule);
