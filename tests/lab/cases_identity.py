# SPDX-License-Identifier: GPL-2.0-or-later
"""A labelled nginx is reachable only by whom it names, and who is not named learns it."""

import statistics

from expect import connected, contains, curl, curl_fails, curl_succeeds, denied, denied_at_once, holds, same, unit_row, url
from suite import case


@case
def nginx_with_a_two_line_drop_in_runs_and_is_enforced(web):
    web.must("systemctl is-active nginx")
    row = unit_row(web, "nginx.service")
    holds("triremectl list shows nginx.service", row is not None)
    same("its state", row["state"], "enforcing")
    contains("its labels", str(row["labels"]), "app=web")


@case
def plain_curl_from_the_same_host_fails_over_IPv4_and_IPv6(web):
    for address in ("127.0.0.1", "::1", web.v4, web.v6):
        curl_fails(web, address)


@case
def curl_with_the_label_from_the_same_host_succeeds_over_IPv4_and_IPv6(web):
    for address in ("127.0.0.1", "::1", web.v4, web.v6):
        curl_succeeds(web, address, "app=web")


@case
def curl_with_another_label_from_the_same_host_fails(web):
    for address in ("127.0.0.1", "::1", web.v4, web.v6):
        curl_fails(web, address, "app=other")


@case
def plain_curl_from_another_host_fails_over_IPv4_and_IPv6(web, peer):
    for address in (web.v4, web.v6):
        curl_fails(peer, address)


@case
def curl_with_the_label_from_another_host_succeeds_over_IPv4_and_IPv6(web, peer):
    for address in (web.v4, web.v6):
        curl_succeeds(peer, address, "app=web")


@case
def curl_with_another_label_from_another_host_fails(web, peer):
    for address in (web.v4, web.v6):
        curl_fails(peer, address, "app=other")


@case
def a_host_with_another_PSK_fails_with_the_right_label(web, foreign):
    for address in (web.v4, web.v6):
        curl_fails(foreign, address, "app=web")


@case
def a_host_without_Trireme_fails(web, plain):
    for address in (web.v4, web.v6):
        curl_fails(plain, address)


@case
def a_service_file_with_the_section_works_like_triremectl_run(web, peer):
    command = "/usr/bin/curl -sSg --max-time 8 -o /run/fetched %s" % url(web.v6)
    for label, expected in (("app=web", "success"), ("app=other", "exit-code")):
        peer.service("fetch", command, "TriremeLabels=" + label, extra="Type=oneshot", start=False)
        peer.run("systemctl start fetch")
        same("result of the service with " + label, peer.must("systemctl show -P Result fetch").strip(), expected)
    peer.remove("fetch.service")


@case
def a_drop_in_of_an_existing_service_works_like_triremectl_run(web, peer):
    peer.service("fetch", "/usr/bin/curl -sSg --max-time 8 -o /run/fetched %s" % url(web.v4), extra="Type=oneshot", start=False)
    holds("the service fails without a label", peer.run("systemctl start fetch").status != 0)
    peer.drop_in("fetch.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    peer.must("systemctl start fetch")
    peer.remove("fetch.service")


@case
def a_download_of_60_MB_is_byte_identical(web, peer, report):
    web.must("test -e /var/www/html/big || head -c 60000000 /dev/urandom >/var/www/html/big", timeout=60)
    wanted = web.must("sha256sum </var/www/html/big").split()[0]
    for machine, address in ((peer, web.v4), (peer, web.v6), (web, "127.0.0.1")):
        got = machine.run("triremectl run --label=app=web -- curl -sSg --max-time 60 '%s' | sha256sum" % url(address, "/big"), timeout=90)
        same("the digest over " + address, got.out.split()[0], wanted)
        report.notes.append("%s %.0f MB/s" % (address, 60 / got.seconds))


@case
def a_denied_local_client_is_refused_at_once(web, report):
    for address in ("127.0.0.1", "::1", web.v4, web.v6):
        figures = []
        for label in [None] * 5 + ["app=other"] * 2:
            answer = web.probe("tcp", address, 80, label=label)
            denied_at_once("a client with label %s to %s" % (label, address), answer)
            figures.append(answer["ms"])
        report.notes.append("%s %.1f ms" % (address, statistics.median(figures)))


@case
def a_denied_labelled_client_of_another_host_is_refused_at_once(web, peer, report):
    answer = peer.probe("tcp", web.v4, 80, label="app=other")
    denied_at_once("app=other from another host", answer)
    report.notes.append("%.1f ms" % answer["ms"])


@case
def a_denied_remote_stranger_is_reset_or_dropped_as_DenyAction_says(web, plain):
    answer = plain.probe("tcp", web.v4, 80)
    denied_at_once("with the default, DenyAction=reset", answer)
    web.write("/etc/trireme/trireme.conf.d/50-test.conf", "[Trireme]\nDenyAction=drop\n")
    web.must("busctl call org.trireme /org/trireme org.trireme.Manager Reload")
    try:
        denied("with DenyAction=drop", plain.probe("tcp", web.v4, 80, "--wait=2"), ("timeout",))
        denied_at_once("a local client, with DenyAction=drop", web.probe("tcp", "127.0.0.1", 80))
    finally:
        web.must("rm /etc/trireme/trireme.conf.d/50-test.conf && busctl call org.trireme /org/trireme org.trireme.Manager Reload")
    denied_at_once("with DenyAction=reset again", plain.probe("tcp", web.v4, 80))


@case
def the_application_never_sees_a_denied_connection_nor_a_token(web, peer, plain):
    """What nginx logged is what it received: a token handed to it would be a 400."""
    web.must(": >/var/log/nginx/access.log")
    for machine in (web, peer, plain):
        curl(machine, web.v4)
    peer.probe("tcp", web.v4, 80, label="app=other")
    same("nginx's log after denied requests", web.must("cat /var/log/nginx/access.log"), "")
    curl_succeeds(peer, web.v4, "app=web")
    log = web.must("cat /var/log/nginx/access.log").splitlines()
    holds("one request, answered with 200: %s" % log, len(log) == 1 and ' 200 ' in log[0])


ONE_BY_ONE = r"""#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
/* one-by-one PORT: a server that says a byte back. one-by-one ADDRESS PORT N: so many connections, each after the last one. */
static int open_socket(int fd, int seconds) {
        struct timeval limit = { .tv_sec = seconds };

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        return fd;
}

int main(int argc, char **argv) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[argc > 2 ? 2 : 1])) };
        char c = 'x';

        if (argc == 2) {
                int server = socket(AF_INET, SOCK_STREAM, 0);

                if (bind(server, (struct sockaddr *) &a, sizeof(a)) < 0 || listen(server, 1000) < 0)
                        return 1;
                for (;;) {
                        int fd = open_socket(accept(server, NULL, NULL), 1);

                        if (read(fd, &c, 1) == 1)
                                (void) !write(fd, &c, 1);
                        close(fd);
                }
        }
        inet_pton(AF_INET, argv[1], &a.sin_addr);
        for (int i = 0; i < atoi(argv[3]); i++) {
                int fd = open_socket(socket(AF_INET, SOCK_STREAM, 0), 3);

                if (connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0 || write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
                        printf("connection %d: %s; ", i, strerror(errno));
                close(fd);
        }
        puts("done");
}
"""


@case
def of_thousands_of_connections_one_after_another_none_is_lost(web, peer):
    """Each sends data right behind the ACK that its verdict is being carried out about, on another processor."""
    for machine in (web, peer):
        machine.write("/opt/lab/one-by-one.c", ONE_BY_ONE)
        machine.must("gcc -O2 -o /opt/lab/one-by-one /opt/lab/one-by-one.c")
    web.service("one-by-one", "/opt/lab/one-by-one 7180", "TriremeLabels=app=one")
    holds("it listens", web.wait("ss -Hltn sport = 7180 | grep -q ."))
    for machine, host in ((peer, web.v4), (web, "127.0.0.1")):
        same("lost of those to %s" % host, machine.must("triremectl run --label=app=one -- /opt/lab/one-by-one %s 7180 8000" % host, timeout=120), "done\n")
    web.remove("one-by-one.service")


@case
def two_hundred_connections_at_once_from_another_host_all_succeed(web, peer):
    script = "seq 200 | xargs -P 40 -I{} curl -sSg --max-time 20 -o /dev/null -w '%{http_code}\\n' " + url(web.v4)
    result = peer.run("triremectl run --label=app=web -- sh -c \"%s\"" % script.replace('"', '\\"'), timeout=60)
    same("answers with 200", result.out.split().count("200"), 200)


@case
def rules_with_Accept_and_Connect_are_obeyed_at_both_ends(web, peer):
    web.service("shop", "/opt/lab/probe serve 7100 shop", "TriremeLabels=app=shop\nTriremeAccept=app=till|kiosk env!=test")
    answers = {}
    for label in ("app=till", "app=kiosk", "app=shop", "app=till --label=env=test"):
        answers[label] = peer.probe("tcp", web.v4, 7100, label=label)
    web.must("systemctl is-active shop")
    # Their own Connect rules are the default, same-label, so the accept rule alone is not enough.
    for label, answer in answers.items():
        denied("a client with %s whose own rules do not name shop" % label, answer) if label != "app=shop" else None
    for name, accept in (("till", True), ("thief", False)):
        peer.service(name, "/opt/lab/probe tcp %s 7100" % web.v4, "TriremeLabels=app=%s\nTriremeConnect=app=shop" % name,
                     extra="Type=oneshot")
        out = peer.must("journalctl -b -o cat _SYSTEMD_UNIT=%s.service + UNIT=%s.service -n 20" % (name, name))
        holds("app=%s %s: %s" % (name, "is let in" if accept else "is turned away", out), ('"connected"' in out) == accept)
    peer.remove("till.service", "thief.service")
    web.remove("shop.service")


@case
def a_client_that_names_its_server_does_not_reach_another(web, peer):
    web.service("impostor", "/opt/lab/probe serve 7101 impostor", "TriremeLabels=app=impostor\nTriremeAccept=app=till")
    peer.service("buyer", "/opt/lab/probe tcp %s 7101" % web.v4, "TriremeLabels=app=till\nTriremeConnect=app=shop", extra="Type=oneshot")
    out = peer.must("journalctl -b -o cat _SYSTEMD_UNIT=buyer.service -n 20")
    holds("the client's own rule turned the server away: " + out, '"result"' in out and '"connected"' not in out)
    peer.remove("buyer.service")
    web.remove("impostor.service")


@case
def observe_lets_pass_and_records_what_it_would_have_denied(web, plain):
    web.service("watched", "/opt/lab/probe serve 7102 watched", "TriremeLabels=app=watched\nTriremeMode=observe")
    connected("a stranger to an observing unit", plain.probe("tcp", web.v4, 7102))
    holds("a would-reject record", web.wait("triremectl flows --json=short | grep -q would-reject"))
    same("its state", unit_row(web, "watched.service")["state"], "observing")
    web.remove("watched.service")


@case
def a_unit_with_mode_off_is_as_if_unlabelled(web, plain):
    web.service("unbound", "/opt/lab/probe serve 7103 unbound", "TriremeLabels=app=unbound\nTriremeMode=off")
    connected("a stranger to a unit with TriremeMode=off", plain.probe("tcp", web.v4, 7103))
    web.remove("unbound.service")
