# SPDX-License-Identifier: GPL-2.0-or-later
"""Holes that experiments found in simpler designs. Each case is one of them, tried again."""

import json
import time

from cases_cuts import below
from expect import connected, denied, holds, same
from suite import Skip, case

PORT = 8000


def start_server(web):
    web.service("target", "/opt/lab/probe serve %d target" % PORT, "TriremeLabels=app=web")


@case
def a_SYN_into_TIME_WAIT_of_an_authorized_connection_is_judged_anew(web, peer):
    """The server closes first and keeps the tuple in TIME_WAIT, where no full socket is found; the kernel would hand the SYN to the listener."""
    start_server(web)
    for address, client in ((web.v4, peer), (web.v6, peer), (web.v4, web), ("::1", web)):
        source = 41000 + len(address)
        answer = client.probe("tcp", address, PORT, "--from=%d" % source, label="app=web")
        connected("the authorized connection to " + address, answer)
        holds("the tuple is in TIME_WAIT at the server", web.run("ss -Htan state time-wait sport = %d | grep -q :%d" % (PORT, source)).status == 0)
        denied("a stranger on the same tuple", client.probe("tcp", address, PORT, "--from=%d" % source, "--wait=3"))
    web.remove("target.service")


@case
def a_SYN_into_TIME_WAIT_of_a_listener_below_a_unit_is_refused_by_the_next_datapath_too(web, peer):
    """The listener's control group is not the unit's own but one below it, which the kernel does not tell from a stranger's; that it is the unit's was learned from earlier SYNs."""
    web.write("/etc/systemd/system/shop.slice", "[Slice]\n[X-Trireme]\nTriremeLabels=app=web\n")
    web.service("member", "/opt/lab/probe serve %d member" % (PORT + 2), extra="Slice=shop.slice")
    for source in (41200, 41201):
        connected("the authorized connection", peer.probe("tcp", web.v4, PORT + 2, "--from=%d" % source, label="app=web"))
        holds("the tuple is in TIME_WAIT at the server", web.wait("ss -Htan state time-wait sport = %d | grep -q :%d" % (PORT + 2, source)))
        denied("a stranger on the same tuple", peer.probe("tcp", web.v4, PORT + 2, "--from=%d" % source, "--wait=3"))
        web.must("systemctl kill -s KILL trireme-datapath.service")
        holds("the next one knows the units", peer.wait("triremectl run --label=app=web -- /opt/lab/probe tcp %s 80 --wait=4 | grep -q connected" % web.v4, 20))
        denied("a stranger on the same tuple, asked of it", peer.probe("tcp", web.v4, PORT + 2, "--from=%d" % source, "--wait=3"))
        same("connections that came about", web.run("ss -Htan sport = %d | grep -vE '^(LISTEN|TIME-WAIT)'" % (PORT + 2)).out, "")
    web.remove("member.service", "shop.slice")


@case
def a_SYN_on_the_tuple_of_a_connection_that_was_reset_is_judged_anew(web, peer):
    web.write("/opt/lab/rude.py", "import socket, struct\ns = socket.create_server(('', %d))\nwhile True:\n    c = s.accept()[0]\n    c.recv(99)\n"
              "    c.send(b'x')\n    c.setsockopt(1, 13, struct.pack('ii', 1, 0))\n    c.close()\n" % (PORT + 1))
    web.service("rude", "/usr/bin/python3 /opt/lab/rude.py", "TriremeLabels=app=web")
    holds("it listens", web.wait("ss -Hltn sport = %d | grep -q ." % (PORT + 1)))
    connected("the authorized connection", peer.probe("tcp", web.v4, PORT + 1, "--from=41100", label="app=web"))
    denied("a stranger on the same tuple", peer.probe("tcp", web.v4, PORT + 1, "--from=41100"))
    web.remove("rude.service")


# Lost on the way in: of what is lost on the way out the server's TCP is told, and begins anew with another number, which conntrack takes for invalid.
DOUBLED = "table netdev doubled { chain c { type filter hook egress device lo priority 0; tcp flags & (syn | ack) == syn dup to lo; }; " \
          "chain d { type filter hook ingress device lo priority 0; tcp flags & (syn | ack) == syn | ack limit rate 1/day burst 4 packets drop; }; }"


@case
def a_SYN_that_is_doubled_on_lo_refuses_nobody(web):
    """The copy comes when the connection is half open, by then its tuple is marked. The first SYN-ACKs are lost, so that it stays half open for a while."""
    start_server(web)
    web.write("/run/doubled.nft", DOUBLED)
    for address in ("127.0.0.1", "::1", web.v4, web.v6):
        tries = "nft -f /run/doubled.nft; /opt/lab/probe tcp %s %d --wait=20; nft delete table netdev doubled; " % (address, PORT)
        result = web.run("triremectl run --label=app=web -- sh -c '%s'" % (2 * tries), timeout=60)  # the enforcer is asked about the first, the table knows the second
        for number, line in enumerate(result.out.splitlines()):
            answer = json.loads(line)
            connected("connection %d to %s" % (number, address), answer)
            holds("SYN-ACKs were lost: %s" % answer, answer["ms"] > 500)
        same("connections to %s (%s)" % (address, result), len(result.out.splitlines()), 2)
    web.remove("target.service")


@case
def forged_SO_MARK_and_SO_PRIORITY_open_nothing(web):
    start_server(web)
    for mark in ("0xffffffff", "1", "2", "0xa", "0x5", "0x74010001"):
        for address in ("127.0.0.1", "::1", web.v4):
            denied("mark " + mark, web.probe("tcp", address, PORT, "--mark=" + mark, "--wait=1"))
    for priority in ("0x74010001", "0x74000001", "0x73000001", "0xffffffff", "6"):
        for address in ("127.0.0.1", web.v6):
            denied("priority " + priority, web.probe("tcp", address, PORT, "--priority=" + priority, "--wait=1"))
    web.remove("target.service")


@case
def a_packet_socket_on_lo_with_forged_marks_reaches_no_labelled_UDP_socket(web):
    web.must("rm -f /run/sink")
    web.service("sink", "/opt/lab/probe sink 5310 /run/sink", "TriremeLabels=app=web")
    web.service("control", "/opt/lab/probe sink 5311 /run/sink")
    web.probe("packet", "::1", 5310, "to-the-labelled")
    web.probe("packet", "::1", 5311, "to-the-control")
    holds("the unlabelled control gets its packet", web.wait("grep -q to-the-control /run/sink"))
    holds("the labelled one gets none", web.run("grep -q to-the-labelled /run/sink").status != 0)
    web.remove("sink.service", "control.service")


def started_but_denied(web, name, extra, **options):
    """A unit whose settings defeat a simpler hook: it either runs protected or does not run; it never runs open."""
    web.service(name, "/opt/lab/probe serve %d %s" % (PORT + 10, name), "TriremeLabels=app=web", extra=extra, start=False)
    web.run("systemctl start " + name, timeout=40)
    web.run("sleep 0.3")
    denied("a stranger to " + name, web.probe("tcp", "127.0.0.1", PORT + 10))
    running = web.run("ss -Hltn sport = %d | grep -q ." % (PORT + 10)).status == 0
    if running:
        connected("app=web to " + name, web.probe("tcp", "127.0.0.1", PORT + 10, label="app=web"))
    same("%s runs" % name, running, options.get("runs", True))
    web.remove(name + ".service")


@case
def RootDirectory_does_not_lose_the_protection(web):
    started_but_denied(web, "rooted", "RootDirectory=/")
    started_but_denied(web, "tmpfs", "TemporaryFileSystem=/run/trireme /usr/lib/trireme")
    web.must("mkdir -p /srv/root && for d in usr etc opt run var tmp proc sys dev; do mkdir -p /srv/root/$d; done; "
             "for d in bin sbin lib lib64; do ln -sfn usr/$d /srv/root/$d; done")
    started_but_denied(web, "jailed", "RootDirectory=/srv/root\nBindPaths=/usr /etc /opt\nMountAPIVFS=yes")


@case
def a_later_drop_in_that_empties_lists_does_not_lose_the_protection(web):
    web.drop_in("emptied.service", "[Unit]\nRequires=\nAfter=\nBindsTo=\nWants=\nAssertPathExists=\nConditionPathExists=\n[Service]\n"
                "ExecCondition=\nExecStartPre=\nLoadCredential=\n", name="99-empty.conf")
    started_but_denied(web, "emptied", "")


@case
def an_ExecCondition_of_the_unit_itself_runs_protected(web):
    web.service("door", "/opt/lab/probe serve %d door" % (PORT + 20))
    web.must("rm -f /run/condition")
    web.service("conditional", "/bin/sleep 100", "TriremeLabels=app=web", start=False,
                extra="ExecCondition=/bin/sh -c '/opt/lab/probe tcp 127.0.0.1 %d --wait=1 >/run/condition'" % (PORT + 20))
    web.run("systemctl start conditional")
    out = web.must("cat /run/condition")
    holds("its connection to a stranger was denied: " + out, '"result"' in out and '"connected"' not in out)
    web.remove("conditional.service", "door.service")


@case
def SuccessExitStatus_does_not_turn_a_failed_attach_into_a_start(web):
    started_but_denied(web, "lenient", "SuccessExitStatus=1 255 243 KILL TERM")


@case
def processes_of_a_Delegate_unit_in_groups_below_it_are_protected(web):
    web.service("nest", below("nest", "/opt/lab/probe serve %d nest" % (PORT + 30)), "TriremeLabels=app=web", extra="Delegate=yes")
    denied("a stranger", web.probe("tcp", "127.0.0.1", PORT + 30))
    connected("app=web", web.probe("tcp", "127.0.0.1", PORT + 30, label="app=web"))
    web.remove("nest.service")


def keep_listener(web, plain, name, command, extra=""):
    web.service(name, command, "TriremeLabels=app=web", extra="Type=notify\nNotifyAccess=all\nFileDescriptorStoreMax=4\n" + extra)
    for _ in range(3):
        denied("a remote stranger", plain.probe("tcp", web.v4, PORT + 40))
        denied("a local stranger", web.probe("tcp", "127.0.0.1", PORT + 40))
        web.must("systemctl restart " + name)
        time.sleep(1)  # in which what the last life left would be released, as nothing bears its own control group
    holds("it took the listener over", "kept" in web.must("journalctl -b -o cat -u " + name))
    web.remove(name + ".service")


@case
def a_listener_kept_in_the_fd_store_over_a_restart_stays_protected(web, plain):
    web.write("/opt/lab/keeper.py", KEEPER % (PORT + 40))
    keep_listener(web, plain, "keeper", "/usr/bin/python3 /opt/lab/keeper.py")


@case
def a_listener_of_a_group_below_a_unit_kept_over_a_restart_stays_protected(web, plain):
    """Neither the unit's control group of then nor the one in which it was opened is there any more."""
    web.write("/opt/lab/keeper.py", KEEPER % (PORT + 40))
    keep_listener(web, plain, "nested", below("nested", "/usr/bin/python3 /opt/lab/keeper.py"), "Delegate=yes")


KEEPER = """import array, os, socket
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ['NOTIFY_SOCKET'].replace('@', '\\0'))
if int(os.environ.get('LISTEN_FDS', '0')) > 0:
    listener = socket.socket(fileno=3)
    print('kept', flush=True)
else:
    listener = socket.create_server(('', %d))
    notify.sendmsg([b'FDSTORE=1\\nFDNAME=l'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [listener.fileno()]))])
notify.send(b'READY=1')
while True:
    connection = listener.accept()[0]
    connection.recv(99)
    connection.send(b'keeper')
    connection.close()
"""


@case
def connections_to_a_unit_labelled_while_they_live_are_cut(web, plain):
    web.service("grown", "/opt/lab/probe echo %d" % (PORT + 50))
    plain.must("rm -f /run/held")
    plain.service("hold", "/opt/lab/probe hold %s %d /run/held" % (web.v4, PORT + 50))
    holds("the connection comes about", plain.wait("grep -q alive /run/held"))
    web.drop_in("grown.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    holds("it is cut: %s" % plain.run("cat /run/held").out, plain.wait("! grep -q alive /run/held", 8))
    denied("a new one", plain.probe("tcp", web.v4, PORT + 50))
    plain.remove("hold.service")
    web.remove("grown.service")


CROSSING = """import socket, time
end = time.monotonic() + 3
while time.monotonic() < end:
    s = socket.socket()
    s.setsockopt(1, 2, 1)
    s.bind(('%s', %d))
    s.settimeout(0.05)
    try:
        s.connect(('%s', %d))
        print('open')
        break
    except OSError:
        s.close()
"""


def cross(left, right, prefix):
    """Both sides connect to each other's port at the same time; how many of them got through."""
    for machine, other, own, foreign in ((left, right, 42000, 42001), (right, left, 42001, 42000)):
        machine.write("/opt/lab/crossing.py", CROSSING % (machine.v4, own, other.v4, foreign))
    process = left.popen(prefix + "python3 /opt/lab/crossing.py")
    result = right.run(prefix + "python3 /opt/lab/crossing.py", timeout=40)
    return (result.out + process.communicate(timeout=40)[0].decode()).count("open")


@case
def simultaneous_open_between_two_units_is_refused(web, peer):
    if cross(web, peer, "") == 0:
        raise Skip("not even two unlabelled programs managed to open simultaneously")
    same("sides that opened", cross(web, peer, "triremectl run --label=app=web -- "), 0)


UNTRACKED = "table inet untracked { chain p { type filter hook prerouting priority -350; tcp dport 80 notrack; tcp sport 80 notrack; }; " \
            "chain o { type filter hook output priority -350; tcp dport 80 notrack; tcp sport 80 notrack; }; }"


@case
def packets_that_somebody_takes_out_of_connection_tracking_open_nothing(web, peer, plain):
    """Without an entry there is no mark, and what is not marked is dropped, whoever sends it."""
    web.must("nft '%s'" % UNTRACKED)
    try:
        for client, address in ((plain, web.v4), (plain, web.v6), (web, "127.0.0.1"), (web, "::1")):
            denied("a stranger at " + address, client.probe("tcp", address, 80, "--wait=2"))
        denied("not even app=web", peer.probe("tcp", web.v4, 80, "--wait=3", label="app=web"))
    finally:
        web.must("nft delete table inet untracked")
    connected("app=web, as before", peer.probe("tcp", web.v4, 80, label="app=web"))


@case
def processes_that_outlive_their_unit_open_nothing(web):
    """KillMode=process leaves them behind in the unit's control group."""
    web.service("door", "/opt/lab/probe serve %d door" % (PORT + 20))
    web.must("rm -f /run/left")
    once = "/opt/lab/probe tcp 127.0.0.1 %d --wait=0.5 >>/run/left" % (PORT + 20)
    web.service("leaver", "/bin/sh -c '(while sleep 0.2; do %s; done) & exec sleep 1000'" % once, "TriremeLabels=app=web", extra="KillMode=process")
    holds("it tries", web.wait("grep -q result /run/left"))
    web.must("systemctl stop leaver; sleep 2.5")
    for restart in ("true", "systemctl restart trireme", "systemctl restart trireme-helper"):
        web.must(restart + " && sleep 2.5")  # in which it would be released, as it has no socket open most of the time
        tried = len(web.must("cat /run/left").splitlines())
        holds("it goes on trying", web.wait("test $(cat /run/left | wc -l) -gt %d" % (tried + 3)))
        holds("nothing came of it after %s: %s" % (restart, web.must("cat /run/left")), '"connected"' not in web.must("cat /run/left"))
    web.must("systemctl start leaver && systemctl stop leaver")  # once more in the same control group
    released = "journalctl -b -o cat -u trireme-helper | grep -c 'has leaver.service released'"
    web.must("sleep 1")
    before = int(web.run(released).out)
    web.must("for p in $(cat /sys/fs/cgroup/system.slice/leaver.service/cgroup.procs); do kill -9 $p; done")
    holds("it is released with the last of them: %s" % web.must("journalctl -b -o cat -n 20 -u trireme-helper"), web.wait("test $(%s) -eq %d" % (released, before + 1)))
    web.remove("leaver.service", "door.service")


@case
def processes_of_a_unit_that_ends_while_there_is_no_enforcer_are_closed_when_there_is_one(web):
    """Until then they have what the unit had."""
    web.service("door", "/opt/lab/probe serve %d door" % (PORT + 20))
    web.must("rm -f /run/left")
    once = "/opt/lab/probe tcp 127.0.0.1 %d --wait=0.5 >>/run/left" % (PORT + 20)
    web.service("leaver", "/bin/sh -c '(while sleep 0.2; do %s; done) & exec sleep 1000'" % once,
                "TriremeLabels=app=web\nTriremeConnectTo=127.0.0.1/32 tcp/%d" % (PORT + 20), extra="KillMode=process")
    holds("it gets there", web.wait("grep -q connected /run/left"))
    web.must("systemctl stop trireme && systemctl stop leaver && systemctl start trireme && sleep 2 && rm /run/left")
    holds("it goes on trying", web.wait("test $(cat /run/left | wc -l) -gt 3"))
    holds("nothing came of it: " + web.must("cat /run/left"), '"connected"' not in web.must("cat /run/left"))
    web.must("rm -rf /etc/systemd/system/leaver.service.d && sed -i '/X-Trireme/,$d' /etc/systemd/system/leaver.service && systemctl daemon-reload && systemctl start leaver")
    holds("nor is it kept closed when it is started without a label", web.wait("rm -f /run/left; sleep 1; grep -q connected /run/left", 10))
    web.must("for p in $(cat /sys/fs/cgroup/system.slice/leaver.service/cgroup.procs); do kill -9 $p; done")
    web.remove("leaver.service", "door.service")
