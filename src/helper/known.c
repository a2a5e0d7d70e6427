/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "helper/pid1.h"

struct KnownUnit {
        HelperUnit unit;
        UnitPaths paths;          /* owned, with what it points to */
        char name[];
};

static int known_compare(const void *a, const void *b) {
        const KnownUnit *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static void known_free(void *known) {
        KnownUnit *k = known;

        if (!k)
                return;
        for (size_t i = 0; i < k->paths.n; i++)
                free(k->paths.paths[i]);
        free(k->paths.exec);
        free(k);
}

static KnownUnit *known_new(const char *name) {
        KnownUnit *k = calloc(1, sizeof(*k) + strlen(name) + 1);

        if (k)
                memcpy(k->name, name, strlen(name) + 1);
        return k;
}

static int known_copy(KnownUnit *k, const HelperUnit *unit, const UnitPaths *paths) {
        k->unit = *unit;
        k->paths.overflow = paths->overflow;
        for (; k->paths.n < paths->n; k->paths.n++) {
                k->paths.paths[k->paths.n] = strdup(paths->paths[k->paths.n]);
                if (!k->paths.paths[k->paths.n])
                        return -ENOMEM;
        }
        if (!paths->exec)
                return 0;
        k->paths.exec = malloc(sizeof(*k->paths.exec));
        if (!k->paths.exec)
                return -ENOMEM;
        *k->paths.exec = *paths->exec;
        return 0;
}

void pid1_know(Pid1 *p, const char *name, const HelperUnit *unit, const UnitPaths *paths) {
        KnownUnit *k = known_new(name), **found;

        pid1_forget(p, name);
        found = k && known_copy(k, unit, paths) >= 0 ? tsearch(k, &p->known, known_compare) : NULL;
        if (!found) /* then PID 1 is asked again */
                known_free(k);
}

static KnownUnit *known_find(Pid1 *p, const char *name) {
        KnownUnit *key = known_new(name), **found = key ? tfind(key, &p->known, known_compare) : NULL;

        free(key);
        return found ? *found : NULL;
}

void pid1_forget(Pid1 *p, const char *name) {
        KnownUnit *k = known_find(p, name);

        if (!k)
                return;
        (void) tdelete(k, &p->known, known_compare);
        known_free(k);
}

bool unit_is_slice(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot && streq(dot, ".slice");
}

void pid1_forget_all(Pid1 *p) {
        p->n_loads++;
        tdestroy(p->known, known_free);
        p->known = NULL;
}

bool pid1_answer_known(Pid1 *p, const char *name, bool exec, UnitCallback callback, void *userdata) {
        const KnownUnit *k = known_find(p, name);

        if (!k || (exec && !k->paths.exec))
                return false;
        callback(0, &k->unit, &k->paths, userdata);
        return true;
}
