# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections that a change must find although no socket bears the unit's own control group: those of groups below it, of groups that are no more, and those whose
handshake the server's kernel has not finished, which are no sockets of any program yet."""

import json
import time

from cases_policy import held, hold, is_cut, lives_on, soon
from expect import holds, same
from suite import case

ECHO = 7700
LATE = 7701
CHANGED = "[X-Trireme]\nTriremeAccept=\nTriremeAccept=app=else\n"
SAME = "[X-Trireme]\nTriremeAccept=app=else\n"
GROUP = "/sys/fs/cgroup/system.slice/%s.service"


def below(name, command):
    """Of a service with Delegate=: its program goes into a group two below the unit's before it opens anything."""
    group = GROUP % name + "/a/b"
    return "/bin/sh -c 'mkdir -p %s && echo 0 >%s/cgroup.procs && exec %s'" % (group, group, command)


def start_nest(web):
    web.must("rm -f /run/ends.*")
    web.service("nest", below("nest", "/opt/lab/probe echo %d /run/ends" % ECHO), "TriremeLabels=app=nest\nTriremeAccept=app=a", extra="Delegate=yes")
    # What other hosts let in under the tags of the shell would be cut when those of the probe are known.
    holds("who it is is known", web.wait("triremectl show nest.service | grep -q '@sys:exe .*python3'", 10))
    time.sleep(1)


def ends(web, *holders):
    """Both ends of what is held, and each in time."""
    for machine in holders:
        is_cut(machine, "a", 1 + soon())
        holds("the server's end of %s" % machine.name, web.wait("test -e /run/ends.%d" % held(machine, "a")["port"], soon()))
        machine.remove("hold-a.service")


@case
def what_a_Delegate_unit_has_open_in_groups_below_it_is_cut_by_a_change(web, peer):
    start_nest(web)
    for machine in (web, peer):
        hold(machine, "a", web.v4, ECHO, "app=a", "app=nest")
    web.drop_in("nest.service", SAME)
    for machine in (web, peer):  # a change that allows it all the same is none to it
        lives_on(machine, "a")
    web.drop_in("nest.service", CHANGED)
    ends(web, web, peer)
    web.remove("nest.service")


@case
def what_a_unit_opened_in_a_group_that_is_no_more_is_cut_by_a_change(web, peer):
    start_nest(web)
    for machine in (web, peer):
        hold(machine, "a", web.v4, ECHO, "app=a", "app=nest")
    group = GROUP % "nest"
    web.must("for p in $(cat %s/a/b/cgroup.procs); do echo $p >%s/cgroup.procs; done; rmdir %s/a/b %s/a" % (group, group, group, group))
    web.drop_in("nest.service", SAME)
    lives_on(peer, "a")
    web.drop_in("nest.service", CHANGED)
    ends(web, web, peer)
    web.remove("nest.service")


@case
def what_a_labelled_slice_has_open_in_its_services_is_cut_by_a_change(web, peer):
    web.write("/etc/systemd/system/lab.slice.d/50-test.conf", "[X-Trireme]\nTriremeLabels=app=nest\nTriremeAccept=app=a\n")
    web.must("rm -f /run/ends.*")
    web.service("member", "/opt/lab/probe echo %d /run/ends" % ECHO, extra="Slice=lab.slice")
    for machine in (web, peer):
        hold(machine, "a", web.v4, ECHO, "app=a", "app=nest")
    web.drop_in("lab.slice", "[X-Trireme]\nTriremeLabels=app=nest\nTriremeAccept=app=else\n")
    ends(web, web, peer)
    web.remove("member.service", "lab.slice")


class Unheard:
    """While this lasts no ACK of a client reaches the port: its connections stand, and the server's kernel waits."""

    def __init__(self, machine, port):
        self.machine, self.port = machine, port

    def __enter__(self):
        self.machine.must("nft add table inet lab && nft 'add chain inet lab out { type filter hook output priority 300; }' && "
                          "nft add rule inet lab out tcp dport %d 'tcp flags & (syn|ack) == ack' counter drop" % self.port)

    def __exit__(self, *_):
        self.machine.must("nft delete table inet lab")


def start_late(web, seconds, count, backlog=1):
    web.service("late", "/opt/lab/probe slow %d %d %d %d" % (LATE, seconds, count, backlog), "TriremeLabels=app=late\nTriremeAccept=app=a")


def start_callers(machine, name, host, count, wait):
    """One program each, which says what came of it."""
    machine.must("rm -f /run/%s-*" % name)
    calls = "for i in $(seq %d); do /opt/lab/probe tcp %s %d --wait=%d >/run/%s-$$i & done; wait" % (count, host, LATE, wait, name)
    machine.service(name, "/bin/bash -c '%s'" % calls.replace("$(", "$$("), "TriremeLabels=app=a\nTriremeConnect=app=late")


def called(machine, name, count):
    holds("all have an answer", machine.wait("test $(cat /run/%s-* | grep -c result) -eq %d" % (name, count), 30))
    return sorted(json.loads(line)["result"] for line in machine.must("cat /run/%s-*" % name).splitlines())


def unfinished(web, count):
    return web.wait("test $(ss -Htn state syn-recv sport = :%d | wc -l) -eq %d" % (LATE, count))


@case
def a_connection_that_the_server_has_not_accepted_yet_outlives_a_change_that_allows_it(web):
    """Within a host the client's end stands while the server's is no socket yet."""
    start_late(web, 0, 1)
    with Unheard(web, LATE):
        start_callers(web, "callers", "127.0.0.1", 1, 12)
        holds("it stands half", unfinished(web, 1))
        web.drop_in("callers.service", "[X-Trireme]\nTriremeConnect=app=else\n")
        time.sleep(soon())
    same("what came of it", called(web, "callers", 1), ["connected"])
    web.remove("callers.service", "late.service")


@case
def a_connection_that_the_server_has_not_accepted_yet_is_cut_by_a_change_that_does_not(web):
    start_late(web, 0, 1)
    with Unheard(web, LATE):
        start_callers(web, "callers", "127.0.0.1", 1, 12)
        holds("it stands half", unfinished(web, 1))
        web.drop_in("late.service", CHANGED)
        holds("it is gone", unfinished(web, 0))
    holds("nothing was answered", "connected" not in called(web, "callers", 1))
    web.remove("callers.service", "late.service")


@case
def connections_for_which_a_busy_server_has_no_room_are_cut_by_a_change(web, peer):
    """Authorized, but neither accepted nor in the queue of those to be accepted: they would be as soon as there is room."""
    web.run("conntrack -D -p tcp --dport %d" % LATE)
    start_late(web, 10, 8, backlog=4)
    start_callers(peer, "first", web.v4, 4, 25)
    holds("four wait to be accepted", web.wait("test $(ss -Htn state established sport = :%d | wc -l) -eq 4" % LATE))
    with Unheard(peer, LATE):
        start_callers(peer, "second", web.v4, 4, 25)
        holds("four more stand half", unfinished(web, 4))
    holds("one finds room", unfinished(web, 3))
    holds("all are authorized", web.wait("test $(conntrack -L -p tcp --dport %d 2>/dev/null | grep -c 'mark=[1-9]') -eq 8" % LATE))
    web.drop_in("late.service", CHANGED)
    holds("nobody waits any more", unfinished(web, 0))
    holds("nothing was answered", "connected" not in called(peer, "first", 4) + called(peer, "second", 4))
    web.remove("late.service")
    peer.remove("first.service", "second.service")
