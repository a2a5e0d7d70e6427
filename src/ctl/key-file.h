/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files with keys and certificates: complete or not there, with the right mode from their first moment. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/macro.h"

#define CREDSTORE "/etc/credstore"
#define CREDSTORE_ENCRYPTED "/etc/credstore.encrypted"

/* -EEXIST when it is there and may not be replaced; said already, as every failure. */
_must_use_ int key_file_write(const char *path, const char *text, mode_t mode, bool replace);
/* The text (yours, wipe it when it is secret). -ENOENT is for the caller to say; other failures are said already. */
_must_use_ int key_file_read(const char *path, char **ret);
/* A new shared key: base64 and a newline. */
_must_use_ int psk_text_new(char **ret);
/* Through systemd-creds(1) into the store of encrypted credentials, under this name. */
_must_use_ int key_store_encrypted(const char *name, const char *text);
