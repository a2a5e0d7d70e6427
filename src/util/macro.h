/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Cleanup attributes, ownership transfer and small arithmetic helpers used everywhere. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _unused_ __attribute__((unused))
#define _must_use_ __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

/* Defines func##p() for _cleanup_(); func takes the object and accepts NULL. */
#define DEFINE_CLEANUP(type, func)                      \
        static inline void func##p(type *p) {           \
                if (*p)                                 \
                        func(*p);                       \
        }                                               \
        struct _cleanup_semicolon_

#define TAKE_PTR(p) ({ typeof(p) *_pp = &(p); typeof(p) _t = *_pp; *_pp = NULL; _t; })
#define TAKE_FD(fd) ({ int *_pf = &(fd); int _t = *_pf; *_pf = -1; _t; })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))
#define MIN(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })

static inline void freep(void *p) {
        free(*(void **) p);
}

#define _cleanup_free_ _cleanup_(freep)

static inline int streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* The part of s behind prefix, or NULL. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}
