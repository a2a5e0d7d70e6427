/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/config-load.h"

#include <errno.h>

#include "enforcer/found-files.h"

#define CONFIG_SIZE_MAX (1u << 20)
#define POLICY_SIZE_MAX (64u << 20) /* some hundred thousand rules */

int config_load(const char *root, Config *ret, char **ret_text) {
        _cleanup_(found_files_done) FoundFiles files = { .n_files = 0 };
        ConfigFile list[FOUND_FILES_MAX];
        ConfigErrors errors = {};
        int r;

        r = found_files_add_first(&files, root, "trireme.conf");
        if (r >= 0)
                r = found_files_add_directory(&files, root, "trireme.conf.d", ".conf");
        if (r < 0)
                return found_file_fault("trireme.conf", r, ret_text);
        r = found_files_read(&files, CONFIG_SIZE_MAX, ret_text);
        if (r < 0)
                return r;
        for (size_t i = 0; i < files.n_files; i++)
                list[i] = found_file_config(&files.files[i]);
        r = config_parse(list, files.n_files, ret, &errors);
        if (r == -EINVAL)
                *ret_text = config_errors_format(&errors);
        config_errors_done(&errors);
        if (r < 0 && r != -EINVAL)
                return found_file_fault("trireme.conf", r, ret_text);
        return r == -EINVAL && !*ret_text ? -ENOMEM : r;
}

int policies_load(const char *root, PolicyBook *ret, char **ret_text) {
        _cleanup_(found_files_done) FoundFiles files = { .n_files = 0 };
        _cleanup_(policy_book_done) PolicyBook book = {};
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        r = found_files_add_directory(&files, root, "policy.d", ".json");
        if (r < 0)
                return found_file_fault("policy.d", r, ret_text);
        r = found_files_read(&files, POLICY_SIZE_MAX, ret_text);
        if (r < 0)
                return r;
        for (size_t i = 0; i < files.n_files; i++) { /* all of them, so that all faults are told at once */
                const ConfigFile file = found_file_config(&files.files[i]);

                r = file.size > 0 ? policy_book_add(&book, &file, &errors) : 0;
                if (r < 0 && r != -EINVAL)
                        return found_file_fault(file.path, r, ret_text);
        }
        if (errors.n_errors > 0) {
                *ret_text = config_errors_format(&errors);
                return *ret_text ? -EINVAL : -ENOMEM;
        }
        *ret = book;
        book = (PolicyBook) {};
        return 0;
}
