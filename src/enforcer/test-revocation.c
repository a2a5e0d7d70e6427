/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What live connections are worth when keys, certificates and clocks change, also while the enforcer did not run. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/test-authority.h"
#include "enforcer/describe.h"
#include "enforcer/number-sweep.h"
#include "enforcer/test-world.h"
#include "ipc/marks.h"

#define PSK_ID(n) (0x1000u + (n))
#define NOW_USEC (1000 * USEC_PER_SEC)

static const PeerTime now = { .now_sec = TEST_SEC, .now_usec = NOW_USEC };

/* ---- who stands for a number ---- */

static Peer make_peer(TokenMode mode, uint8_t by, uint8_t dh, const char *labels) {
        Peer peer = { .verified = true, .families = TAG_FAMILIES_ALL, .mode = mode, .dh = { dh } };
        const char *fault;

        if (mode == TOKEN_PSK)
                peer.key_id = PSK_ID(by);
        else
                peer.certificate[0] = by;
        assert_int_equal(tag_set_from_string(labels, &peer.tags, &fault), 0);
        return peer;
}

static uint32_t number_of(PeerNumbers *n, TokenMode mode, uint8_t by, uint8_t dh, const char *labels) {
        Peer peer = make_peer(mode, by, dh, labels);
        uint32_t number = peer_numbers_get(n, &peer, 0);

        tag_set_done(&peer.tags);
        return number;
}

static void prove(PeerNumbers *n, TokenMode mode, uint8_t by, uint8_t dh) {
        Peer peer = make_peer(mode, by, dh, "app=any");

        peer_numbers_prove(n, &peer);
        tag_set_done(&peer.tags);
}

static bool stands(const PeerNumbers *n, uint32_t number) {
        uint16_t families;

        return peer_numbers_find(n, number, &families);
}

static Keys psk_keys(uint8_t first, uint8_t second) {
        return (Keys) { .mode = KEY_PSK, .psks = { { .key_id = PSK_ID(first) }, { .key_id = PSK_ID(second) } }, .n_psks = second ? 2 : 1 };
}

static void a_dropped_psk_takes_along_who_has_not_shown_the_next_one(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        const Keys both = psk_keys(2, 1), fresh = psk_keys(2, 0);
        uint32_t changed, thief, silent;

        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        changed = number_of(n, TOKEN_PSK, 1, 10, "app=web");
        thief = number_of(n, TOKEN_PSK, 1, 66, "app=web"); /* the same tags and the same key, but not the same node */
        silent = number_of(n, TOKEN_PSK, 1, 11, "app=db");
        assert_true(changed != thief && thief != silent);
        prove(n, TOKEN_PSK, 2, 10);
        assert_int_equal(peer_numbers_judge(n, &both, NULL, NOW_USEC), 0);
        assert_int_equal(peer_numbers_judge(n, &fresh, NULL, NOW_USEC), 2);
        assert_true(stands(n, changed));
        assert_false(stands(n, thief));
        assert_false(stands(n, silent));
        assert_int_equal(peer_numbers_judge(n, &(Keys) { .mode = KEY_PKI }, NULL, NOW_USEC), 1); /* another kind of key is no next one */
}

/* A good certificate that may say these labels, judged. Its first byte of the hash is made up. */
static void admit(Certificates *c, uint8_t name, const char *uri, const DenyList *denied, int64_t until) {
        const uint8_t hash[CRYPTO_HASH_SIZE] = { name };
        CertificateInfo info = { .n_names = 1, .valid_until_sec = until, .names = { { .kind = CERTIFICATE_URI } } };

        strcpy(info.text, uri);
        assert_in_range(certificates_store(c, hash, &name, 1, &info, denied, &now), 0, 1);
}

static void refuse(Certificates *c, uint8_t name, CertificateResult result) {
        const uint8_t hash[CRYPTO_HASH_SIZE] = { name };
        const CertificateInfo info = { .result = result };

        assert_in_range(certificates_store(c, hash, &name, 1, &info, &(DenyList) {}, &now), 0, 1);
}

static unsigned judge(PeerNumbers *n, Certificates *c) {
        return peer_numbers_judge(n, &(Keys) { .mode = KEY_PKI }, c, NOW_USEC);
}

static void a_ca_that_is_gone_takes_along_who_has_not_shown_another_certificate(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        _cleanup_(certificates_freep) Certificates *c = NULL;
        uint32_t renewed, narrowed, thief, silent;

        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        assert_int_equal(certificates_new(NULL, &c), 0);
        renewed = number_of(n, TOKEN_PKI, 1, 10, "app=web");
        narrowed = number_of(n, TOKEN_PKI, 1, 10, "app=db");
        silent = number_of(n, TOKEN_PKI, 2, 20, "app=web");
        thief = number_of(n, TOKEN_PKI, 66, 10, "app=web"); /* showed the first one's public key, and proved another */
        prove(n, TOKEN_PKI, 1, 10);
        prove(n, TOKEN_PKI, 2, 20);
        prove(n, TOKEN_PKI, 66, 67);
        prove(n, TOKEN_PKI, 3, 10);
        for (uint8_t i = 1; i < 4; i++)
                admit(c, i, i == 3 ? "trireme:app=web" : "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
        admit(c, 66, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
        assert_int_equal(judge(n, c), 0);
        refuse(c, 1, CERTIFICATE_UNKNOWN_CA);
        refuse(c, 2, CERTIFICATE_UNKNOWN_CA);
        refuse(c, 66, CERTIFICATE_UNKNOWN_CA);
        assert_int_equal(judge(n, c), 3);
        assert_true(stands(n, renewed));
        assert_false(stands(n, narrowed)); /* the new certificate does not name that label */
        assert_false(stands(n, silent));
        assert_false(stands(n, thief));
        refuse(c, 3, CERTIFICATE_UNKNOWN_CA);
        assert_int_equal(judge(n, c), 1);
        assert_false(stands(n, renewed));
}

static void the_next_dh_key_of_a_node_is_its_own_too(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        _cleanup_(certificates_freep) Certificates *c = NULL;
        uint32_t number;

        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        assert_int_equal(certificates_new(NULL, &c), 0);
        number = number_of(n, TOKEN_PKI, 1, 10, "app=web");
        prove(n, TOKEN_PKI, 1, 10);
        prove(n, TOKEN_PKI, 1, 11); /* a day later */
        prove(n, TOKEN_PKI, 2, 11);
        prove(n, TOKEN_PKI, 2, 12);
        prove(n, TOKEN_PKI, 3, 12);
        admit(c, 3, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
        assert_int_equal(judge(n, c), 0);
        assert_true(stands(n, number));
}

static void a_revoked_certificate_takes_all_along_that_it_admitted(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        _cleanup_(certificates_freep) Certificates *c = NULL;
        const uint8_t revoked[CRYPTO_HASH_SIZE] = { 1 };
        uint32_t number, other;

        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        assert_int_equal(certificates_new(NULL, &c), 0);
        number = number_of(n, TOKEN_PKI, 1, 10, "app=web");
        prove(n, TOKEN_PKI, 1, 10);
        prove(n, TOKEN_PKI, 2, 10);
        other = number_of(n, TOKEN_PKI, 2, 10, "app=web");
        admit(c, 2, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
        peer_numbers_revoke(n, revoked);
        assert_int_equal(judge(n, c), 0);
        assert_false(stands(n, number));
        assert_true(stands(n, other));
}

static void what_was_proven_is_known_after_a_restart(void **state) {
        char path[] = "/tmp/trireme-test-XXXXXX";
        const Keys fresh = psk_keys(2, 0);
        int fd = mkstemp(path);
        uint32_t number = 0;

        for (unsigned round = 0; round < 4; round++) {
                _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;

                assert_int_equal(peer_numbers_new(path, 0, &n), 0);
                if (round == 0) {
                        number = number_of(n, TOKEN_PSK, 1, 10, "app=web");
                        prove(n, TOKEN_PSK, 2, 10);
                }
                if (round == 1) /* so many records of one number that the file is written anew */
                        for (uint8_t i = 3; i < 20; i++)
                                prove(n, TOKEN_PSK, i, 10);
                prove(n, TOKEN_PSK, 2, 10);
                assert_int_equal(peer_numbers_judge(n, &fresh, NULL, NOW_USEC), 0);
                assert_true(stands(n, number));
        }
        assert_true(lseek(fd, 0, SEEK_END) < 600);
        close(fd);
        unlink(path);
}

static void a_node_that_shows_one_key_after_the_other_does_not_fill_the_disk(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL, *again = NULL;
        char path[] = "/tmp/trireme-test-XXXXXX";
        int fd = mkstemp(path);
        uint32_t number;

        assert_int_equal(peer_numbers_new(path, 0, &n), 0);
        number = number_of(n, TOKEN_PKI, 1, 10, "app=web");
        for (unsigned i = 0; i < 20000; i++)
                prove(n, TOKEN_PKI, 1, i % 2 ? 10 : 11);
        assert_true(lseek(fd, 0, SEEK_END) < 1 << 20);
        assert_int_equal(peer_numbers_new(path, 0, &again), 0);
        assert_int_equal(number_of(again, TOKEN_PKI, 1, 10, "app=web"), number);
        close(fd);
        unlink(path);
}

static void numbers_that_nobody_bears_are_free_again_but_not_at_once(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL, *again = NULL;
        uint8_t used[PEER_NUMBERS_MAX / 8] = { 2 }; /* number 2 */
        char path[] = "/tmp/trireme-test-XXXXXX";
        Peer late = make_peer(TOKEN_PSK, 1, 4, "app=web");

        close(mkstemp(path));
        assert_int_equal(peer_numbers_new(path, 0, &n), 0);
        for (uint8_t i = 1; i <= 3; i++)
                assert_int_equal(number_of(n, TOKEN_PSK, 1, i, "app=web"), i);
        assert_int_equal(peer_numbers_get(n, &late, 5), 4);
        assert_int_equal(peer_numbers_collect(n, used, PEER_NUMBER_KEPT_USEC - 1), 0);
        assert_true(stands(n, 1) && stands(n, 2) && stands(n, 3));
        assert_int_equal(peer_numbers_collect(n, used, PEER_NUMBER_KEPT_USEC), 0);
        assert_false(stands(n, 1));
        assert_true(stands(n, 2));
        assert_false(stands(n, 3));
        assert_true(stands(n, 4)); /* the datapath may still hand it out */
        assert_int_equal(number_of(n, TOKEN_PSK, 1, 9, "app=web"), 1);
        assert_int_equal(peer_numbers_new(path, 0, &again), 0);
        assert_true(stands(again, 1) && stands(again, 2) && !stands(again, 3) && stands(again, 4));
        assert_int_equal(number_of(again, TOKEN_PSK, 1, 9, "app=web"), 1);
        tag_set_done(&late.tags);
        unlink(path);
}

/* ---- certificates ---- */

static int note_der(const Certificate *c, void *userdata) {
        uint8_t *seen = userdata;

        seen[c->der[0]]++;
        return 0;
}

static void certificates_are_judged_again_after_a_restart(void **state) {
        char path[] = "/tmp/trireme-test-XXXXXX";
        uint8_t seen[256] = {};
        int fd = mkstemp(path);

        for (unsigned round = 0; round < 3; round++) {
                _cleanup_(certificates_freep) Certificates *c = NULL;

                assert_int_equal(certificates_new(path, &c), 0);
                assert_int_equal(certificates_any_stale(c), round > 0);
                if (round == 0) {
                        admit(c, 1, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
                        admit(c, 1, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
                        admit(c, 2, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
                        refuse(c, 3, CERTIFICATE_REVOKED);
                }
                if (round == 1)
                        assert_int_equal(write(fd, "\377\377\377\377", 4), 4); /* the first record has an impossible length now */
                memset(seen, 0, sizeof(seen));
                assert_int_equal(certificates_foreach_stale(c, note_der, seen), 0);
                assert_int_equal(seen[1], round == 1);
                assert_int_equal(seen[2], round > 0);
                assert_int_equal(seen[3], 0);
        }
        close(fd);
        unlink(path);
}

static Reason reason_of(Certificates *c, uint8_t name) {
        const uint8_t hash[CRYPTO_HASH_SIZE] = { name };

        return certificates_find(c, hash, NOW_USEC)->reason;
}

static void a_denied_node_is_revoked_whatever_its_ca_says(void **state) {
        _cleanup_(certificates_freep) Certificates *c = NULL;
        _cleanup_(deny_list_done) DenyList by_print = {}, by_host = {};
        CertificateInfo info = { .n_names = 1, .valid_until_sec = TEST_SEC + DAY, .names = { { .kind = CERTIFICATE_DNS } }, .text = "Web1" };
        const uint8_t hash[CRYPTO_HASH_SIZE] = { 2 };
        const char *fault;

        assert_int_equal(certificates_new(NULL, &c), 0);
        assert_int_equal(deny_list_add(&by_print, "01" "00000000000000000000000000000000000000000000000000000000000000", &fault), 0);
        assert_int_equal(deny_list_add(&by_host, "web1", &fault), 0);
        admit(c, 1, "trireme:*", &(DenyList) {}, TEST_SEC + DAY);
        assert_int_equal(reason_of(c, 1), REASON_NONE);
        admit(c, 1, "trireme:*", &by_print, TEST_SEC + DAY);
        assert_int_equal(reason_of(c, 1), REASON_REVOKED);
        admit(c, 1, "trireme:*", &by_host, TEST_SEC + DAY);
        assert_int_equal(reason_of(c, 1), REASON_NONE);
        assert_int_equal(certificates_store(c, hash, hash, 1, &info, &by_print, &now), 0);
        assert_int_equal(reason_of(c, 2), REASON_NONE);
        assert_int_equal(certificates_store(c, hash, hash, 1, &info, &by_host, &now), 1);
        assert_int_equal(reason_of(c, 2), REASON_REVOKED);
}

/* ---- the whole ---- */

static bool is_cut(const World *w, uint16_t port) {
        const HelperMessage *cut;

        for (unsigned i = 0; (cut = world_asked(w, HELPER_CUT_SOCKET, i)); i++)
                if (cut->socket.cookie[0] == port)
                        return true;
        return false;
}

static void add_socket(World *w, uint16_t port, uint32_t number) {
        w->sockets[w->n_sockets++] = (HelperSocket) {
                .cgroup_id = 77, .family = AF_INET, .protocol = IPPROTO_TCP, .state = TCP_ESTABLISHED, .sport = 80, .dport = port,
                .cookie = { port }, .mark = CTMARK_SERVER_AUTHORIZED | number << CTMARK_INDEX_SHIFT,
        };
}

static void a_key_that_went_while_nobody_looked_takes_its_connections_along(void **state) {
        Peer peer = make_peer(TOKEN_PSK, 0, 10, "app=web"), other = make_peer(TOKEN_PSK, 9, 11, "app=web");
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n";
        w->remember = true;
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->listed[w->n_listed++] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        peer.key_id = w->m->keys->psks[0].key_id;
        add_socket(w, 1, peer_numbers_get(w->m->numbers, &peer, 0));
        add_socket(w, 2, peer_numbers_get(w->m->numbers, &other, 0)); /* of a key that is none of ours any more after the restart */
        world_forget(w);
        world_restart(w);
        assert_false(is_cut(w, 1));
        assert_true(is_cut(w, 2));
        tag_set_done(&peer.tags);
        tag_set_done(&other.tags);
}

static void a_crowd_of_numbers_is_swept_but_those_that_live_connections_bear(void **state) {
        Peer peer = make_peer(TOKEN_PSK, 0, 10, "app=web");
        World *w = *state;
        uint32_t number = 0;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->listed[w->n_listed++] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        for (uint32_t i = 1; i <= PEER_NUMBERS_MAX / 2 + 1; i++) {
                memcpy(peer.dh, &i, sizeof(i));
                number = peer_numbers_get(w->m->numbers, &peer, 0);
        }
        add_socket(w, 1, 5);
        number_sweep(w->m, PEER_NUMBER_KEPT_USEC);
        world_settle(w);
        assert_true(stands(w->m->numbers, 5));
        assert_false(stands(w->m->numbers, 6));
        assert_false(stands(w->m->numbers, number));
        assert_false(w->m->sweeping);
        tag_set_done(&peer.tags);
}

/* ---- clocks ---- */

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void a_clock_that_was_set_back_is_noticed_after_a_restart(void **state) {
        char path[] = "/tmp/trireme-test-XXXXXX", text[512];
        WallClock first = { .fd = -1 }, second = { .fd = -1 };
        struct stat st;

        close(mkstemp(path));
        assert_int_equal(wall_clock_open(&first, path), 0);
        for (int64_t i = 0; i < 3000; i++)
                assert_int_equal(wall_clock_note(&first, TEST_SEC + i), 0);
        wall_clock_done(&first);
        assert_int_equal(stat(path, &st), 0);
        assert_in_range(st.st_size, 1, 20000);
        assert_int_equal(wall_clock_open(&second, path), 1);
        assert_int_equal(wall_clock_note(&second, TEST_SEC + 2999 - 120), 0); /* tolerated */
        wall_clock_text(&second, NOW_USEC, text);
        assert_string_equal(text, "");
        assert_int_equal(wall_clock_note(&second, TEST_SEC + 2999 - 121), 1);
        assert_int_equal(wall_clock_note(&second, TEST_SEC + 2999 - 200), 0); /* told already */
        wall_clock_text(&second, NOW_USEC, text);
        assert_non_null(strstr(text, "200 s behind what it was before"));
        wall_clock_done(&second);
        unlink(path);
}

static void a_file_of_times_that_is_none_is_left_alone(void **state) {
        static const char *const texts[] = { "nonsense, and long enough\n", "99999999999x\n", "-00000000001\n", "000000000001\n00000000000x\n", "999999999999\n\n\n\n\n\n\n\n\n\n\n\n\n\n" };
        char path[] = "/tmp/trireme-test-XXXXXX";
        struct stat st;

        close(mkstemp(path));
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                WallClock c = { .fd = -1 };

                write_file(path, texts[i]);
                assert_int_equal(wall_clock_open(&c, path), -EINVAL);
                assert_int_equal(wall_clock_note(&c, TEST_SEC), 0); /* goes on without */
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_size, strlen(texts[i]));
        }
        unlink(path);
}

static void a_clock_that_differs_from_another_hosts_is_told_for_a_while(void **state) {
        WallClock c = { .fd = -1 };
        char text[512];

        wall_clock_note_skew(&c, 300, "web1", NOW_USEC);
        wall_clock_text(&c, NOW_USEC, text);
        assert_non_null(strstr(text, "300 s behind that of web1"));
        wall_clock_text(&c, NOW_USEC + WALL_CLOCK_SKEW_USEC, text);
        assert_string_equal(text, "");
        wall_clock_note_skew(&c, -900, "", NOW_USEC);
        wall_clock_text(&c, NOW_USEC, text);
        assert_non_null(strstr(text, "a token of another host ended 900 s ago"));
}

/* A token by our own key, dated so far from now. */
static void ask_about_token(World *w, int64_t from_sec) {
        static const TokenTag host = { "@sys:host", "web1", 9, 4 };
        const Keys *k = w->m->keys;
        int64_t now_sec = (int64_t) (clock_realtime_usec() / USEC_PER_SEC) + from_sec;
        Token t = { .mode = TOKEN_PSK, .families = TAG_FAMILY_BIT(TAG_FAMILY_HOST), .key_id = k->psks[0].key_id, .node_dh = { 9 },
                    .valid_from_sec = now_sec, .valid_until_sec = now_sec + 600, .tags = { host }, .n_tags = 1 };
        DatapathResolve q = { .header = { .type = DATAPATH_RESOLVE, .serial = 1 }, .direction = DATAPATH_ACCEPT, .unit = units_find(&w->m->units, "a.service")->index };
        int n = token_write(&t, TOKEN_MAC_SIZE, q.token, sizeof(q.token));

        assert_true(n > 0);
        assert_int_equal(token_mac(k->psks[0].token_key, q.token, (size_t) n, q.token + n), 0);
        q.token_len = (uint32_t) n + TOKEN_MAC_SIZE;
        own_key_name(&k->own, q.our_dh);
        assert_int_equal(send(w->datapath, &q, sizeof(q), 0), sizeof(q));
        world_settle(w);
}

static void assert_described(World *w, const char *text, bool is) {
        _cleanup_free_ char *state = NULL;

        assert_int_equal(describe_manager(w->m, &state), 0);
        assert_int_equal(strstr(state, text) != NULL, is);
}

static void tokens_two_minutes_off_are_taken_and_worse_ones_name_the_clocks(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=@sys:host\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        world_forget(w);
        ask_about_token(w, 110);
        assert_int_equal(world_told(w, DATAPATH_RESOLVED, 0)->resolved.decision.allow, 1);
        assert_described(w, "s behind that of web1", false);
        ask_about_token(w, 150);
        assert_int_equal(world_told(w, DATAPATH_RESOLVED, 1)->resolved.decision.reason, REASON_EXPIRED);
        assert_described(w, "s behind that of web1", true);
        ask_about_token(w, -600 - 110);
        assert_int_equal(world_told(w, DATAPATH_RESOLVED, 2)->resolved.decision.allow, 1);
        ask_about_token(w, -600 - 150);
        assert_int_equal(world_told(w, DATAPATH_RESOLVED, 3)->resolved.decision.reason, REASON_EXPIRED);
        assert_described(w, "a token of web1 ended", true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_dropped_psk_takes_along_who_has_not_shown_the_next_one),
                cmocka_unit_test(a_ca_that_is_gone_takes_along_who_has_not_shown_another_certificate),
                cmocka_unit_test(the_next_dh_key_of_a_node_is_its_own_too),
                cmocka_unit_test(a_revoked_certificate_takes_all_along_that_it_admitted),
                cmocka_unit_test(what_was_proven_is_known_after_a_restart),
                cmocka_unit_test(a_node_that_shows_one_key_after_the_other_does_not_fill_the_disk),
                cmocka_unit_test(numbers_that_nobody_bears_are_free_again_but_not_at_once),
                cmocka_unit_test_setup_teardown(a_crowd_of_numbers_is_swept_but_those_that_live_connections_bear, world_setup, world_teardown),
                cmocka_unit_test(certificates_are_judged_again_after_a_restart),
                cmocka_unit_test(a_denied_node_is_revoked_whatever_its_ca_says),
                cmocka_unit_test_setup_teardown(a_key_that_went_while_nobody_looked_takes_its_connections_along, world_setup, world_teardown),
                cmocka_unit_test(a_clock_that_was_set_back_is_noticed_after_a_restart),
                cmocka_unit_test(a_file_of_times_that_is_none_is_left_alone),
                cmocka_unit_test_setup_teardown(tokens_two_minutes_off_are_taken_and_worse_ones_name_the_clocks, world_setup, world_teardown),
                cmocka_unit_test(a_clock_that_differs_from_another_hosts_is_told_for_a_while),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
