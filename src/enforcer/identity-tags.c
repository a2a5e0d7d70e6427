/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A family is all or nothing: "no tag of this family is X" is only true of one that is known whole. */
#include "enforcer/identity-tags.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "enforcer/identity-names.h"

#define BIT(f) TAG_FAMILY_BIT(TAG_FAMILY_##f)
#define FILE_FAMILIES ((uint16_t) (BIT(EXE) | BIT(EXE_SHA256) | BIT(EXE_VERITY)))
#define FILES_MAX 2u
#define DYNAMIC_UID_FIRST 61184u /* systemd's UIDS-GIDS.md */
#define DYNAMIC_UID_LAST 65519u

typedef struct Maker {
        Manager *manager;
        usec_t now_usec;
        TagSet tags;
        uint16_t families;
} Maker;

/* A value that no tag can have leaves its family unknown. */
static int add(Maker *k, TagFamily family, const char *value) {
        char key[TAG_KEY_MAX];
        int r;

        (void) snprintf(key, sizeof(key), "@sys:%s", tag_family_to_string(family));
        r = tag_set_add(&k->tags, key, value);
        if (r == -EINVAL) {
                k->families &= (uint16_t) ~TAG_FAMILY_BIT(family);
                return 0;
        }
        return r;
}

static int add_number(Maker *k, TagFamily family, uint32_t number) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", number);
        k->families |= TAG_FAMILY_BIT(family);
        return add(k, family, text);
}

static int add_name(Maker *k, TagFamily family, const char *name) {
        k->families |= TAG_FAMILY_BIT(family);
        return add(k, family, name);
}

/* ---- files ---- */

static uint16_t known_of_file(const IdentityFile *f) {
        uint16_t families = f->verity_known ? BIT(EXE_VERITY) : 0;

        if (f->path_known && tag_value_is_valid(f->path, strlen(f->path)))
                families |= BIT(EXE);
        if (f->sha256[0])
                families |= BIT(EXE_SHA256);
        return families;
}

static int add_file(Maker *k, const IdentityFile *f, uint16_t families) {
        int r = 0;

        if (families & BIT(EXE))
                r = add(k, TAG_FAMILY_EXE, f->path);
        if (r >= 0 && families & BIT(EXE_SHA256))
                r = add(k, TAG_FAMILY_EXE_SHA256, f->sha256);
        if (r >= 0 && families & BIT(EXE_VERITY) && f->verity[0])
                r = add(k, TAG_FAMILY_EXE_VERITY, f->verity);
        return r;
}

static bool leads_to(const char *path, const FileKey *key) {
        struct stat st;

        return stat(path, &st) >= 0 && st.st_dev == key->device && st.st_ino == key->inode;
}

/* "#!/usr/bin/env NAME": the first NAME of systemd's own search path, as PID 1 sets $PATH of services. */
static bool env_leads_to(const char *argument, const FileKey *key) {
        static const char *const directories[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
        const char *name = startswith(argument, "-S ") ?: argument;
        size_t n = strcspn(name, " \t");

        for (size_t i = 0; i < ELEMENTSOF(directories) && n > 0; i++) {
                char path[PROGRAM_PATH_MAX * 2];
                struct stat st;

                (void) snprintf(path, sizeof(path), "%s/%.*s", directories[i], (int) n, name);
                if (stat(path, &st) >= 0)
                        return leads_to(path, key);
        }
        return false;
}

/* Does a process that executes this file run that script? PID 1 started the script; its interpreter is still there. */
static bool runs_script(const FileFacts *script, const IdentityFile *process) {
        const char *name;

        if (!script || !script->has_program || script->kind != PROGRAM_SCRIPT)
                return false;
        name = strrchr(script->interpreter, '/');
        if (name && streq(name, "/env"))
                return leads_to(script->interpreter, &process->key) || env_leads_to(script->argument, &process->key);
        return leads_to(script->interpreter, &process->key);
}

static int add_files(Maker *k, const IdentityFacts *facts) {
        const IdentityFile *files[FILES_MAX];
        const FileFacts *start;
        uint16_t families = FILE_FAMILIES;
        size_t n = 0;
        int r = 0;

        start = facts->start.known ? identity_files_get(k->manager->identity_files, &facts->start.key) : NULL;
        if (facts->process.known)
                files[n++] = &facts->process;
        if (facts->start.known && (!facts->process.known || runs_script(start, &facts->process)))
                files[n++] = &facts->start;
        for (size_t i = 0; i < n; i++)
                families &= known_of_file(files[i]);
        if (n == 0)
                return 0;
        k->families |= families;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_file(k, files[i], families);
        return r;
}

static int add_libraries(Maker *k, const Libraries *l) {
        int r = 0;

        k->families |= BIT(LIB);
        for (size_t i = 0; r >= 0 && i < libraries_count(l); i++) {
                r = add(k, TAG_FAMILY_LIB, libraries_name(l, i));
                if (r >= 0)
                        r = add(k, TAG_FAMILY_LIB, libraries_path(l, i));
        }
        return r;
}

/* ---- users and groups ---- */

static int add_group(Maker *k, uint32_t gid) {
        const char *name;
        int r = add_number(k, TAG_FAMILY_GID, gid);

        if (r >= 0 && identity_group_name(k->manager->identity_names, gid, k->now_usec, &name) >= 0)
                r = add_name(k, TAG_FAMILY_GROUP, name);
        return r;
}

/* All of them have a name, or none is told. */
static int add_groups(Maker *k, const uint32_t *gids, size_t n) {
        const char *name;
        int r = 0;

        for (size_t i = 0; i < n; i++)
                if (identity_group_name(k->manager->identity_names, gids[i], k->now_usec, &name) < 0)
                        return 0;
        k->families |= BIT(GROUPS);
        for (size_t i = 0; r >= 0 && i < n && k->families & BIT(GROUPS); i++)
                if (identity_group_name(k->manager->identity_names, gids[i], k->now_usec, &name) >= 0)
                        r = add(k, TAG_FAMILY_GROUPS, name);
        return r;
}

static int add_user(Maker *k, uint32_t uid) {
        const UserRecord *user;
        int r = add_number(k, TAG_FAMILY_UID, uid);

        if (r >= 0 && identity_user_by_uid(k->manager->identity_names, uid, k->now_usec, &user) >= 0)
                r = add_name(k, TAG_FAMILY_USER, user->name);
        return r;
}

static int add_person(Maker *k, uint32_t uid) {
        const UserRecord *user;
        uint32_t gids[IDENTITY_GROUPS_MAX], gid;
        size_t n;
        int r = add_user(k, uid);

        if (r < 0 || identity_user_by_uid(k->manager->identity_names, uid, k->now_usec, &user) < 0)
                return r;
        n = MIN(user->n_groups, IDENTITY_GROUPS_MAX);
        memcpy(gids, user->groups, n * sizeof(*gids)); /* asking for names may forget the user */
        gid = user->gid;
        r = add_group(k, gid);
        return r < 0 ? r : add_groups(k, gids, n);
}

/* ---- credentials ---- */

static int add_labels(Maker *k, const HelperCredentials *c) {
        char profile[HELPER_NAME_MAX];
        const bool running = c->flags & HELPER_FROM_PROCESS;
        char *mode;
        int r = 0;

        if (running || c->selinux[0])
                k->families |= BIT(SELINUX);
        if (running || c->apparmor[0])
                k->families |= BIT(APPARMOR);
        if (c->selinux[0])
                r = add(k, TAG_FAMILY_SELINUX, c->selinux);
        if (r < 0 || !c->apparmor[0])
                return r;
        strcpy(profile, c->apparmor);
        mode = strstr(profile, " (enforce)"); /* only what is enforced goes by the profile's bare name */
        if (mode && !mode[strlen(" (enforce)")])
                *mode = '\0';
        return add(k, TAG_FAMILY_APPARMOR, profile);
}

/* The name of a dynamic user is PID 1's, and in the user database only where nss-systemd(8) is. */
static int add_dynamic(Maker *k, const HelperCredentials *c) {
        int r = add_number(k, TAG_FAMILY_UID, c->uid);

        if (r >= 0 && c->user[0])
                r = add_name(k, TAG_FAMILY_USER, c->user);
        if (r >= 0)
                r = add_number(k, TAG_FAMILY_GID, c->gid);
        if (r >= 0 && c->gid == c->uid && c->user[0])
                r = add_name(k, TAG_FAMILY_GROUP, c->user);
        return r;
}

static int add_running(Maker *k, const HelperCredentials *c) {
        int r;

        if (c->flags & HELPER_DYNAMIC_USER && c->uid >= DYNAMIC_UID_FIRST && c->uid <= DYNAMIC_UID_LAST)
                return add_dynamic(k, c);
        r = add_user(k, c->uid);

        if (r >= 0)
                r = add_group(k, c->gid);
        if (r >= 0 && !(c->flags & HELPER_GROUPS_CUT))
                r = add_groups(k, c->groups, c->n_groups);
        return r;
}

/* SupplementaryGroups= come on top of those that the user database gives to User=; without User= there are no others. */
static int add_future_groups(Maker *k, const HelperCredentials *c, uint32_t *gids, size_t n) {
        for (size_t i = 0; i < c->n_groups; i++) {
                if (n >= IDENTITY_GROUPS_MAX || identity_group_number(k->manager->identity_names, c->group_names[i], k->now_usec, &gids[n]) < 0)
                        return 0;
                n++;
        }
        return add_groups(k, gids, n);
}

static int add_future(Maker *k, const HelperCredentials *c) {
        uint32_t gids[IDENTITY_GROUPS_MAX], uid = 0, gid = 0;
        const UserRecord *user;
        size_t n = 0;
        int r;

        if (c->flags & HELPER_DYNAMIC_USER) /* its number is chosen at the start */
                return c->user[0] ? add_name(k, TAG_FAMILY_USER, c->user) : 0;
        if (c->user[0]) {
                if (identity_user_by_name(k->manager->identity_names, c->user, k->now_usec, &user) < 0)
                        return 0;
                uid = user->uid;
                gid = user->gid;
                n = MIN(user->n_groups, IDENTITY_GROUPS_MAX);
                memcpy(gids, user->groups, n * sizeof(*gids));
        }
        r = add_user(k, uid);
        if (r >= 0 && (!c->group[0] || identity_group_number(k->manager->identity_names, c->group, k->now_usec, &gid) >= 0))
                r = add_group(k, gid);
        return r < 0 || c->flags & HELPER_GROUPS_CUT ? r : add_future_groups(k, c, gids, n);
}

static int add_credentials(Maker *k, const char *unit, const HelperCredentials *c) {
        const char *dot = strrchr(unit, '.');
        int r = 0;

        if (c->flags & HELPER_FROM_PROCESS)
                r = add_running(k, c);
        else if (dot && !streq(dot, ".scope")) /* PID 1 starts no process of a scope, so it has no settings for one */
                r = add_future(k, c);
        return r < 0 ? r : add_labels(k, c);
}

int identity_uid_of_slice(const char *unit, uint32_t *ret) {
        const char *digits = startswith(unit, "user-");
        uint32_t uid = 0;
        size_t n = digits ? strspn(digits, "0123456789") : 0;

        if (n == 0 || n > 10 || !streq(digits + n, ".slice") || (digits[0] == '0' && n > 1))
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (__builtin_mul_overflow(uid, 10u, &uid) || __builtin_add_overflow(uid, (uint32_t) (digits[i] - '0'), &uid))
                        return -EINVAL;
        *ret = uid;
        return 0;
}

int identity_tags_make(Manager *m, const char *unit, const IdentityFacts *facts, const Libraries *libraries, TagSet *ret, uint16_t *ret_families) {
        Maker k = { .manager = m, .now_usec = clock_boottime_usec() };
        uint32_t uid;
        int r = 0;

        if (identity_uid_of_slice(unit, &uid) >= 0)
                r = add_person(&k, uid);
        if (r >= 0 && facts)
                r = add_files(&k, facts);
        if (r >= 0 && libraries)
                r = add_libraries(&k, libraries);
        if (r >= 0 && facts && facts->has_credentials)
                r = add_credentials(&k, unit, &facts->credentials);
        if (r < 0) {
                tag_set_done(&k.tags);
                return r;
        }
        *ret = k.tags;
        *ret_families = k.families;
        return 0;
}
