/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where in a JSON text a value stands: the JSON library tells positions of syntax errors only, and people look for "line 12". */

#include <stddef.h>

/* One step down from up (NULL: the whole text): into an object by key, or into an array by index when key is NULL. */
typedef struct JsonPath {
        const struct JsonPath *up;
        const char *key;
        size_t index;
} JsonPath;

/* The text must have been parsed without error. 1-based; a value that is not found counts as the one above it. */
void json_locate(const char *text, size_t size, const JsonPath *path, unsigned *ret_line, unsigned *ret_column);
/* "Web.ExposureRules[0].Clause[1]", empty for NULL; NULL: no memory. */
char *json_path_format(const JsonPath *path);
