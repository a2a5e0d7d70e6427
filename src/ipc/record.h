/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Journal entries about a unit. The helper writes them for the enforcer, because journalctl -u and systemctl status show entries about another unit
 * only if uid 0 wrote them; where the helper cannot, the enforcer writes the same entry itself. units/trireme.catalog explains them. */

#include <stdbool.h>
#include <stddef.h>

#include "ipc/helper-protocol.h"
#include "util/macro.h"

#define RECORD_MESSAGE_ID_DENIED "e3c4b1a6f0d24a0f9b7f5c8e61d2a947"
#define RECORD_MESSAGE_ID_OBSERVED "5b0c7a3d9e814f62a1d84c3be7f0952e"
#define RECORD_MESSAGE_ID_ACCEPTED "c1f7a2946be84d0e9d35a80f47b26e1c"
#define RECORD_MESSAGE_ID_SETTINGS "9a6d2f48c17b4e35b0e28f4d73a1c56b"

/* Does it end within size bytes, and is it printable ASCII up to there? */
bool record_text_is_clean(const char *s, size_t size);
/* 0; -EINVAL: a text without its NUL or with anything but printable ASCII, an unknown kind or family. */
_must_use_ int record_check(const HelperRecord *r);

/* Checks, then writes to the journal. explanation: what the reason means, in a sentence of the writer's own, or "". 0 or a negative errno. */
_must_use_ int record_write(const HelperRecord *r, const char *explanation);
