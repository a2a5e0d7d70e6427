/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests that enter a sandbox: the run time of AddressSanitizer makes system calls of its own that no sandbox of ours lets through, so they are skipped with it. */

#include <stdio.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define BUILT_WITH_SANITIZER 1
#else
#define BUILT_WITH_SANITIZER 0
#endif

/* The exit status that means "skipped", or 0. */
static inline int sanitizer_skip(void) {
        if (!BUILT_WITH_SANITIZER)
                return 0;
        puts("skipped: the run time of the sanitizer needs calls that the sandbox refuses");
        return 77;
}
