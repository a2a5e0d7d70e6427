/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the generator needs to know of a unit file or drop-in, found in one pass over its bytes. Pure; the input is any bytes at all.
 *
 * This is not the parser of the settings (policy/unit-settings.h): it must only never miss what the enforcer takes for its own. A damaged header ("[X-Trireme"
 * without its bracket), one that is misspelt ("[x-trireme]", "[Trireme]") and a setting outside of its section count, so that the unit does not start unprotected and the
 * enforcer can say what is wrong. */

#include <stdbool.h>
#include <stddef.h>

typedef enum UnitScanKey {
        UNIT_SCAN_SERVICE, /* Service= of a socket: the service that it triggers */
        UNIT_SCAN_SOCKET,  /* one word of Sockets= of a service */
} UnitScanKey;

/* value is borrowed, not NUL-terminated, not empty and without white space. */
typedef void (*unit_scan_cb)(void *userdata, UnitScanKey key, const char *value, size_t len);

/* Returns whether there is a [X-Trireme] section, or something that was meant to be one; calls cb for each value. */
bool unit_scan(const char *text, size_t len, unit_scan_cb cb, void *userdata);
