/* SPDX-License-Identifier: GPL-2.0-or-later */

/* ca: a small certification authority in a directory, for who has none (docs/pki.md). It needs no daemon, and belongs on a machine that is no node. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "ctl/ctl.h"
#include "ctl/key-file.h"
#include "policy/constraint.h"
#include "util/clock.h"
#include "util/log.h"

#define DAY_SEC ((int64_t) 86400)
#define CA_DAYS 3650
#define NODE_DAYS 90
#define CRL_DAYS 30
#define PATH_SIZE 4096

typedef struct Authority {
        const char *directory;
        char *key, *certificate;
} Authority;

static void authority_done(Authority *a) {
        secret_free(a->key);
        free(a->certificate);
}

static int64_t now_sec(void) {
        return (int64_t) (clock_realtime_usec() / USEC_PER_SEC);
}

static int64_t lifetime_sec(const Options *o, int days) {
        return o->usec == USEC_INFINITY ? days * DAY_SEC : (int64_t) (o->usec / USEC_PER_SEC);
}

static int path_in(char ret[static PATH_SIZE], const char *directory, const char *name) {
        int n = snprintf(ret, PATH_SIZE, "%s/%s", directory, name);

        return n < PATH_SIZE ? 0 : log_error_errno(ENAMETOOLONG, "%s", directory);
}

static int write_in(const char *directory, const char *name, const char *text, mode_t mode, bool replace) {
        char path[PATH_SIZE];
        int r = path_in(path, directory, name);

        return r < 0 ? r : key_file_write(path, text, mode, replace);
}

static int read_in(const char *directory, const char *name, char **ret) {
        char path[PATH_SIZE];
        int r = path_in(path, directory, name);

        return r < 0 ? r : key_file_read(path, ret);
}

static int authority_open(Authority *a, const char *directory) {
        int r;

        a->directory = directory;
        r = read_in(directory, "ca.key", &a->key);
        if (r >= 0)
                r = read_in(directory, "ca.crt", &a->certificate);
        if (r == -ENOENT)
                log_error("%s holds no CA; make one with: triremectl ca init %s", directory, directory);
        return r;
}

static int issue(const IssueRequest *request, const char *key, const Issuer *issuer, char **ret) {
        const char *fault = NULL;
        int r = certificate_issue(request, key, issuer, ret, &fault);

        return r < 0 ? log_error_errno(r, "Cannot issue a certificate for %s (%s)", request->name, fault ?: "?") : 0;
}

/* ---- init ---- */

static int ca_init(const Options *o, const char *directory) {
        const IssueRequest request = { .name = o->policy_name ?: "Trireme CA", .ca = true, .from_sec = now_sec(), .until_sec = now_sec() + lifetime_sec(o, CA_DAYS) };
        _cleanup_(authority_done) Authority a = { .directory = directory };
        int r;

        if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
                log_error_errno(errno, "Cannot create %s", directory);
                return CTL_FAILED;
        }
        r = private_key_new(KEY_P256, &a.key);
        if (r < 0)
                log_error_errno(r, "Cannot make a key");
        if (r >= 0)
                r = issue(&request, a.key, NULL, &a.certificate);
        if (r >= 0)
                r = write_in(directory, "ca.key", a.key, 0600, false);
        if (r >= 0)
                r = write_in(directory, "ca.crt", a.certificate, 0644, false);
        if (r < 0)
                return CTL_FAILED;
        log_notice("Made a CA in %s. Whoever has ca.key can be every node.", directory);
        return CTL_OK;
}

/* ---- issue ---- */

typedef struct Names { /* for IssueRequest.names */
        char *names[CTL_LIST_MAX + 2];
        size_t n;
} Names;

static void names_done(Names *n) {
        for (size_t i = 0; i < n->n; i++)
                free(n->names[i]);
}

static int names_make(const Options *o, const char *node, Names *ret) {
        if (asprintf(&ret->names[0], "DNS:%s", node) < 0)
                return log_error_errno(ENOMEM, "Cannot issue");
        ret->n = 1;
        for (size_t i = 0; i < o->labels.n_items; i++) {
                _cleanup_free_ char *uri = NULL;
                int r = constraint_to_uri(o->labels.items[i], &uri);

                if (r < 0)
                        return log_error_errno(r, "No label, and no pattern of labels: %s", o->labels.items[i]);
                if (asprintf(&ret->names[ret->n], "URI:%s", uri) < 0)
                        return log_error_errno(ENOMEM, "Cannot issue");
                ret->n++;
        }
        return 0;
}

static int node_write(const Authority *a, const char *node, const char *key, const char *certificate) {
        char directory[PATH_SIZE];
        int r = path_in(directory, a->directory, node);

        if (r < 0)
                return r;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return log_error_errno(errno, "Cannot create %s", directory);
        r = write_in(directory, "trireme.key", key, 0600, true);
        if (r >= 0)
                r = write_in(directory, "trireme.cert", certificate, 0644, true);
        if (r >= 0)
                r = write_in(directory, "trireme.ca", a->certificate, 0644, true);
        if (r >= 0)
                log_notice("Wrote %s/trireme.key, trireme.cert and trireme.ca. Move them to " CREDSTORE " of %s, then run triremectl reload there.", directory, node);
        return r;
}

/* A name that is a directory's, too. */
static bool node_is_valid(const char *node) {
        return node[0] && node[0] != '.' && strlen(node) <= 64 && strspn(node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(node);
}

static int ca_issue(const Options *o, const char *directory, const char *node) {
        _cleanup_(authority_done) Authority a = {};
        _cleanup_(names_done) Names names = { .n = 0 };
        _cleanup_(secret_freep) char *key = NULL;
        _cleanup_free_ char *certificate = NULL;
        IssueRequest request = { .name = node, .from_sec = now_sec(), .until_sec = now_sec() + lifetime_sec(o, NODE_DAYS) };
        uint8_t der[CERTIFICATE_MAX];
        int r;

        if (!node_is_valid(node)) {
                log_error("%s is no host name.", node);
                return CTL_FAILED;
        }
        if (authority_open(&a, directory) < 0 || names_make(o, node, &names) < 0)
                return CTL_FAILED;
        request.names = (const char *const *) names.names;
        r = private_key_new(KEY_P256, &key);
        if (r < 0)
                log_error_errno(r, "Cannot make a key");
        if (r >= 0)
                r = issue(&request, key, &(Issuer) { .key = a.key, .certificate = a.certificate }, &certificate);
        if (r >= 0 && certificate_from_pem(certificate, strlen(certificate), der) < 0)
                r = log_error_errno(EFBIG, "The certificate is too long for a token; name fewer labels, or patterns of them");
        if (r >= 0)
                r = node_write(&a, node, key, certificate);
        return r < 0 ? CTL_FAILED : CTL_OK;
}

/* ---- revoke ---- */

/* node: a directory of ours, or a serial in hexadecimal. */
static int find_serial(const char *directory, const char *node, char **ret) {
        _cleanup_free_ char *certificate = NULL;
        char path[PATH_SIZE];
        int r;

        if (strchr(node, '/') || (size_t) snprintf(path, sizeof(path), "%s/trireme.cert", node) >= sizeof(path))
                return log_error_errno(EINVAL, "No node, and no serial: %s", node);
        r = read_in(directory, path, &certificate);
        if (r >= 0)
                r = certificate_serial(certificate, ret);
        else if (r == -ENOENT && strspn(node, "0123456789abcdefABCDEF") == strlen(node) && node[0])
                r = (*ret = strdup(node)) ? 0 : -ENOMEM;
        return r < 0 ? log_error_errno(r, "Cannot tell the serial of %s", node) : 0;
}

static int revoked_add(const char *directory, const char *node, char **serials) {
        _cleanup_free_ char *serial = NULL;
        char *more;
        int r = find_serial(directory, node, &serial);

        if (r < 0)
                return r;
        if (strcasestr(*serials, serial)) /* serials have one length, but for foreign ones: twice on a list is no harm */
                return 0;
        if (asprintf(&more, "%s%s\n", *serials, serial) < 0)
                return log_error_errno(ENOMEM, "Cannot revoke");
        free(*serials);
        *serials = more;
        return write_in(directory, "revoked", more, 0644, true);
}

static int ca_revoke(const Options *o, const char *directory, const char *node) {
        _cleanup_(authority_done) Authority a = {};
        _cleanup_free_ char *serials = NULL, *crl = NULL;
        const char *fault = NULL;
        int r;

        if (authority_open(&a, directory) < 0)
                return CTL_FAILED;
        r = read_in(directory, "revoked", &serials);
        if (r == -ENOENT)
                r = (serials = strdup("")) ? 0 : log_error_errno(ENOMEM, "Cannot revoke");
        if (r >= 0 && node)
                r = revoked_add(directory, node, &serials);
        if (r < 0)
                return CTL_FAILED;
        /* seconds grow by themselves, so nothing has to be remembered for the list's number */
        r = crl_issue(&(Issuer) { .key = a.key, .certificate = a.certificate }, serials, now_sec(), now_sec(), now_sec() + lifetime_sec(o, CRL_DAYS), &crl, &fault);
        if (r < 0) {
                log_error_errno(r, "Cannot make the list (%s)", fault ?: "?");
                return CTL_FAILED;
        }
        if (write_in(directory, "trireme.crl", crl, 0644, true) < 0)
                return CTL_FAILED;
        log_notice("Wrote %s/trireme.crl. Copy it to " CREDSTORE " of all nodes, then run triremectl reload on each; make a new one before it runs out.", directory);
        return CTL_OK;
}

/* Who takes a node over must not get the CA's key with it. */
static bool is_node(void) {
        static const char *const files[] = { CREDSTORE "/trireme.key", CREDSTORE_ENCRYPTED "/trireme.key" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (access(files[i], F_OK) == 0) {
                        log_error("This host is a node itself (%s), and a CA's key must never be on one: use another machine.", files[i]);
                        return true;
                }
        return false;
}

int verb_ca(const Options *o, int argc, char **argv) {
        if (is_node())
                return CTL_FAILED;
        if (streq(argv[1], "init") && argc == 3)
                return ca_init(o, argv[2]);
        if (streq(argv[1], "issue") && argc == 4)
                return ca_issue(o, argv[2], argv[3]);
        if (streq(argv[1], "revoke") && (argc == 3 || argc == 4))
                return ca_revoke(o, argv[2], argc > 3 ? argv[3] : NULL);
        log_error("Usage: ca init DIRECTORY, ca issue DIRECTORY HOST [--label=K=V...] [--for=TIME], ca revoke DIRECTORY [HOST|SERIAL] [--for=TIME]");
        return CTL_FAILED;
}
