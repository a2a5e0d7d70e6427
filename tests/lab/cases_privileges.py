# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what: each process to the others, an unprivileged user to all of them."""

import json
import os
import re

import host
from expect import contains, curl_fails, curl_succeeds, denied, holds, same, unit_row
from suite import case

HERE = os.path.dirname(os.path.abspath(__file__))
AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups -- "
EXPOSURE = {"trireme": 1.1, "trireme-datapath": 1.1, "trireme-inspect": 1.1, "trireme-verify": 1.1, "trireme-credentials": 1.1, "trireme-helper": 2.1}


WITHOUT_CONTENTS = {"list-units", "list-cgroups", "list-plugins", "get-state", "arm", "disarm"}  # there is nothing in them that could be forged but their size


def numbers(protocol):
    """The version of a protocol between two processes and the numbers of its messages, from its header."""
    with open(os.path.join(host.TOP, "src/ipc/%s-protocol.h" % protocol)) as file:
        text = file.read()
    names = re.findall(r"^        %s_(\w+)(?: = 1)?,  *(?:/|$)" % protocol.upper(), text.split("Type {")[1].split("}")[0], re.M)
    version = int(re.search(r"_PROTOCOL_VERSION (\d+)", text).group(1))
    return dict({name.lower().replace("_", "-"): number for number, name in enumerate(names, 1)}, version=version)


def forge(machine, words, prefix="", protocol="helper"):
    """Runs the forger and returns what came of each attempt."""
    with open(os.path.join(HERE, "forge.py")) as file:
        machine.write("/opt/lab/forge", file.read(), 0o755)
    machine.write("/opt/lab/protocol", json.dumps(numbers(protocol)))
    out = machine.run(prefix + "/opt/lab/forge " + words, timeout=60).out
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


@case
def the_processes_are_as_little_exposed_as_promised(web, report):
    for unit, most in EXPOSURE.items():
        line = web.must("systemd-analyze security --no-pager %s.service" % unit).splitlines()[-1]
        exposure = float(re.search(r"([0-9.]+) [A-Z]", line).group(1))
        report.notes.append("%s %.1f" % (unit, exposure))
        holds("%s: %.1f is at most %.1f" % (unit, exposure, most), exposure <= most)


@case
def each_process_runs_under_its_filter_and_with_its_capabilities_only(web):
    wanted = {"trireme": 0, "trireme-datapath": 1 << 12, "trireme-helper": 1 << 12 | 1 << 19 | 1 << 1, "trireme-inspect": 0, "trireme-verify": 0}
    sockets = ["/run/trireme/%s.sock" % worker for worker in ("verify", "inspect")]
    client = web.popen("exec python3 -c \"import socket, time; s = [socket.socket(1, 5) for i in (0, 1)]; [a.connect(b) for a, b in zip(s, %s)]; time.sleep(60)\"" % sockets)
    for worker in ("verify", "inspect"):
        holds("trireme-%s runs, for this client or another" % worker,
              web.wait("grep -q '^Seccomp_filters:.*[2-9]' /proc/$(systemctl show -P MainPID trireme-%s)/status" % worker, 10))
    for unit, capabilities in wanted.items():
        status = web.must("cat /proc/$(systemctl show -P MainPID %s.service)/status" % unit)
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        same("no_new_privs of " + unit, fields["NoNewPrivs"], "1")
        same("seccomp mode of " + unit, fields["Seccomp"], "2")
        holds("%s has two filters: the unit's and its own" % unit, int(fields["Seccomp_filters"]) >= 2)
        for name in ("CapEff", "CapPrm", "CapBnd"):
            holds("%s of %s is %s" % (name, unit, fields[name]), int(fields[name], 16) & ~capabilities == 0)
        holds("nobody can trace %s or take a core of it" % unit, web.run("test $(stat -c %%u /proc/$(systemctl show -P MainPID %s)/mem) = 0" % unit).status == 0)
    client.kill()
    client.communicate()


@case
def forged_requests_to_the_helper_are_refused(web):
    """The forger sits in the enforcer's place, with its user and in its control group: what is left is what each request says."""
    foreign = web.must("stat -c %i /sys/fs/cgroup/system.slice/dbus.service").strip()
    forge(web, "connect /run/trireme/none")  # puts it there
    web.must("ln -sf /etc/shadow /opt/lab/shadow.so")
    web.drop_in("trireme.service", "[Service]\nExecStart=\nExecStart=/opt/lab/forge helper %s nginx.service\nStandardOutput=file:/run/forged\nType=simple\n"
                "MemoryDenyWriteExecute=no\nWatchdogSec=0\n" % foreign)
    try:
        web.must("systemctl restart trireme.service")
        holds("it came to its end", web.wait("grep -q 'a good request' /run/forged", 60))
        rows = [json.loads(line) for line in web.must("cat /run/forged").splitlines()]
    finally:
        web.must("rm -rf /etc/systemd/system/trireme.service.d /run/forged; systemctl daemon-reload; systemctl restart trireme.service")
    results = {row["what"]: row["outcome"] for row in rows}
    number = numbers("helper")
    wanted = {name for name in number if number["hello"] < number[name] < number["reply"] and name != "version"} - WITHOUT_CONTENTS
    same("requests that nobody forged", wanted - {name for name in number for row in rows if row.get("type") == number[name]}, set())
    same("a request as it should be", results.pop("a good request"), 0)
    holds("there were some: %d" % len(results), len(results) > 25)
    for what, outcome in results.items():
        holds("%s: %s" % (what, outcome), outcome not in (0, "silence"))
    holds("the helper is still the same process", web.run("systemctl show -P NRestarts trireme-helper | grep -qx 0").status == 0)
    curl_succeeds(web, "127.0.0.1", "app=web")
    curl_fails(web, "127.0.0.1")


@case
def only_the_enforcer_itself_is_taken_for_the_enforcer(web):
    """Root has another uid, its user in another control group is not it, and nobody does not even get to the sockets."""
    in_slice = "systemd-run -q --pipe --wait -p User=trireme -- "
    for who, prefix in (("root", ""), ("its user elsewhere", "setpriv --reuid=trireme --regid=trireme --clear-groups -- "), ("its user in a unit", in_slice)):
        row, = forge(web, "connect /run/trireme/helper.sock", prefix)
        holds("%s gets no answer from the helper: %s" % (who, row), row["outcome"] != "answered")
    for who, prefix in (("its user", "setpriv --reuid=trireme --regid=trireme --clear-groups -- "),):
        row, = forge(web, "connect /run/trireme/attach.sock", prefix)
        holds("%s cannot attach: %s" % (who, row), row["outcome"] == "EACCES")
    sockets = web.must("cd /run/trireme && ls -d *.sock").split()
    holds("the sockets are there: %s" % sockets, len(sockets) >= 6)
    for name in sockets:
        row, = forge(web, "connect /run/trireme/" + name, AS_NOBODY)
        same("nobody at " + name, row["outcome"], "EACCES")
    curl_succeeds(web, "127.0.0.1", "app=web")


@case
def an_attach_request_is_believed_only_of_an_attach_unit(web):
    for where in ("", "systemd-run -q --pipe --wait -- ", "systemd-run -q --pipe --wait --unit=lab-attach --slice=trireme-attach.slice -- "):
        row, = forge(web, "connect /run/trireme/attach.sock", where)
        holds("no answer to %r: %s" % (where, row), row["outcome"] != "answered")
    contains("the journal", web.must("journalctl -b --no-pager -u trireme-helper | tail -n 20"), "Refusing an attach client")


@case
def forged_messages_to_the_datapath_change_nothing(web):
    before = web.must("systemctl show -P MainPID trireme-datapath")
    forge(web, "control", "setpriv --reuid=trireme --regid=trireme --clear-groups -- ", "datapath")
    same("the datapath's process", web.must("systemctl show -P MainPID trireme-datapath"), before)
    row, = forge(web, "connect /run/trireme/datapath.sock", "setpriv --reuid=trireme-datapath --regid=trireme-datapath --clear-groups -- ")
    same("its own user at its control socket", row["outcome"], "EACCES")
    holds("the enforcer is back", web.wait("triremectl run --label=app=web -- curl -sS --max-time 3 -o /dev/null http://127.0.0.1/", 10))
    curl_fails(web, "127.0.0.1")


CALL = "busctl --timeout=10 call org.trireme %s %s "
VALUES = {"s": "x", "u": "1", "b": "true", "t": "1", "as": "1 app=web", "i": "1"}


def introspect(machine):
    """(path, interface, kind, name, signature, flags) of all that the enforcer offers, on every object that it has. What is added to it is tried without being listed here."""
    rows = []
    holds("no command runs that may end any moment", machine.wait("! busctl --no-pager --list tree org.trireme | grep trireme_2drun", 20))
    for path in machine.must("busctl --no-pager --list tree org.trireme").split():
        for line in machine.must("busctl --no-pager --list introspect org.trireme %s" % path).splitlines():
            word = line.split()
            if word and not word[0].startswith("."):
                interface = word[0]
            elif word and interface.startswith("org.trireme"):
                rows.append((path, interface, word[1], word[0].lstrip("."), word[2].strip("-"), word[-1]))
    return rows


def bus_client(machine):
    with open(os.path.join(HERE, "bus.py")) as file:
        machine.write("/opt/lab/bus", file.read(), 0o755)


@case
def an_unprivileged_user_is_refused_each_method_and_property(web, report):
    web.must("triremectl status")
    bus_client(web)
    rows = introspect(web)
    counts = {kind: len({row[1:4] for row in rows if row[2] == kind}) for kind in ("method", "property", "signal")}
    report.notes.append(str(counts))
    holds("methods, properties and signals of the manager and of units are there: %s" % counts,
          counts["method"] >= 12 and counts["property"] >= 25 and counts["signal"] >= 3 and {row[1] for row in rows} == {"org.trireme.Manager", "org.trireme.Unit"})
    for path, interface, kind, name, signature, flags in rows:
        if kind == "method":
            parts = re.findall("a?.", signature)
            words = "%s %s" % (signature, " ".join(VALUES.get(part, "") for part in parts)) if parts else ""
            if "h" in parts:  # busctl cannot pass a descriptor
                result = web.run(AS_NOBODY + "/opt/lab/bus call %s %s %s %s %s" % (path, interface, name, signature, " ".join("app=web" for part in parts if part != "h")))
                same("%s with a descriptor" % name, result.out.strip(), "org.freedesktop.DBus.Error.AccessDenied")
                continue
            result = web.run(AS_NOBODY + CALL % (path, interface) + name + " " + words)
            holds("%s is refused: %s" % (name, result), result.status != 0 and re.search("Access denied|Not allowed|denied|authentication", result.err))
        elif kind == "property":
            result = web.run(AS_NOBODY + "busctl --timeout=10 get-property org.trireme %s %s %s" % (path, interface, name))
            holds("%s is refused: %s" % (name, result), result.status != 0)
            holds("%s cannot be written, by nobody: %s" % (name, flags), "writable" not in flags)
    for path, interface in {row[:2] for row in rows}:
        holds("GetAll is refused", web.run(AS_NOBODY + CALL % (path, "org.freedesktop.DBus.Properties") + "GetAll s " + interface).status != 0)
    curl_fails(web, "127.0.0.1")


@case
def an_unprivileged_user_cannot_run_with_a_label(web):
    result = web.run(AS_NOBODY + "triremectl run --no-ask-password --label=app=web -- curl -sS --max-time 3 http://127.0.0.1/", timeout=40)
    holds("refused: %s" % result, result.status != 0 and "Welcome" not in result.out)
    holds("no scope is left", web.wait("! systemctl list-units --plain --no-legend 'trireme-run-*' | grep -q ."))


@case
def an_unprivileged_user_hears_no_signal(web, plain):
    """Not one of those that root hears: each that there is, and changes of properties."""
    bus_client(web)
    wanted = {row[3] for row in introspect(web) if row[2] == "signal"} | {"PropertiesChanged"}
    root, nobody = [web.popen("exec %s /opt/lab/bus hear 60" % prefix) for prefix in ("", AS_NOBODY)]
    for process in (root, nobody):
        same("it listens", process.stdout.readline(), b"listening\n")
    web.service("heard", "/bin/sleep 100", "TriremeLabels=app=web")
    web.remove("heard.service")
    curl_fails(plain, web.v4)
    web.must("triremectl disarm --for=10s && " + CALL % ("/org/trireme", "org.trireme.Manager") + "Arm")
    heard = set()
    while heard != wanted:
        name = root.stdout.readline().decode().strip()
        holds("root hears all of %s: %s" % (wanted, heard), name)
        heard.add(name)
    nobody.kill()
    same("what nobody heard", nobody.communicate()[0], b"")
    root.kill()
    root.communicate()


@case
def whoever_asks_and_never_reads_holds_up_nobody_and_takes_no_memory(web, report):
    """Several at once, each with more questions than there is room for."""
    bus_client(web)
    memory = "grep VmRSS /proc/$(systemctl show -P MainPID trireme)/status | tr -dc 0-9"
    before = int(web.must(memory))
    for prefix in (AS_NOBODY, ""):
        flood = web.popen("for i in 1 2 3; do %s /opt/lab/bus flood 5000 & done; wait" % prefix)
        same("the flood has begun", flood.stdout.readline()[:4], b"sent")
        holds("root is answered", unit_row(web, "nginx.service") is not None)
        curl_succeeds(web, "127.0.0.1", "app=web")
        flood.communicate(timeout=60)
    after = int(web.must(memory))
    report.notes.append("memory of the enforcer %d -> %d kB" % (before, after))
    holds("its memory is about what it was: %d -> %d kB" % (before, after), after < before + 16384)
    same("the enforcer was not restarted for it", web.must("systemctl show -P NRestarts trireme").strip(), "0")


@case
def a_polkit_that_hangs_holds_up_nobody_who_needs_it_not(web):
    """Callers come, wait and go, more than the enforcer keeps of one user at a time; root is answered all the while, and the next caller when polkit is back."""
    call = AS_NOBODY + "busctl --timeout=2 call org.trireme /org/trireme org.trireme.Manager ListUnits"
    holds("polkit refuses him", web.run(call).status != 0)
    web.must("systemctl kill -s STOP polkit")
    try:
        web.must("for j in $(seq 40); do timeout -s KILL 0.5 %s >/dev/null 2>&1 & done; wait; true" % call, timeout=60)
        out = web.run(call)
        holds("he waits for polkit: " + out.err, out.status != 0 and re.search("timed out|Timeout", out.err))
        holds("root does not wait", unit_row(web, "nginx.service") is not None)
        curl_succeeds(web, "127.0.0.1", "app=web")
    finally:
        web.must("systemctl kill -s CONT polkit")
    contains("polkit's refusal", web.run(call).err, "denied")


@case
def an_unprivileged_user_finds_no_place_to_prepare(web):
    found = web.run(AS_NOBODY + "find /run/trireme /etc/trireme /etc/credstore /usr/lib/trireme /run/systemd/generator /sys/fs/cgroup/system.slice/nginx.service "
                    "-writable ! -type l 2>/dev/null").out
    same("what nobody could write to", found, "")
    group = "/sys/fs/cgroup/system.slice/nginx.service/cgroup.procs"
    holds("he cannot step into a unit", web.run(AS_NOBODY + "sh -c 'echo $$ >%s'" % group).status != 0)
    holds("he cannot read the key", web.run(AS_NOBODY + "cat /etc/credstore/trireme.psk").status != 0)


@case
def an_unprivileged_users_flood_takes_nothing_from_others(web):
    flood = web.popen("exec timeout 4 %s sh -c 'while :; do for i in 1 2 3 4 5 6 7 8; do curl -s --max-time 1 http://127.0.0.1/ & done; wait; done' "
                      ">/dev/null 2>&1" % AS_NOBODY)
    for _ in range(4):
        curl_succeeds(web, "127.0.0.1", "app=web")
    flood.communicate()


@case
def units_of_a_user_manager_are_never_believed(web):
    """A user writes into his own unit what an administrator would write into a unit of the system."""
    web.must("useradd -m -u 4711 mallory 2>/dev/null || id mallory")
    if web.run("systemctl start user@4711.service", timeout=30).status != 0:
        web.write("/run/systemd/system/lab-user.service", "[Service]\nType=notify\nUser=mallory\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/4711\n"
                  "RuntimeDirectory=user/4711\nDelegate=pids memory\nExecStart=/lib/systemd/systemd --user\n")
        web.must("systemctl daemon-reload; systemctl start lab-user.service", timeout=30)
    as_mallory = "setpriv --reuid=4711 --regid=4711 --clear-groups env XDG_RUNTIME_DIR=/run/user/4711 "
    web.write("/home/mallory/.config/systemd/user/evil.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c '/opt/lab/probe tcp 127.0.0.1 80 >/tmp/evil'\n"
              "[X-Trireme]\nTriremeLabels=app=web\n", 0o644)
    web.must("chown -R mallory /home/mallory; rm -f /tmp/evil; for i in $(seq 50); do [ -S /run/user/4711/systemd/private ] && break; sleep 0.1; done")
    web.must(as_mallory + "systemctl --user daemon-reload && " + as_mallory + "systemctl --user start evil.service", timeout=30)
    denied("his labelled unit", web.json("cat /tmp/evil"))
    holds("it is not listed", unit_row(web, "evil.service") is None)
    web.run("systemctl stop user@4711.service lab-user.service; rm -f /run/systemd/system/lab-user.service; systemctl daemon-reload", timeout=40)


RAW = """import socket
from wire import ACK, FIN, PSH, SYN, Segment
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for flags in (FIN | ACK | PSH, ACK | PSH, FIN, SYN | FIN, 0, SYN | ACK):
    try:
        s.sendto(Segment('%s', '%s', 4000 + flags, 8555, 1, 1, flags, b'smuggled').bytes(), ('%s', 0))
    except PermissionError:
        pass
print('sent')
"""


@case
def a_segment_made_by_hand_leaves_no_labelled_unit(web, plain):
    """With any flags: there are filters that let a FIN with data pass. An unlabelled program's does leave."""
    with open(os.path.join(host.TOP, "tests", "attack", "wire.py")) as file:
        web.write("/opt/lab/wire.py", file.read())
    web.write("/opt/lab/raw.py", RAW % (web.v4, plain.v4, plain.v4))
    for prefix, arrives in (("", True), ("triremectl run --label=app=web -- ", False)):
        sniffer = plain.popen("echo ready; exec timeout 5 tcpdump -ni host0 -c 1 --immediate-mode 'tcp dst port 8555' 2>&1")
        sniffer.stdout.readline()
        plain.run("sleep 1")
        contains("the sender", web.must(prefix + "python3 /opt/lab/raw.py"), "sent")
        out = sniffer.communicate(timeout=20)[0].decode()
        same("arrived, sent with %r: %s" % (prefix, out), " > %s.8555" % plain.v4 in out, arrives)


def settings_of_the_kernel(machine):
    rows = dict(line.split(" = ", 1) for line in machine.must("sysctl -a 2>/dev/null").splitlines() if " = " in line)
    counting = ("count", "random", "_id", "uuid", "nr-", "state")  # what the kernel tells, not what it is told
    return {name: value for name, value in rows.items() if name.startswith("net.") and not any(word in name.rsplit(".", 1)[1] for word in counting)}


@case
def no_setting_of_the_kernel_is_changed(web, plain):
    """Compared with a machine that never saw Trireme."""
    curl_succeeds(web, "127.0.0.1", "app=web")
    ours, theirs = settings_of_the_kernel(web), settings_of_the_kernel(plain)
    holds("there are some: %d" % len(ours), len(ours) > 100 and "net.netfilter.nf_conntrack_tcp_be_liberal" in ours)
    same("what differs", {name: (ours[name], theirs[name]) for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}, {})


@case
def audit_names_each_way_out_of_a_units_cage_and_what_closes_it(web):
    """A unit that is open to everything, one that closes all of it, and what the exit code says of them."""
    closed = ("User=65534\nProtectControlGroups=yes\nNoNewPrivileges=yes\nCapabilityBoundingSet=\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n")
    half = "ProtectControlGroups=yes\nCapabilityBoundingSet=CAP_NET_RAW\nRestrictAddressFamilies=~AF_VSOCK\nInaccessiblePaths=-/run/systemd/private -/run/dbus/system_bus_socket\n"
    web.service("open", "/bin/sleep 100", "TriremeLabels=app=web", extra="Delegate=yes")
    web.service("half", "/bin/sleep 100", "TriremeLabels=app=web", extra=half)
    web.service("closed", "/bin/sleep 100", "TriremeLabels=app=web", extra=closed)
    audits = {row["unit"]: [way["id"] for way in row["ways_out"]] for row in web.json("triremectl audit --json=short")}
    same("ways out of open", audits["open.service"],
         ["control-group", "delegate", "systemd", "system-admin", "network-admin", "trace", "packet-socket", "vsock"])
    same("ways out of half", audits["half.service"], ["packet-socket"])
    same("ways out of closed", audits["closed.service"], [])
    contains("the table", web.must("triremectl audit"), "open.service", "ProtectControlGroups=yes", "RestrictAddressFamilies=~AF_PACKET")
    contains("status", web.must("triremectl status open.service"), "ProtectControlGroups=yes", "AF_PACKET")
    for unit, threshold, status in (("closed", 0, 0), ("half", 0, 1), ("half", 1, 0), ("open", 7, 1), ("open", 8, 0)):
        same("exit status for %s with %d" % (unit, threshold), web.run("triremectl audit --threshold=%d %s" % (threshold, unit)).status, status)
    holds("what is not labelled is in no cage", web.run("triremectl audit dbus.service").status == 1)
    web.remove("open.service", "half.service", "closed.service")
