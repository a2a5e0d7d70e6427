/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first byte is the length of the name, then the name, then the cache. */
#include "inspect/ld-cache.h"
#include "inspect/memory.h"
#include "util/fuzz.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char path[PROGRAM_PATH_MAX], name[256];
        size_t n;

        if (size == 0 || (n = data[0]) > size - 1)
                return 0;
        memcpy(name, data + 1, n);
        name[n] = '\0';
        if (ld_cache_find(&(const ByteSource) { memory_read, &(Memory) { data + 1 + n, size - 1 - n } }, name, path) >= 0)
                CHECK(strnlen(path, sizeof(path)) < sizeof(path) && utf8_is_printable(path, strlen(path)));
        return 0;
}
