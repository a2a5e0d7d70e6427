/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the enforcer that need no other process: keys, numbers, rings. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "enforcer/config-load.h"
#include "enforcer/file-cache.h"
#include "enforcer/flows.h"
#include "enforcer/index.h"
#include "enforcer/keys.h"
#include "enforcer/names.h"
#include "ipc/record.h"
#include "util/fd.h"

#define GOOD_PSK "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg="

static void a_psk_is_32_random_bytes_in_base64_and_nothing_else(void **state) {
        static const struct {
                const char *text, *fault; /* fault: part of it; NULL: a good key */
        } cases[] = {
                { GOOD_PSK, NULL },
                { GOOD_PSK "\n", NULL },
                { GOOD_PSK "\n\n", "not 32 bytes" },
                { GOOD_PSK " ", "not 32 bytes" },
                { " " GOOD_PSK, "not 32 bytes" },
                { "", "not 32 bytes" },
                { "secret", "not 32 bytes" },
                { "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg", "not 32 bytes" },
                { "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAgA", "not 32 bytes" },
                { "CFAGRNWx3yf75NfgknDZ*ZXLIjInswqw6w22f/DLfAg=", "not base64" },
                { "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfA==", "not base64" },
                { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "repeats" },
                { "AAECAwQFBgcAAQIDBAUGBwABAgMEBQYHAAECAwQFBgc=", "repeats" },
                { "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSBvayE=", "it is text" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t psk[32] = { 0xee };
                const char *fault = NULL;
                int r = psk_parse(cases[i].text, strlen(cases[i].text), psk, &fault);

                if (!cases[i].fault) {
                        assert_int_equal(r, 0);
                        assert_int_equal(psk[0], 0x08);
                        assert_int_equal(psk[31], 0x08);
                        continue;
                }
                assert_int_equal(r, -EINVAL);
                assert_non_null(strstr(fault, cases[i].fault));
                assert_int_equal(psk[0], 0xee);
        }
}

static char *make_directory(void) {
        static char path[] = "/tmp/trireme-test-XXXXXX";

        strcpy(path + strlen(path) - 6, "XXXXXX");
        assert_non_null(mkdtemp(path));
        return path;
}

static void write_file(const char *directory, const char *name, const char *text, mode_t mode) {
        char path[512];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_int_equal(fchmod(fd, mode), 0);
        close(fd);
}

static void remove_tree(const char *directory) {
        char command[600];

        (void) snprintf(command, sizeof(command), "rm -rf '%s'", directory);
        assert_int_equal(system(command), 0);
}

/* NULL: no credentials. */
static int load(const char *directory, usec_t now_usec, Keys **ret) {
        static const uint8_t machine[16] = { 1 };
        _cleanup_close_ int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        const KeySource source = { .directory = fd, .exposed = "/nonexistent", .machine = machine };

        return keys_load(&source, 0, now_usec, ret);
}

static void keys_without_a_usable_psk_say_why(void **state) {
        _cleanup_(keys_freep) Keys *none = NULL, *empty = NULL, *open_to_all = NULL, *bad = NULL, *good = NULL, *cert = NULL;
        char *d = make_directory();

        assert_int_equal(load(NULL, 0, &none), 0);
        assert_int_equal(none->mode, KEY_NONE);
        assert_non_null(strstr(none->fault, "no credentials"));
        assert_int_equal(load(d, 0, &empty), 0);
        assert_int_equal(empty->mode, KEY_NONE);
        assert_non_null(strstr(empty->fault, "no trireme.psk"));
        write_file(d, "trireme.psk", GOOD_PSK, 0644);
        assert_int_equal(load(d, 0, &open_to_all), 0);
        assert_int_equal(open_to_all->mode, KEY_NONE);
        assert_non_null(strstr(open_to_all->fault, "read by others"));
        write_file(d, "trireme.psk", "BADPASS\n", 0400);
        assert_int_equal(load(d, 0, &bad), 0);
        assert_int_equal(bad->mode, KEY_NONE);
        write_file(d, "trireme.psk", GOOD_PSK "\n", 0400);
        assert_int_equal(load(d, 0, &good), 0);
        assert_int_equal(good->mode, KEY_PSK);
        write_file(d, "trireme.cert", "", 0400);
        assert_int_equal(load(d, 0, &cert), 0); /* never falls back to the PSK */
        assert_int_equal(cert->mode, KEY_NONE);
        remove_tree(d);
}

static void the_dh_key_lives_a_day_and_the_old_one_is_still_found(void **state) {
        _cleanup_(keys_freep) Keys *k = NULL;
        const KeyTimes times = key_times(600, 86400);
        uint8_t first[32], second[32], foreign[32] = { 1 };
        const usec_t end = 1000 + times.rotate_usec;

        assert_int_equal(load(NULL, 1000, &k), 0);
        own_key_name(&k->own, first);
        assert_int_equal(keys_rotate_dh(k, &times, end - 1), 0);
        assert_ptr_equal(keys_find_own(k, first), &k->own);
        assert_null(keys_find_own(k, foreign));
        assert_int_equal(keys_rotate_dh(k, &times, end), 1);
        own_key_name(&k->own, second);
        assert_memory_not_equal(first, second, 32);
        assert_ptr_equal(keys_find_own(k, first), &k->previous);
        assert_ptr_equal(keys_find_own(k, second), &k->own);
        assert_int_equal(keys_rotate_dh(k, &times, end + times.token_usec - 1), 0);
        assert_non_null(keys_find_own(k, first));
        assert_int_equal(keys_rotate_dh(k, &times, end + times.token_usec), 0);
        assert_null(keys_find_own(k, first));
}

/* Looked at once a tick, whatever the settings: from its making to its wiping a key is never older than it may be, and no token outlives it. */
static void no_dh_key_is_ever_older_than_its_life(void **state) {
        static const struct {
                uint32_t token_sec, key_sec;
        } cases[] = { { 600, 86400 }, { 3600, 86400 }, { 4, 8 }, { 3600, 8 }, { 600, 3600 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const KeyTimes times = key_times(cases[i].token_sec, cases[i].key_sec);
                const usec_t life = cases[i].key_sec * USEC_PER_SEC;

                assert_true(times.tick_usec > 0 && times.tick_usec * 2 <= times.token_usec);
                assert_true(times.token_usec <= cases[i].token_sec * USEC_PER_SEC);
                for (usec_t phase = 1; phase <= times.tick_usec; phase += times.tick_usec / 7) { /* of the ticks, when the first key is made */
                        _cleanup_(keys_freep) Keys *k = NULL;
                        uint8_t first[32];
                        usec_t now, rotated = 0;

                        assert_int_equal(load(NULL, 0, &k), 0);
                        own_key_name(&k->own, first);
                        for (now = phase; keys_find_own(k, first); now += times.tick_usec)
                                if (keys_rotate_dh(k, &times, now) > 0 && rotated == 0)
                                        rotated = now;
                        now -= times.tick_usec;
                        assert_true(rotated > 0 && now - rotated >= times.token_usec);
                        assert_true(now <= life);
                }
        }
}

static void a_freed_index_is_the_last_to_be_used_again(void **state) {
        IndexPool *p = calloc(1, sizeof(*p));
        uint32_t first, second, i;

        p->last = UNIT_INDEX_MAX - 1; /* wraps at once */
        assert_int_equal(index_take(p, &first), 0);
        assert_int_equal(first, UNIT_INDEX_MAX);
        assert_int_equal(index_take(p, &second), 0);
        assert_int_equal(second, 1);
        index_release(p, first);
        for (unsigned n = 0; n < UNIT_INDEX_MAX - 2; n++) {
                assert_int_equal(index_take(p, &i), 0);
                assert_int_not_equal(i, first);
                assert_int_not_equal(i, second);
        }
        assert_int_equal(index_take(p, &i), 0);
        assert_int_equal(i, first);
        assert_int_equal(index_take(p, &i), -ENOSPC);
        index_release(p, 77);
        assert_int_equal(index_take(p, &i), 0);
        assert_int_equal(i, 77);
        free(p);
}

static void an_index_can_be_taken_over_once(void **state) {
        IndexPool *p = calloc(1, sizeof(*p));
        uint32_t i;

        assert_int_equal(index_reserve(p, 0), -ERANGE);
        assert_int_equal(index_reserve(p, UNIT_INDEX_MAX + 1), -ERANGE);
        assert_int_equal(index_reserve(p, 1), 0);
        assert_int_equal(index_reserve(p, 1), -EBUSY);
        assert_int_equal(index_take(p, &i), 0);
        assert_int_equal(i, 2);
        index_release(p, 1);
        index_release(p, 1); /* twice counts once */
        assert_int_equal(p->n_used, 1);
        free(p);
}

static Flow make_flow(uint16_t port, uint8_t verdict) {
        return (Flow) { .record = { .dport = port, .verdict = verdict }, .unit = strdup("a.service"), .peer_unit = strdup(""), .peer_labels = strdup("") };
}

static void the_ring_keeps_the_newest_flows_and_forgets_the_oldest(void **state) {
        FlowLog l = {};

        assert_int_equal(flow_log_first(&l), 1);
        assert_null(flow_log_get(&l, 1));
        for (unsigned i = 1; i <= FLOWS_MAX + 10; i++) {
                Flow f = make_flow((uint16_t) i, i % 2 ? DATAPATH_FLOW_ACCEPT : DATAPATH_FLOW_REJECT);
                const Flow *kept = flow_log_add(&l, &f);

                assert_non_null(kept);
                assert_int_equal(kept->serial, i);
        }
        assert_int_equal(flow_log_first(&l), 11);
        assert_null(flow_log_get(&l, 10));
        assert_null(flow_log_get(&l, FLOWS_MAX + 11));
        assert_int_equal(flow_log_get(&l, 11)->record.dport, 11);
        assert_int_equal(flow_log_get(&l, FLOWS_MAX + 10)->record.dport, FLOWS_MAX + 10);
        assert_int_equal(l.n_by_verdict[DATAPATH_FLOW_ACCEPT], (FLOWS_MAX + 10) / 2);
        assert_int_equal(l.n_by_verdict[DATAPATH_FLOW_REJECT], (FLOWS_MAX + 10) / 2);
        flow_log_done(&l);
}

static void equal_names_have_one_number_and_none_has_none(void **state) {
        _cleanup_(names_freep) Names *n = NULL;
        char text[32];

        assert_int_equal(names_new(&n), 0);
        assert_int_equal(names_number(n, NULL), 0);
        assert_int_equal(names_number(n, ""), 0);
        for (unsigned i = 1; i <= 1000; i++) {
                (void) snprintf(text, sizeof(text), "file:%u", i);
                assert_int_equal(names_number(n, text), i);
                assert_int_equal(names_number(n, text), i);
        }
        assert_string_equal(names_string(n, 1000), "file:1000");
        assert_string_equal(names_string(n, 1), "file:1");
        assert_string_equal(names_string(n, 0), "");
        assert_string_equal(names_string(n, 1001), "");
}

static void read_cached(FileCache *c, const char *directory, const char *name, const char *expected) {
        _cleanup_free_ char *data = NULL;
        char path[512];
        size_t size;
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(file_cache_read(c, fd, &data, &size), 0);
        close(fd);
        if (!expected) {
                assert_null(data);
                return;
        }
        assert_int_equal(size, strlen(expected));
        assert_string_equal(data, expected);
}

static void a_cached_file_is_read_again_when_it_changes(void **state) {
        _cleanup_(file_cache_freep) FileCache *c = NULL;
        char *d = make_directory();

        assert_int_equal(file_cache_new(&c), 0);
        write_file(d, "a", "[X-Trireme]\nTriremeLabels=a=1\n", 0600);
        write_file(d, "b", "[Unit]\nDescription=nothing of ours\n", 0600);
        for (unsigned i = 0; i < 2; i++) {
                read_cached(c, d, "a", "[X-Trireme]\nTriremeLabels=a=1\n");
                read_cached(c, d, "b", NULL);
        }
        usleep(20000); /* the kernel's clock for file times is coarse */
        write_file(d, "a", "[X-Trireme]\nTriremeLabels=a=2\n", 0600);
        write_file(d, "b", "[X-Trireme]\n", 0600);
        read_cached(c, d, "a", "[X-Trireme]\nTriremeLabels=a=2\n");
        read_cached(c, d, "b", "[X-Trireme]\n");
        remove_tree(d);
}

static void configuration_is_found_by_the_usual_precedence(void **state) {
        char *d = make_directory(), path[512], *text = NULL;
        Config c;

        for (size_t i = 0; i < 2; i++) {
                (void) snprintf(path, sizeof(path), "mkdir -p %s/%s/trireme/trireme.conf.d", d, i ? "usr/lib" : "etc");
                assert_int_equal(system(path), 0);
        }
        assert_int_equal(config_load(d, &c, &text), 0); /* none at all: the defaults */
        assert_int_equal(c.mode, UNIT_MODE_ENFORCE);
        config_done(&c);
        write_file(d, "usr/lib/trireme/trireme.conf", "[Trireme]\nMode=observe\nDenyAction=drop\n", 0644);
        write_file(d, "usr/lib/trireme/trireme.conf.d/50-x.conf", "[Trireme]\nRequireDirectPath=yes\n", 0644);
        assert_int_equal(config_load(d, &c, &text), 0);
        assert_int_equal(c.mode, UNIT_MODE_OBSERVE);
        assert_true(c.deny_drop);
        assert_true(c.require_direct_path);
        config_done(&c);
        write_file(d, "etc/trireme/trireme.conf", "[Trireme]\nDenyAction=reset\n", 0644); /* instead of the vendor's */
        write_file(d, "etc/trireme/trireme.conf.d/50-x.conf", "", 0644);                  /* masks */
        assert_int_equal(config_load(d, &c, &text), 0);
        assert_int_equal(c.mode, UNIT_MODE_ENFORCE);
        assert_false(c.deny_drop);
        assert_false(c.require_direct_path);
        config_done(&c);
        write_file(d, "etc/trireme/trireme.conf.d/60-y.conf", "[Trireme]\nMode=maybe\n", 0644);
        assert_int_equal(config_load(d, &c, &text), -EINVAL);
        assert_non_null(strstr(text, "60-y.conf:2"));
        free(text);
        remove_tree(d);
}

static void journal_records_hold_printable_text_only(void **state) {
        HelperRecord r = { .kind = HELPER_RECORD_FLOW, .family = AF_INET, .unit = "nginx.service", .reason = "no-rule", .text = "app=evil" };

        assert_int_equal(record_check(&r), 0);
        r.text[3] = '\n';
        assert_int_equal(record_check(&r), -EINVAL);
        memset(r.text, 'a', sizeof(r.text)); /* no NUL */
        assert_int_equal(record_check(&r), -EINVAL);
        r.text[sizeof(r.text) - 1] = 0;
        assert_int_equal(record_check(&r), 0);
        r.family = 77;
        assert_int_equal(record_check(&r), -EINVAL);
        r.kind = HELPER_RECORD_SETTINGS;
        assert_int_equal(record_check(&r), 0);
        r.unit[0] = 0;
        assert_int_equal(record_check(&r), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_psk_is_32_random_bytes_in_base64_and_nothing_else),
                cmocka_unit_test(keys_without_a_usable_psk_say_why),
                cmocka_unit_test(the_dh_key_lives_a_day_and_the_old_one_is_still_found),
                cmocka_unit_test(no_dh_key_is_ever_older_than_its_life),
                cmocka_unit_test(a_freed_index_is_the_last_to_be_used_again),
                cmocka_unit_test(an_index_can_be_taken_over_once),
                cmocka_unit_test(the_ring_keeps_the_newest_flows_and_forgets_the_oldest),
                cmocka_unit_test(equal_names_have_one_number_and_none_has_none),
                cmocka_unit_test(a_cached_file_is_read_again_when_it_changes),
                cmocka_unit_test(configuration_is_found_by_the_usual_precedence),
                cmocka_unit_test(journal_records_hold_printable_text_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
