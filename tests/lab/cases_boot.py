# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots: units that listen and connect from their first instruction, early and late, services and sockets, and strangers that knock all the time."""

import os

from expect import denied, holds, same
from suite import case

LONG = "TRIREME_LAB_LONG" in os.environ
DOOR = 7680
# early NAME PORT DOOR ADDRESS [PORT...]: listens on PORT (0: takes over the socket from PID 1, -1: not at all) and connects to DOOR on this machine and at ADDRESS, and
# to each further PORT here, without a pause; /run/early-NAME says how often it tried, and what came about.
EARLY = r"""#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static long tried, in, out;
static int attempt(struct sockaddr_in a) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0, came = 0;
        socklen_t len = sizeof(error);
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        tried++;
        if (connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0)
                came = 1;
        else if (poll(&p, 1, 5) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
                came = getpeername(fd, (struct sockaddr *) &a, &(socklen_t) { sizeof(a) }) == 0;
        close(fd);
        return came;
}
static struct sockaddr_in at(const char *address, int port) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, address, &a.sin_addr);
        return a;
}
static void publish(const char *name) {
        char path[100], new[110];
        snprintf(path, sizeof(path), "/run/early-%s", name);
        snprintf(new, sizeof(new), "%s.new", path);
        FILE *f = fopen(new, "w");
        fprintf(f, "{\"tried\": %ld, \"in\": %ld, \"out\": %ld}\n", tried, in, out);
        fclose(f);
        rename(new, path);
}
int main(int argc, char **argv) {
        int port = atoi(argv[2]), listener = port == 0 ? 3 : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
        struct sockaddr_in here = at("0.0.0.0", port);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (port > 0 && (bind(listener, (struct sockaddr *) &here, sizeof(here)) < 0 || listen(listener, 64) < 0))
                return 1;
        for (;;) {
                struct pollfd p = { .fd = listener, .events = POLLIN };
                out += attempt(at("127.0.0.1", atoi(argv[3]))) + attempt(at(argv[4], atoi(argv[3])));
                for (int i = 5; i < argc; i++)
                        out += attempt(at("127.0.0.1", atoi(argv[i])));
                while (port >= 0 && poll(&p, 1, 0) > 0) {
                        in++;
                        close(accept(listener, NULL, NULL));
                }
                publish(argv[1]);
                nanosleep(&(struct timespec) { .tv_nsec = 3000000 }, NULL);
        }
}
"""
UNIT = "[Unit]\n%s\n[Service]\nExecStart=/opt/lab/early %s %d %d %s%s\n"
AT_ONCE = "DefaultDependencies=no\nConflicts=shutdown.target"
LABEL = "[X-Trireme]\nTriremeLabels=app=boot\n"
LABELLED = {"first": 7681, "usual": 7682, "taken": 0}  # "taken" has its listener from a socket unit
SOCKET = 7683


def prepare(web, plain):
    """What is enabled: a door and a stranger that knocks, from before sysinit.target on, an unlabelled twin of what is labelled, and three labelled units."""
    web.write("/opt/lab/early.c", EARLY)
    web.must("gcc -O2 -D_GNU_SOURCE -w -o /opt/lab/early /opt/lab/early.c")
    strangers = " %d %d %d" % (LABELLED["first"], LABELLED["usual"], SOCKET)
    units = {
        "door.service": UNIT % (AT_ONCE, "door", DOOR, 1, plain.v4, ""),
        "knocker.service": UNIT % (AT_ONCE, "knocker", -1, 1, plain.v4, strangers),
        "twin.service": UNIT % (AT_ONCE, "twin", 7684, DOOR, plain.v4, " 7684"),
        "first.service": UNIT % (AT_ONCE + "\nBefore=sysinit.target", "first", LABELLED["first"], DOOR, plain.v4, "") + LABEL,
        "usual.service": UNIT % ("", "usual", LABELLED["usual"], DOOR, plain.v4, "") + LABEL,
        "taken.service": UNIT % ("", "taken", 0, DOOR, plain.v4, "") + LABEL,
        "taken.socket": "[Unit]\n%s\nBefore=sockets.target\n[Socket]\nListenStream=0.0.0.0:%d\n" % (AT_ONCE, SOCKET),
        # Its settings cannot be read, its attach fails, it waits for what never comes: none of them may run unprotected.
        "broken.service": UNIT % ("", "broken", 7685, DOOR, plain.v4, "") + "[X-Trireme]\nTriremeLabels=no label\n",
        "deep.service": (UNIT % ("", "deep", 7686, DOOR, plain.v4, "")).replace("[Service]", "[Service]\nSlice=a-b-c-d-e-f-g-h-i.slice") + LABEL,
    }
    for name, text in units.items():
        web.write("/etc/systemd/system/" + name, text)
    for target, wanted in (("sysinit", "door knocker twin first"), ("sockets", "taken"), ("multi-user", "usual taken broken deep")):
        suffix = ".socket" if target == "sockets" else ".service"
        web.write("/etc/systemd/system/%s.target.d/50-early.conf" % target, "[Unit]\n" + "".join("Wants=%s%s\n" % (word, suffix) for word in wanted.split()))
    return list(units)


def remove(web, units):
    web.must("rm /etc/systemd/system/*.target.d/50-early.conf")
    web.remove(*reversed(units))


@case
def a_unit_that_tries_from_its_first_instruction_gets_nowhere_over_many_boots(web, peer, plain, report):
    boots = 50 if LONG else 3
    units = prepare(web, plain)
    plain.service("door", "/opt/lab/probe serve %d door" % DOOR)
    tries = 0
    for number in range(boots):
        web.stop()
        web.boot(fresh=False)
        for name in LABELLED:
            holds("%s has tried, boot %d: %s" % (name, number, web.run("systemctl status %s.service --no-pager" % name).out), web.wait("test -s /run/early-" + name, 20))
        holds("those without a label got through", web.wait(r"grep -qE '\"in\": [1-9].*\"out\": [1-9]' /run/early-twin", 20))
        for name in list(LABELLED) + ["knocker"]:
            seen = web.json("cat /run/early-" + name)
            tries += seen["tried"]
            same("what %s got through after boot %d" % (name, number), (seen["in"], seen["out"]), (0, 0))
        same("what ran although it could not be enforced", web.run("ls /run/early-deep").status, 2)
        if web.run("test -e /run/early-broken").status == 0:
            same("what a unit whose settings are wrong got through", [web.json("cat /run/early-broken")[key] for key in ("in", "out")], [0, 0])
    report.notes.append("%d boots, %d attempts" % (boots, tries))
    result = web.run("systemctl status deep.service; journalctl -b --no-pager -u deep.service").out
    holds("it says why it does not run: " + result, "deeper than the rules reach" in result)
    denied("a stranger", plain.probe("tcp", web.v4, LABELLED["usual"]))
    remove(web, units)
    plain.remove("door.service")
