/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/constraint.h"
#include "util/fuzz.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *uri = strndup((const char *) data, size), *text = NULL, *again = NULL;
        Constraint c;

        if (!uri || constraint_parse(uri, 0, &c) < 0)
                return 0;
        CHECK(!c.key || (tag_key_is_valid(c.key, strlen(c.key)) && tag_value_is_valid(c.value, strlen(c.value))));
        CHECK(!c.key || strncmp(c.key, "@sys:", 5) != 0);
        text = constraint_format(&c);
        CHECK(!text || utf8_is_printable(text, strlen(text)));
        constraint_done(&c);
        CHECK(constraint_to_uri(uri + strlen("trireme:"), &again) != 0 || again);
        return 0;
}
