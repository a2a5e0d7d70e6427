/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-output.h"
#include "util/fuzz.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *fault = NULL;
        TagSet tags = {};
        bool host;
        int r = plugin_output_parse("dmi", (const char *) data, size, &tags, &host, &fault);

        CHECK(r == 0 || (r == -EINVAL && fault && tags.n_tags == 0));
        CHECK(tags.n_tags <= PLUGIN_TAGS_MAX);
        for (size_t i = 0; i < tags.n_tags; i++)
                CHECK(startswith(tags.tags[i].key, "@dmi:") && tag_value_is_valid(tags.tags[i].value, strlen(tags.tags[i].value)));
        tag_set_done(&tags);
        return 0;
}
