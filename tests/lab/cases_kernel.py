# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on a stock Debian kernel, where packets are queued by nft_queue itself and nothing is nested: under AppArmor (machine stock) with
the profiles that are installed, and under SELinux."""

import base64
import itertools
import json
import os

import nodes
from cases_failures import PROCESSES, Held
from expect import contains, curl_fails, curl_succeeds, denied, holds, same, unit_row
from suite import case

# Puts itself under a profile and tries, each word by itself: what becomes of it is the kernel's doing alone, for it is root and has all capabilities.
CONFINED = """
import errno, json, os, socket, sys
with open("/proc/self/attr/current", "w") as file:
    file.write("changeprofile " + sys.argv[1])
def attempt(words):
    kind, _, path = words.partition(":")
    if kind == "socket":
        socket.socket(getattr(socket, path), socket.SOCK_RAW if path in ("AF_PACKET", "AF_NETLINK") else socket.SOCK_STREAM).close()
    elif kind == "run":
        os.execv(path, [path])
    elif kind == "user":
        os.setuid(int(path))
    elif kind == "directory":
        os.mkdir(path)
        os.rmdir(path)
    else:
        os.close(os.open(path, os.O_RDONLY if kind == "read" else os.O_WRONLY | os.O_CREAT))
answers = {}
for words in sys.argv[2:]:
    try:
        attempt(words)
        answers[words] = "done"
    except OSError as error:
        answers[words] = errno.errorcode[error.errno]
print(json.dumps(answers))
"""
KEY, SECRET = "/etc/credstore/trireme.psk", "/etc/shadow"
NOBODY_MAY = ("read:" + KEY, "read:" + SECRET, "write:/etc/trireme/x.conf", "write:/usr/lib/trireme/x", "run:/usr/bin/true", "socket:AF_INET",
              "socket:AF_PACKET", "user:65534")
MAY = {
    "trireme-helper": ("read:/usr/sbin/nginx", "socket:AF_NETLINK", "directory:/sys/fs/cgroup/system.slice/lab.service", "write:/run/trireme/attached/lab"),
    "trireme-enforcer": ("read:/usr/sbin/nginx", "socket:AF_UNIX"),
    "trireme-datapath": ("read:/etc/passwd", "socket:AF_NETLINK"),
    "trireme-inspect": ("read:/usr/sbin/nginx", "socket:AF_UNIX"),
    "trireme-verify": ("read:/etc/ld.so.cache", "socket:AF_UNIX"),
    "trireme-credentials": ("read:/etc/ld.so.cache", "socket:AF_UNIX"),
    "trireme-attach": ("read:/etc/ld.so.cache", "socket:AF_UNIX"),
}
MAY_NOT = {"trireme-enforcer": ("socket:AF_NETLINK", "directory:/sys/fs/cgroup/lab"), "trireme-datapath": ("read:/usr/sbin/nginx", "directory:/sys/fs/cgroup/lab"),
           "trireme-verify": ("read:/etc/passwd", "read:/usr/sbin/nginx"), "trireme-inspect": ("write:/run/trireme/attached/lab",)}


@case
def the_stock_kernel_boots_with_a_native_queue(stock):
    contains("uname -v", stock.must("uname -v"), "Debian")
    stock.must("modprobe nft_queue", timeout=60)
    same("state of the machine", stock.must("cat /proc/1/comm").strip(), "systemd")


@case
def nginx_with_the_drop_in_alone_is_protected_on_a_stock_kernel(stock):
    stock.must("systemctl start nginx", timeout=60)
    row = unit_row(stock, "nginx.service")
    holds("it is enforced: %s" % row, row is not None and row["state"] == "enforcing")
    for address in (stock.v4, stock.v6):
        curl_fails(stock, address)
        curl_succeeds(stock, address, "app=web")
        curl_fails(stock, address, "app=other")


@case
def the_rules_use_the_native_queue_statement_of_a_stock_kernel(stock):
    ruleset = stock.must("nft list ruleset")
    holds("'queue' stands in the ruleset", "queue " in ruleset and "NFQUEUE" not in ruleset)


@case
def every_daemon_runs_under_its_AppArmor_profile_and_none_was_denied_anything(stock):
    """After a reload, which starts those that come and go. Loaded at boot by apparmor.service, as Debian does it."""
    stock.must("systemctl start nginx", timeout=60)
    holds("reloaded", stock.wait("triremectl reload", 300))  # what is started for it takes its time under emulation
    for name in ("trireme-helper", "trireme-enforcer", "trireme-datapath"):
        pid = stock.must("pgrep -xf /usr/lib/trireme/" + name).split()[0]
        same("label of " + name, stock.must("cat /proc/%s/attr/current" % pid).strip(), name + " (enforce)")
    same("profiles in force", sorted(stock.must("grep -o '^trireme-[a-z]* (enforce)' /sys/kernel/security/apparmor/profiles").split("\n")[:-1]),
         sorted(name + " (enforce)" for name in list(MAY) + ["trireme-keygen"]))
    denials = stock.run("dmesg | grep -o 'apparmor=\"DENIED\".*profile=\"trireme.*'").out
    same("denials", denials[:400], "")


@case
def what_a_profile_does_not_list_is_denied_and_logged(stock):
    """As root with all capabilities, so that nothing but the profile can say no; and what it lists is done."""
    stock.must("sysctl -q kernel.printk_ratelimit=0; test -e %s && test -e %s" % (KEY, SECRET))
    stock.write("/run/confined.py", CONFINED)
    for profile, allowed in MAY.items():
        forbidden = NOBODY_MAY + MAY_NOT.get(profile, ())
        answers = json.loads(stock.must("python3 /run/confined.py %s %s" % (profile, " ".join(allowed + forbidden)), timeout=60))
        for words in allowed:
            same("%s under %s" % (words, profile), answers[words], "done")
        for words in forbidden:
            holds("%s under %s is denied: %s" % (words, profile, answers[words]), answers[words] in ("EACCES", "EPERM"))
        logged = 'dmesg | grep \'apparmor="DENIED".*profile="%s".*name="%%s"\'' % profile
        for path in (KEY, SECRET):
            holds("the kernel logs that %s wanted %s" % (profile, path), stock.run(logged % path).status == 0)
    stock.must("rm -f /run/trireme/attached/lab")


@case
def the_AppArmor_label_of_a_unit_is_a_tag(stock):
    stock.write("/etc/apparmor.d/lab-door", "profile lab-door flags=(attach_disconnected) {\n  file,\n  network,\n  unix,\n  ptrace,\n  signal,\n  capability,\n}\n")
    stock.must("apparmor_parser -r /etc/apparmor.d/lab-door", timeout=60)
    stock.service("door", "/opt/lab/probe serve 7200 door", "TriremeLabels=app=web", extra="AppArmorProfile=lab-door")
    holds("@sys:apparmor is lab-door", stock.wait("triremectl show door.service | grep -E '@sys:apparmor lab-door( |$)'", 20))
    stock.remove("door.service")


@case
def strangers_are_out_of_reach_on_a_stock_kernel(stock):
    stock.service("door", "/opt/lab/probe serve 7200 door")
    denied("a labelled unit to a stranger", stock.probe("tcp", "127.0.0.1", 7200, label="app=web"))
    stock.must("/opt/lab/probe tcp 127.0.0.1 7200 | grep -q connected")
    stock.remove("door.service")


@case
def a_unit_that_the_kernel_kills_for_its_memory_ends_with_that_cause(stock):
    """MemoryMax= is the memory controller's, which the kernel of a container's host may not give to the container."""
    contains("controllers", stock.must("cat /sys/fs/cgroup/cgroup.controllers"), "memory")
    hungry = "/usr/bin/python3 -c \"import time; time.sleep(3); x = bytearray(200 << 20)\""
    stock.service("hungry", hungry, "TriremeLabels=app=web", extra="MemoryMax=30M\nMemorySwapMax=0", start=False)
    stock.must("(timeout 60 busctl --json=short monitor org.trireme >/run/monitor 2>&1 &) ; for i in $(seq 100); do grep -q -i monitoring /run/monitor && break; sleep 0.1; done")
    stock.must("systemctl start hungry")
    same("state while it lives", unit_row(stock, "hungry.service")["state"], "enforcing")
    holds("the kernel kills it", stock.wait("systemctl show -P Result hungry | grep -qx oom-kill", 30))
    holds("UnitDetached says why", stock.wait("grep UnitDetached /run/monitor | grep hungry.service | grep -q '\"oom-kill\"'", 20))
    holds("so does the journal", stock.wait("journalctl -b -u trireme | grep -F 'hungry.service ended (oom-kill)'", 20))
    holds("nothing of it is left", stock.wait("! triremectl list --no-legend | grep hungry", 20))
    # A scope says so from systemd 253 on, which does not end scopes by itself before that.
    if int(stock.must("systemctl --version | head -1").split()[1]) >= 253:
        stock.must("mkdir -p /run/systemd/system/trireme-run-.scope.d && printf '[Scope]\\nMemoryMax=30M\\nMemorySwapMax=0\\nOOMPolicy=kill\\n' "
                   ">/run/systemd/system/trireme-run-.scope.d/lab.conf && systemctl daemon-reload")
        stock.run("triremectl run --label=app=web -- %s" % hungry, timeout=60)
        holds("a scope too", stock.wait("journalctl -b -u trireme | grep -E 'trireme-run-.*scope ended .oom-kill'", 20))
        stock.must("rm -r /run/systemd/system/trireme-run-.scope.d && systemctl daemon-reload")
    stock.remove("hungry.service")


@case
def processes_that_the_kernel_kills_for_their_memory_open_nothing_and_come_back(stock):
    """All three, again and again, as long as they may not have what they need."""
    services = [name + ".service" for name in PROCESSES]
    with Held(stock, stock, 7201) as held:
        for service in services:
            stock.must("systemctl set-property --runtime %s MemoryMax=128K" % service)
        for service in services:
            holds("%s is killed" % service, stock.wait("journalctl -b -o cat _PID=1 UNIT=%s | grep -q oom-kill" % service, 30))
        denied("a stranger meanwhile", stock.probe("tcp", "127.0.0.1", 7201, "--wait=2"))
        held.lives("the kills")
        for service in services:
            stock.must("systemctl set-property --runtime %s MemoryMax=infinity" % service)
        for service in services:
            holds("%s is back" % service, stock.wait("systemctl is-active " + service, 60))
        denied("a stranger afterwards", stock.probe("tcp", "127.0.0.1", 7201, "--wait=2"))
        holds("the label gets in again", stock.wait("triremectl run --label=app=web -- /opt/lab/probe tcp 127.0.0.1 7201 --wait=4 | grep -q connected", 30))
        held.lives("all that")


@case
def a_full_connection_table_opens_nothing_is_named_and_heals(stock):
    """No entry can be had, and without one nothing passes, labelled or not."""
    limit = "/proc/sys/net/netfilter/nf_conntrack_max"
    with Held(stock, stock, 7202) as held:
        before = stock.must("cat " + limit).strip()
        stock.must("echo 1 >" + limit)
        try:
            for _ in range(3):
                denied("a stranger", stock.probe("tcp", "127.0.0.1", 7202, "--wait=1"))
            denied("the label, too", stock.probe("tcp", "127.0.0.1", 7202, "--wait=1", label="app=web"))
            held.lives("a full connection table")
            doctor = stock.run("triremectl doctor", timeout=60)
            contains("doctor", doctor.out, "nf_conntrack_max")
            same("its exit status", doctor.status, 1)
            contains("the kernel's log", stock.must("dmesg"), "table full, dropping packet")
        finally:
            stock.must("echo %s >%s" % (before, limit))
        denied("a stranger afterwards", stock.probe("tcp", "127.0.0.1", 7202, "--wait=2"))
        holds("the label gets in again", stock.wait("triremectl run --label=app=web -- /opt/lab/probe tcp 127.0.0.1 7202 --wait=4 | grep -q connected", 30))
        held.lives("all that")


@case
def a_clock_that_jumps_opens_nothing_and_is_named_when_it_went_back(stock):
    """Nothing of a live connection or a unit hangs on the wall clock; tokens do, and are made anew at each jump."""
    made = "journalctl -b -u trireme -o cat | grep -c 'making new tokens'"
    with Held(stock, stock, 7203) as held:
        for number, jump in enumerate(("+5 hours", "-9 hours", "+4 hours")):
            before = int(stock.run(made).out or 0)
            stock.must("date -s '%s'" % jump)
            holds("tokens are made anew", stock.wait("test $(%s) -gt %d" % (made, before), 20))
            denied("a stranger after " + jump, stock.probe("tcp", "127.0.0.1", 7203, "--wait=2"))
            holds("the label gets in after " + jump,
                  stock.wait("triremectl run --label=app=web -- /opt/lab/probe tcp 127.0.0.1 7203 --wait=4 | grep -q connected", 30))
            held.lives("a jump of the clock by " + jump)
            behind = ("behind what it was before" in stock.must("triremectl status"), "fail clock" in " ".join(stock.run("triremectl doctor", timeout=60).out.split()))
            same("status and doctor say that it went back, after " + jump, behind, (number > 0, number > 0))
    stock.must("systemctl stop trireme.service && rm /var/lib/trireme/clock && systemctl start trireme.service", timeout=60)
    holds("they say so no more", "behind what" not in stock.must("triremectl status"))


@case
def a_restart_of_everything_stays_closed_on_a_stock_kernel(stock):
    stock.must("systemctl restart trireme-helper trireme-datapath trireme nginx", timeout=60)
    curl_fails(stock, stock.v4)
    curl_succeeds(stock, stock.v4, "app=web")


@case
def twenty_percent_lost_ten_doubled_and_200_ms_in_disorder_cost_time_only_on_a_stock_kernel(stock):
    """tc netem on the loopback interface: both ends are here, each packet passes it."""
    stock.must("systemctl start nginx && modprobe sch_netem && tc qdisc add dev lo root netem delay 200ms 50ms loss 20% duplicate 10%", timeout=60)
    many = "curl -sSZ --parallel-immediate --max-time 110 -o /dev/null -w '%{http_code} ' 'http://127.0.0.1/?[1-5]'"  # of more any TCP would lose one now and then
    try:
        result = stock.run("triremectl run --label=app=web -- " + many, timeout=130)
        same("what five connections with the label got (%s)" % result, result.out.split(), ["200"] * 5)
        curl_fails(stock, stock.v4, "app=other")
    finally:
        stock.must("tc qdisc del dev lo root")


@case
def kill_9_and_flush_ruleset_open_nothing_on_a_stock_kernel(stock):
    stock.must("systemctl kill -s KILL trireme trireme-helper trireme-datapath; nft flush ruleset")
    curl_fails(stock, stock.v4)
    holds("the label gets in again",
          stock.wait("triremectl run --label=app=web -- curl -sS --max-time 4 -o /dev/null http://127.0.0.1/", 30))


@case
def the_SELinux_label_of_a_unit_is_a_tag_and_the_main_job_is_done_under_its_policy(selinux):
    """The domain is the policy's own choice for nginx. Permissive: there is no module for these daemons in Debian's policy."""
    same("mode", selinux.must("cat /sys/fs/selinux/enforce").strip(), "0")
    selinux.must("systemctl start nginx", timeout=60)
    curl_fails(selinux, selinux.v4)
    curl_succeeds(selinux, selinux.v4, "app=web")
    contains("domain of nginx", selinux.must("cat /proc/$(systemctl show -P MainPID nginx)/attr/current"), "system_u:system_r:httpd_t:s0")
    holds("@sys:selinux is that", selinux.wait("triremectl show nginx.service | grep -F '@sys:selinux system_u:system_r:httpd_t:s0'", 20))


VERITY = """
import fcntl, struct, sys
with open(sys.argv[1], "rb") as file:
    fcntl.ioctl(file, 0x40806685, struct.pack("=IIIIQIIQ", 1, 1, 4096, 0, 0, 0, 0, 0).ljust(128, b"\\0"))  # FS_IOC_ENABLE_VERITY: SHA-256 over blocks of 4096
    answer = bytearray(struct.pack("=HH", 0, 64) + bytes(64))
    fcntl.ioctl(file, 0xc0046686, answer)  # FS_IOC_MEASURE_VERITY
    print("sha256:" + answer[4:36].hex())
"""


def wait_tag(stock, unit, tag):
    holds("%s has the tag %s:\n%s" % (unit, tag, stock.run("triremectl show %s" % unit).out), stock.wait("triremectl show %s --json=short | grep -qF '%s'" % (unit, tag), 60))


@case
def a_binary_with_fs_verity_has_the_digest_that_the_kernel_enforces(stock):
    stock.write("/opt/lab/verity.py", VERITY)
    stock.must("rm -f /usr/local/bin/sealed && cp /usr/bin/sleep /usr/local/bin/sealed && cp /usr/bin/sleep /usr/local/bin/open")
    digest = stock.must("python3 /opt/lab/verity.py /usr/local/bin/sealed").strip()
    holds("the kernel keeps it from being changed", stock.run("echo >>/usr/local/bin/sealed").status != 0)
    for name in ("sealed", "open"):
        stock.service(name, "/usr/local/bin/%s 1000" % name, "TriremeLabels=app=" + name)
    wait_tag(stock, "sealed.service", "@sys:exe.verity=" + digest)
    wait_tag(stock, "open.service", "@sys:exe=/usr/local/bin/open")
    holds("a binary without it has no such tag", "exe.verity" not in stock.must("triremectl show open.service"))
    stock.remove("sealed.service", "open.service")


FAR, NODE = "10.88.0.1", "10.88.0.2"  # of this machine, and of a node that is a namespace of it
VETH = "ip netns add far && ip link add far0 type veth peer name host0 netns far && ip -n far link set host0 up && ip address add %s/24 dev far0 && ip link set far0 up && " \
       "ip neigh replace %s lladdr $(ip netns exec far cat /sys/class/net/host0/address) dev far0 nud permanent" % (FAR, NODE)
SEALED = "/etc/credstore.encrypted/trireme.psk"
SPORTS = itertools.count(30000)  # the node closes nothing


def handshake(stock, key, seconds):
    """A node that holds the same key connects to nginx."""
    node = nodes.Node(psk=key)
    stock.write("/run/attempts", json.dumps([node.attempt(node.token("app=web"), source=NODE, sport=next(SPORTS), target=FAR, port=80, seconds=seconds)]))
    script = "ip netns exec far /opt/lab/node client %s=$(cat /sys/class/net/far0/address) /run/attempts" % FAR
    return json.loads(stock.must(script, timeout=60).splitlines()[-1])[0]


def handshakes(stock, what, key):
    outcome = handshake(stock, key, 20)
    holds("%s: a handshake, and nginx answers: %s" % (what, outcome), outcome["answer"] == "token" and (outcome["data"] or "").startswith("HTTP/"))


def seal_and_use(stock, key):
    stock.must("systemd-creds encrypt --with-key=tpm2 --name=trireme.psk %s %s && mv %s /root && systemctl daemon-reload" % (KEY, SEALED, KEY), timeout=100)
    if "TRIREME_LAB_LONG" in os.environ:  # as without a TPM, which is tried elsewhere
        stock.must("triremectl reload", timeout=100)
        handshakes(stock, "after a reload", key)
    stock.must("systemctl restart trireme.service", timeout=100)
    handshakes(stock, "after a restart", key)
    stock.must("tpm2_clear", timeout=60)  # what it had sealed is now as if another had
    out = stock.run("triremectl reload", timeout=100)
    holds("the reload says that it cannot be decrypted: %s" % out, out.status != 0 and "cannot read or decrypt the credentials" in out.err)
    said = stock.must("journalctl -b -o cat -u trireme-credentials.service")
    holds("PID 1 says what of the TPM's it was: %s" % said[-2000:], "HMAC key in TPM" in said or "secret using TPM2" in said)
    handshakes(stock, "with the key in force", key)
    holds("the enforcer does not start without", stock.run("systemctl restart trireme.service", timeout=60).status != 0)
    same("what a node is answered then", handshake(stock, key, 4), {"answer": None, "data": None})


@case
def a_key_that_the_TPM_has_sealed_makes_handshakes_and_without_that_TPM_none(stock):
    stock.must("systemctl start nginx && test -c /dev/tpmrm0 && mkdir -p /etc/credstore.encrypted && " + VETH, timeout=60)
    nodes.install(stock)
    try:
        seal_and_use(stock, base64.b64decode(stock.must("head -n 1 " + KEY)))
    finally:
        stock.must("rm -f %s; mv /root/trireme.psk %s; ip netns del far; systemctl daemon-reload && systemctl restart trireme.service" % (SEALED, KEY), timeout=100)
    curl_succeeds(stock, stock.v4, "app=web")
