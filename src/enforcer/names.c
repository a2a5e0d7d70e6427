/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/names.h"

#include <errno.h>
#include <search.h>

typedef struct Name {
        uint32_t number;
        char text[];
} Name;

struct Names {
        void *tree;               /* tsearch(3), by text */
        Name **names;             /* by number - 1 */
        uint32_t n_names, allocated;
};

static int name_compare(const void *a, const void *b) {
        return strcmp(((const Name *) a)->text, ((const Name *) b)->text);
}

int names_new(Names **ret) {
        Names *n = calloc(1, sizeof(*n));

        if (!n)
                return -ENOMEM;
        *ret = n;
        return 0;
}

Names *names_free(Names *n) {
        if (!n)
                return NULL;
        tdestroy(n->tree, free);
        free(n->names);
        free(n);
        return NULL;
}

static int names_grow(Names *n) {
        uint32_t size = MAX(n->allocated * 2, 64u);
        Name **names;

        if (n->n_names < n->allocated)
                return 0;
        if (n->n_names >= NAMES_MAX)
                return -ENOBUFS;
        names = realloc(n->names, size * sizeof(*names));
        if (!names)
                return -ENOMEM;
        n->names = names;
        n->allocated = size;
        return 0;
}

uint32_t names_number(Names *n, const char *text) {
        _cleanup_free_ Name *name = NULL;
        Name **slot;

        if (!text || !text[0])
                return 0;
        name = malloc(sizeof(*name) + strlen(text) + 1);
        if (!name)
                return 0;
        strcpy(name->text, text);
        if (names_grow(n) < 0) { /* no room for a new one, but it may be known */
                slot = tfind(name, &n->tree, name_compare);
                return slot ? (*slot)->number : 0;
        }
        slot = tsearch(name, &n->tree, name_compare);
        if (!slot)
                return 0;
        if (*slot != name)
                return (*slot)->number;
        name->number = ++n->n_names;
        n->names[n->n_names - 1] = name;
        return TAKE_PTR(name)->number;
}

const char *names_string(const Names *n, uint32_t number) {
        return number >= 1 && number <= n->n_names ? n->names[number - 1]->text : "";
}
