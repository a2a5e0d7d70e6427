/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Runs a fuzz target over every file of its corpus directory, so that the corpus is an ordinary test. */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "util/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
        struct stat st;
        FILE *f = fopen(path, "re");
        uint8_t *data;
        size_t n;

        if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode)) {
                perror(path);
                if (f)
                        fclose(f);
                return -1;
        }
        /* An allocation of exactly the file's size, so that sanitizers see the first byte beyond it. */
        data = malloc(st.st_size > 0 ? (size_t) st.st_size : 1);
        if (!data)
                abort();
        n = fread(data, 1, (size_t) st.st_size, f);
        fclose(f);
        (void) LLVMFuzzerTestOneInput(data, n);
        free(data);
        return 0;
}

int main(int argc, char **argv) {
        struct dirent **names;
        int n, n_run = 0;

        if (argc != 2) {
                fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
                return 2;
        }
        n = scandir(argv[1], &names, NULL, alphasort);
        if (n < 0) {
                perror(argv[1]);
                return 1;
        }
        for (int i = 0; i < n; i++) {
                char path[4096];

                if (names[i]->d_name[0] != '.') {
                        snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
                        if (replay_file(path) < 0)
                                return 1;
                        n_run++;
                }
                free(names[i]);
        }
        free(names);
        printf("%d inputs replayed\n", n_run);
        return n_run > 0 ? 0 : 1; /* an empty corpus would be a test that cannot fail */
}
