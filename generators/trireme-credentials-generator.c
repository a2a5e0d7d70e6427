/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LoadCredential= does not decrypt, and LoadCredentialEncrypted= fails on a credential that is not encrypted: systemd 252 to 257 have no setting for "either". So what
 * is found in a store of encrypted credentials is asked for as that, by a drop-in beside the units' own LoadCredential= lines. Names are looked at, nothing is read. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsg.h"
#include "util/macro.h"

#define PATH_SIZE 4096
#define DROPIN "50-trireme-encrypted.conf"

static const char *const stores[] = { "/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/local/lib/credstore.encrypted", "/usr/lib/credstore.encrypted" };
static const char *const names[] = { "trireme.psk", "trireme.cert", "trireme.key", "trireme.ca", "trireme.crl" };
static const char *const units[] = { "trireme.service", "trireme-credentials.service" };

static bool is_encrypted(const char *name) {
        char path[PATH_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(stores); i++)
                if (snprintf(path, sizeof(path), "%s/%s", stores[i], name) < PATH_SIZE && access(path, F_OK) >= 0)
                        return true;
        return false;
}

static int write_dropin(const char *output, const char *unit, const char *text) {
        char directory[PATH_SIZE], path[PATH_SIZE];
        FILE *f;
        int r;

        if (snprintf(directory, sizeof(directory), "%s/%s.d", output, unit) >= PATH_SIZE || snprintf(path, sizeof(path), "%s/%s.d/" DROPIN, output, unit) >= PATH_SIZE)
                return -ENAMETOOLONG;
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        f = fopen(path, "we");
        if (!f)
                return -errno;
        r = fprintf(f, "# Written by trireme-credentials-generator\n[Service]\n%s", text);
        return fclose(f) != 0 || r < 0 ? -EIO : 0;
}

static int generate(const char *output) {
        char text[512] = "";
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (is_encrypted(names[i]))
                        n += (size_t) snprintf(text + n, sizeof(text) - n, "LoadCredentialEncrypted=%s\n", names[i]);
        for (size_t i = 0; n > 0 && i < ELEMENTSOF(units); i++) {
                int r = write_dropin(output, units[i], text);

                if (r < 0) {
                        kmsg_log(KMSG_ERR, "Cannot write a drop-in for %s: %s", units[i], strerror(-r));
                        return r;
                }
        }
        return 0;
}

int main(int argc, char **argv) {
        const char *scope = getenv("SYSTEMD_SCOPE");

        kmsg_setup(argc == 2); /* one argument: run by hand */
        if (argc != 2 && argc != 4) {
                kmsg_log(KMSG_ERR, "Expected one or three output directories");
                return EXIT_FAILURE;
        }
        if (scope && !streq(scope, "system"))
                return EXIT_SUCCESS;
        return generate(argv[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
