# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node finds out about its units by itself: the file they execute, as whom they run, which libraries they need."""

import shlex
import time

from expect import contains, curl_fails, curl_succeeds, holds, same, unit_row
from suite import case


def all_tags(machine, unit):
    """(key, value, where from) of each tag of a unit in force."""
    path = machine.json("triremectl show %s --json=short" % shlex.quote(unit))["object"]
    return machine.json("busctl --json=short get-property org.trireme %s org.trireme.Unit Tags" % path)["data"]


def tags(machine, unit):
    """Its @sys: tags as a dictionary of sorted lists."""
    found = {}
    for key, value, _ in all_tags(machine, unit):
        if key.startswith("@sys:"):
            found.setdefault(key[len("@sys:"):], []).append(value)
    return {key: sorted(values) for key, values in found.items()}


def wait_tags(machine, unit, wanted, seconds=5.0):
    """Waits until the unit has all these tags; wanted maps a key to its values, None: no tag of that key."""
    end = time.monotonic() + seconds
    while True:
        found = tags(machine, unit)
        missing = {key: found.get(key) for key, values in wanted.items() if found.get(key) != values}
        if not missing:
            return found
        if time.monotonic() > end:
            holds("%s has the tags %s; it has %s instead" % (unit, wanted, missing), False)
        time.sleep(0.1)


def sha256(machine, path):
    return machine.must("sha256sum " + shlex.quote(path)).split()[0]


def sleeper(machine, path, padding=0):
    """A program of its own that can be told from others by its contents."""
    machine.must("cp /usr/bin/sleep {0} && chmod 755 {0} && head -c {1} /dev/zero >>{0}; date +%N >>{0}".format(shlex.quote(path), padding))


def hash_is_found(web, name):
    """Of a program that nobody has asked about before."""
    program, unit = "/usr/local/bin/" + name, name + ".service"
    sleeper(web, program)
    web.service(name, program + " 1000", "TriremeLabels=app=" + name)
    wait_tags(web, unit, {"exe.sha256": [sha256(web, program)]})
    same("its state", unit_row(web, unit)["state"], "enforcing")
    web.remove(unit)
    web.must("rm " + program)


@case
def nginx_has_the_tags_of_its_binary_and_of_its_user(web):
    found = wait_tags(web, "nginx.service", {"exe": ["/usr/sbin/nginx"], "exe.sha256": [sha256(web, "/usr/sbin/nginx")], "user": ["root"], "uid": ["0"],
                                             "group": ["root"], "gid": ["0"], "unit": ["nginx.service"]})
    same("@sys:host", found["host"], [web.must("hostname").strip()])
    holds("the machine's own id stays at home", found["machine"] != [web.must("cat /etc/machine-id").strip()] and len(found["machine"][0]) == 32)


@case
def every_tag_says_where_it_comes_from(web):
    wait_tags(web, "nginx.service", {"exe": ["/usr/sbin/nginx"]})
    origins = {key: origin for key, _, origin in all_tags(web, "nginx.service")}
    same("origin of @sys:exe", origins["@sys:exe"], "main process")
    same("origin of @sys:user", origins["@sys:user"], "main process")
    same("origin of @sys:host", origins["@sys:host"], "this host")
    same("origin of the label", origins["@usr:app"], "label")


@case
def a_rule_by_hash_lets_in_one_binary_and_not_a_changed_one_under_the_same_label(web, peer):
    web.drop_in("nginx.service", "[X-Trireme]\nTriremeAccept=app=web @sys:exe.sha256=%s\n" % sha256(peer, "/usr/bin/curl"), "60-hash.conf")
    sections = "TriremeLabels=app=web"
    try:
        peer.must("cp /usr/bin/curl /usr/local/bin/changed && echo >>/usr/local/bin/changed")
        for name, program, expected in (("good", "/usr/bin/curl", "success"), ("changed", "/usr/local/bin/changed", "exit-code")):
            peer.service(name, "%s -sSg --max-time 8 -o /dev/null http://%s/" % (program, web.v4), sections, extra="Type=oneshot", start=False)
            peer.run("systemctl start " + name)  # the first start finds the hash out
            peer.must("sleep 0.5")
            peer.run("systemctl start " + name)
            same("result of " + program, peer.must("systemctl show -P Result " + name).strip(), expected)
    finally:
        peer.remove("good.service", "changed.service")
        web.must("rm /etc/systemd/system/nginx.service.d/60-hash.conf && systemctl daemon-reload")
    time.sleep(1)  # a changed unit file holds within a second
    curl_succeeds(peer, web.v4, "app=web")
    curl_fails(peer, web.v4, "app=other")


@case
def a_script_has_its_own_tags_and_those_of_its_interpreter(web):
    web.write("/usr/local/bin/script", "#!/bin/sh\nwhile :; do sleep 1; done\n", 0o755)
    web.service("script", "/usr/local/bin/script", "TriremeLabels=app=script")
    shell = web.must("realpath /bin/sh").strip()
    wait_tags(web, "script.service", {"exe": sorted(["/usr/local/bin/script", shell]),
                                      "exe.sha256": sorted([sha256(web, "/usr/local/bin/script"), sha256(web, shell)])})
    web.remove("script.service")


@case
def a_script_through_env_has_its_own_tags_too(web):
    web.write("/usr/local/bin/script3", "#!/usr/bin/env python3\nimport time\ntime.sleep(1000)\n", 0o755)
    web.service("script3", "/usr/local/bin/script3", "TriremeLabels=app=script")
    wait_tags(web, "script3.service", {"exe": sorted(["/usr/local/bin/script3", web.must("realpath /usr/bin/python3").strip()])})
    web.remove("script3.service")


@case
def a_wrapper_that_executes_another_program_has_the_tags_of_that(web):
    sleeper(web, "/usr/local/bin/inner")
    web.service("wrapper", "/bin/sh -c 'sleep 0.3; exec /usr/local/bin/inner 1000'", "TriremeLabels=app=wrapper")
    wait_tags(web, "wrapper.service", {"exe": ["/usr/local/bin/inner"], "exe.sha256": [sha256(web, "/usr/local/bin/inner")]})
    web.remove("wrapper.service")


@case
def a_forking_service_has_the_tags_of_the_process_that_stays(web):
    sleeper(web, "/usr/local/bin/daemon")
    web.service("forking", "/bin/sh -c '/usr/local/bin/daemon 1000 & sleep 0.2'", "TriremeLabels=app=forking", extra="Type=forking")
    wait_tags(web, "forking.service", {"exe": ["/usr/local/bin/daemon"]})
    web.remove("forking.service")


def build(machine, path, source, *options):
    machine.must("mkdir -p $(dirname {0}) && echo {1} | gcc -o {0} -x c - -x none {2}".format(path, shlex.quote(source), " ".join(shlex.quote(option) for option in options)), timeout=60)


def libraries_by_ldd(machine, program):
    """Names and paths as the loader itself finds them, but for the loader, which it does not look for."""
    lines = [line.split() for line in machine.must("ldd " + program).splitlines()]
    return sorted({word for line in lines if len(line) > 2 and line[1] == "=>" for word in (line[0], line[2])})


def wait_libraries(machine, unit, program):
    wanted = libraries_by_ldd(machine, program)
    end = time.monotonic() + 5
    while True:
        found = [value for value in tags(machine, unit).get("lib", []) if "/ld-linux" not in value and not value.startswith("ld-linux")]
        if found == wanted:
            return found
        holds("%s has the libraries %s; it has %s" % (unit, wanted, found), time.monotonic() < end)
        time.sleep(0.1)


@case
def the_libraries_are_those_that_the_loader_finds_also_when_one_is_replaced(web):
    """A run path before the loader's cache, a library that only a library needs, and one that is there no more."""
    wait_libraries(web, "nginx.service", "/usr/sbin/nginx")
    build(web, "/opt/shop/lib/libdeep.so.1", "int deep(void) { return 0; }", "-shared", "-Wl,-soname,libdeep.so.1")
    for directory, needed in (("/opt/shop/lib", ["/opt/shop/lib/libdeep.so.1", "-Wl,-rpath,$ORIGIN"]), ("/usr/local/lib", [])):
        build(web, directory + "/libshop.so.1", "int deep(void); int shop(void) { return %s; }" % ("deep()" if needed else "1"), "-shared", "-fPIC", "-Wl,-soname,libshop.so.1", *needed)
    build(web, "/opt/shop/bin/shop", "int shop(void); int pause(void); int main(void) { shop(); return pause(); }", "/opt/shop/lib/libshop.so.1", "-Wl,-rpath,$ORIGIN/../lib",
          "-Wl,--allow-shlib-undefined")
    web.must("ldconfig")
    web.service("shop", "/opt/shop/bin/shop", "TriremeLabels=app=shop")
    found = wait_libraries(web, "shop.service", "/opt/shop/bin/shop")
    holds("all of them: %s" % found, {"libshop.so.1", "/opt/shop/bin/../lib/libshop.so.1", "libdeep.so.1", "libc.so.6"} <= set(found))
    web.must("rm /opt/shop/lib/libshop.so.1; systemctl daemon-reload")
    same("its libraries while it runs", [value for value in tags(web, "shop.service")["lib"] if "shop" in value or "deep" in value],
         [value for value in found if "shop" in value or "deep" in value])
    web.must("systemctl restart shop")
    found = wait_libraries(web, "shop.service", "/opt/shop/bin/shop")
    holds("the other one, which needs less: %s" % found, "/usr/local/lib/libshop.so.1" in found and "libdeep.so.1" not in found)
    web.must("chmod 777 /usr/local/lib; systemctl restart shop")
    time.sleep(1)
    holds("what others can replace is not vouched for: %s" % tags(web, "shop.service").get("lib"), "lib" not in tags(web, "shop.service"))
    web.must("chmod 755 /usr/local/lib; rm /usr/local/lib/libshop.so.1; ldconfig")
    web.remove("shop.service")


@case
def below_a_RootDirectory_tags_are_those_of_what_is_there(web):
    web.must("mkdir -p /srv/jail/bin /srv/jail/lib/$(gcc -print-multiarch) /srv/jail/lib64 /srv/jail/proc /srv/jail/sys /srv/jail/dev /srv/jail/run /srv/jail/etc /srv/jail/tmp && "
             "cp -L $(ldd /bin/sleep | grep -o '/lib/[^ ]*') /srv/jail/lib/$(gcc -print-multiarch)/ && cp -L /lib64/ld-linux-x86-64.so.2 /srv/jail/lib64/")
    sleeper(web, "/srv/jail/bin/inmate")
    web.service("jail", "/bin/inmate 1000", "TriremeLabels=app=jail", extra="RootDirectory=/srv/jail\nMountAPIVFS=yes")
    found = wait_tags(web, "jail.service", {"exe": ["/bin/inmate"], "exe.sha256": [sha256(web, "/srv/jail/bin/inmate")]})
    triplet = web.must("gcc -print-multiarch").strip()
    holds("its C library is that below its root: %s" % found.get("lib"),
          web.wait("triremectl show jail.service --json=short | grep -q '@sys:lib=/lib/%s/libc.so.6'" % triplet))
    web.remove("jail.service")


@case
def users_and_groups_are_those_that_took_effect(web):
    web.must("getent group lab-extra || groupadd lab-extra; id lab-user || useradd lab-user")
    web.service("as-user", "/bin/sleep 1000", "TriremeLabels=app=u", extra="User=lab-user\nSupplementaryGroups=lab-extra")
    wait_tags(web, "as-user.service", {"user": ["lab-user"], "uid": [web.must("id -u lab-user").strip()], "group": ["lab-user"],
                                       "groups": ["lab-extra", "lab-user"]})
    web.service("dynamic", "/bin/sleep 1000", "TriremeLabels=app=u", extra="DynamicUser=yes\nType=exec")
    wait_tags(web, "dynamic.service", {"user": ["dynamic"], "group": ["dynamic"], "uid": [web.must("stat -c %u /proc/$(systemctl show -P MainPID dynamic)").strip()]})
    web.remove("as-user.service", "dynamic.service")


@case
def a_binary_replaced_on_disk_counts_from_the_next_start(web):
    sleeper(web, "/usr/local/bin/replaced")
    old = sha256(web, "/usr/local/bin/replaced")
    web.service("replaced", "/usr/local/bin/replaced 1000", "TriremeLabels=app=replaced")
    wait_tags(web, "replaced.service", {"exe": ["/usr/local/bin/replaced"], "exe.sha256": [old]})
    sleeper(web, "/usr/local/bin/replaced.new")
    web.must("mv /usr/local/bin/replaced.new /usr/local/bin/replaced && systemctl daemon-reload && sleep 1")
    wait_tags(web, "replaced.service", {"exe": ["/usr/local/bin/replaced"], "exe.sha256": [old]})
    web.must("systemctl restart replaced")
    wait_tags(web, "replaced.service", {"exe.sha256": [sha256(web, "/usr/local/bin/replaced")]})
    web.remove("replaced.service")


@case
def a_200_MB_binary_does_not_delay_the_start(web, report):
    sleeper(web, "/usr/local/bin/huge", 200 * 1000 * 1000)
    web.service("small", "/bin/sleep 1000", "TriremeLabels=app=small")
    small = web.run("systemctl restart small", check=True).seconds
    web.service("huge", "/usr/local/bin/huge 1000", "TriremeLabels=app=huge", start=False)
    huge = web.run("systemctl start huge", check=True).seconds
    report.notes.append("%.0f ms, %.0f ms with 200 MB" % (small * 1000, huge * 1000))
    holds("the start took %.2f s instead of %.2f s" % (huge, small), huge < small + 0.25)
    wait_tags(web, "huge.service", {"exe.sha256": [sha256(web, "/usr/local/bin/huge")]}, 15)
    web.remove("small.service", "huge.service")


@case
def a_file_that_others_can_change_has_tags_only_when_it_runs(web):
    web.must("mkdir -p /srv/loose && chmod 777 /srv/loose")
    sleeper(web, "/srv/loose/program")
    web.service("loose", "/bin/sh -c 'exit 0'", "TriremeLabels=app=loose", extra="Type=oneshot\nRemainAfterExit=yes", start=False)
    web.service("loose", "/srv/loose/program 1000", "TriremeLabels=app=loose", start=False)
    web.must("systemctl start loose")
    wait_tags(web, "loose.service", {"exe": ["/srv/loose/program"], "exe.sha256": [sha256(web, "/srv/loose/program")]})
    web.remove("loose.service")


@case
def a_unit_cannot_pass_for_another_program(web):
    """Another program's path by a mount of its own, its name, its arguments, or its process as MAINPID=."""
    nginx = sha256(web, "/usr/sbin/nginx")
    sleeper(web, "/usr/local/bin/fake")
    web.service("masked", "/usr/bin/unshare -m /bin/sh -c 'mount --bind /usr/local/bin/fake /usr/sbin/nginx && exec -a nginx /usr/sbin/nginx 1000'".replace("exec -a nginx ", "exec "),
                "TriremeLabels=app=liar")
    found = wait_tags(web, "masked.service", {"exe.sha256": [sha256(web, "/usr/local/bin/fake")]})
    holds("the path that it shows is not taken for the host's: %s" % found.get("exe"), "exe" not in found)
    web.write("/usr/local/bin/named", "#!/usr/bin/python3\nimport ctypes, os, time\nctypes.CDLL(None).prctl(15, b'nginx')\nos.environ['TRIREME_UNIT'] = 'nginx.service'\ntime.sleep(1000)\n", 0o755)
    web.service("named", "@/usr/local/bin/named nginx", "TriremeLabels=app=liar", extra="SyslogIdentifier=nginx\nEnvironment=TRIREME_UNIT=nginx.service")
    found = wait_tags(web, "named.service", {"unit": ["named.service"]})
    holds("nor its name: %s" % found, nginx not in found.get("exe.sha256", []))
    web.service("pid", "/bin/sh -c 'systemd-notify --ready MAINPID=$(systemctl show -P MainPID nginx); exec sleep 1000'", "TriremeLabels=app=liar", extra="Type=notify\nNotifyAccess=all")
    time.sleep(1)
    found = tags(web, "pid.service")
    holds("nor a foreign process: %s" % found, nginx not in found.get("exe.sha256", []) and "/usr/sbin/nginx" not in found.get("exe", []))
    web.remove("masked.service", "named.service", "pid.service")
    web.must("systemctl restart nginx")  # PID 1 believed root's word, and stopped the process with the unit that it was said to be of


@case
def a_socket_unit_is_who_its_service_is(web):
    web.write("/etc/systemd/system/tagged.socket", "[Socket]\nListenStream=7450\n")
    web.must("id lab-user || useradd lab-user")
    web.service("tagged", "/opt/lab/probe activated", "TriremeLabels=app=tagged", extra="User=lab-user", start=False)
    web.must("systemctl start tagged.socket")
    wait_tags(web, "tagged.socket", {"unit": ["tagged.service", "tagged.socket"], "exe": ["/opt/lab/probe"], "exe.sha256": [sha256(web, "/opt/lab/probe")], "user": ["lab-user"]})
    web.remove("tagged.socket", "tagged.service")


@case
def a_worker_that_nobody_asks_ends_and_the_next_question_starts_it(web):
    hash_is_found(web, "sooner")
    holds("it is there", web.run("pgrep -x trireme-inspect").status == 0)
    holds("and not any more", web.wait("! pgrep -x trireme-inspect", 60))
    hash_is_found(web, "later")


@case
def a_worker_that_dies_costs_nothing_but_a_moment(web):
    hash_is_found(web, "sooner")
    web.must("systemctl kill -s KILL trireme-inspect.service")
    hash_is_found(web, "later")


@case
def a_command_that_triremectl_runs_has_the_tags_of_what_it_executes(web):
    web.must("triremectl run --label=app=run -- sh -c 'sleep 0.3; exec sleep 20' >/dev/null 2>&1 </dev/null & sleep 1")
    unit = next(row["unit"] for row in web.json("triremectl list --json=short") if row["unit"].startswith("trireme-run-"))
    wait_tags(web, unit, {"exe": [web.must("realpath /usr/bin/sleep").strip()], "exe.sha256": [sha256(web, "/usr/bin/sleep")], "user": ["root"]})
    web.must("systemctl stop " + unit)


@case
def members_of_a_group_do_not_reach_what_others_reach(web, peer):
    """The recipe of docs/recipes.md: what a person runs carries the person's groups, and goes out by a gate only."""
    for name, options in (("lab-member", "-G lab-admins"), ("lab-guest", "")):
        peer.must("getent group lab-admins || groupadd lab-admins; id %s || useradd -m %s %s" % (name, options, name))
    web.service("gate", "/opt/lab/probe serve 7300 gate", "TriremeLabels=app=gate\nTriremeAccept=app=person @sys:groups!=lab-admins")
    web.service("stranger", "/opt/lab/probe serve 7301 stranger")
    peer.write("/etc/trireme/trireme.conf.d/50-groups.conf", "[Trireme]\nAnnounceTags=labels unit user groups\n")
    peer.write("/etc/systemd/user/lab-probe@.service", "[Service]\nType=oneshot\nExecStart=/opt/lab/probe tcp %s %%i\nStandardOutput=truncate:%%t/probe-%%i\n" % web.v4)
    peer.write("/etc/systemd/system/user-.slice.d/50-person.conf", "[X-Trireme]\nTriremeLabels=app=person\nTriremeConnect=app=gate\n")
    peer.must("systemctl daemon-reload; busctl call org.trireme /org/trireme org.trireme.Manager Reload")
    try:
        for name, reaches in (("lab-guest", True), ("lab-member", False)):
            uid = peer.must("id -u " + name).strip()
            peer.must("systemctl start user@%s.service" % uid)
            wait_tags(peer, "user-%s.slice" % uid, {"user": [name], "uid": [uid]})
            for port, allowed in ((7300, reaches), (7301, False)):
                peer.run("XDG_RUNTIME_DIR=/run/user/%s runuser -u %s -- systemctl --user start lab-probe@%d" % (uid, name, port), timeout=60)
                out = peer.must("cat /run/user/%s/probe-%d" % (uid, port))
                contains("what the probe says", out, '"result"')
                holds("%s %s port %d: %s" % (name, "reaches" if allowed else "does not reach", port, out), ('"connected"' in out) == allowed)
    finally:
        peer.must("rm /etc/systemd/system/user-.slice.d/50-person.conf /etc/trireme/trireme.conf.d/50-groups.conf; systemctl daemon-reload")
        web.remove("gate.service", "stranger.service")


def plugin_tags(machine, unit, name):
    return sorted("%s=%s" % (key.split(":", 1)[1], value) for key, value, _ in all_tags(machine, unit) if key.startswith("@%s:" % name))


def wait_plugin_tags(machine, unit, name, wanted, seconds=15.0):
    end = time.monotonic() + seconds
    while plugin_tags(machine, unit, name) != sorted(wanted):
        holds("%s has the tags %s of %s; it has %s" % (unit, wanted, name, plugin_tags(machine, unit, name)), time.monotonic() < end)
        time.sleep(0.2)


def plugin(machine, name, script):
    machine.write("/etc/trireme/metadata.d/" + name, "#!/bin/sh\n" + script, 0o755)


def reload(machine):
    machine.must("busctl call org.trireme /org/trireme org.trireme.Manager Reload")


@case
def a_plug_in_adds_tags_to_each_unit(web):
    plugin(web, "inventory", 'echo role=db; echo "unit=$TRIREME_UNIT"; echo "pid=$TRIREME_MAIN_PID"; echo "cgroup=$TRIREME_CGROUP"\n')
    reload(web)
    pid = web.must("systemctl show -P MainPID nginx").strip()
    wait_plugin_tags(web, "nginx.service", "inventory", ["cgroup=/system.slice/nginx.service", "pid=" + pid, "role=db", "unit=nginx.service"])
    web.service("rack", "/opt/lab/probe serve 7400 rack", "TriremeLabels=app=rack\nTriremeAccept=@inventory:role=db app=client")
    web.service("client", "/bin/sh -c 'sleep 3; exec /opt/lab/probe tcp 127.0.0.1 7400'", "TriremeLabels=app=client\nTriremeConnect=app=rack",
                extra="Type=exec", start=False)
    web.must("systemctl start client")
    holds("the client was let in", web.wait("journalctl -b -o cat UNIT=client.service _SYSTEMD_UNIT=client.service | grep -q connected || "
                                            "journalctl -b -o cat _SYSTEMD_UNIT=client.service | grep -q '\"connected\"'", 20))
    web.must("rm /etc/trireme/metadata.d/inventory")
    reload(web)
    wait_plugin_tags(web, "nginx.service", "inventory", [])
    web.remove("rack.service", "client.service")


@case
def a_plug_in_that_fails_hangs_or_prints_rubbish_costs_its_own_tags_only(web):
    plugin(web, "good", "echo k=v\n")
    plugin(web, "failing", "echo k=v; exit 1\n")
    plugin(web, "hanging", "echo k=v; sleep 1000\n")
    plugin(web, "rubbish", "echo k=v; echo rubbish\n")
    plugin(web, "flood", "yes k=v\n")
    reload(web)
    wait_plugin_tags(web, "nginx.service", "good", ["k=v"])
    holds("each is named in the journal", web.wait("for p in failing hanging rubbish flood; do journalctl -b -o cat -u trireme | grep -q \"Plug-in $p tells nothing of nginx\" "
                                                   "|| exit 1; done", 20))
    for name in ("failing", "hanging", "rubbish", "flood"):
        same("tags of " + name, plugin_tags(web, "nginx.service", name), [])
    same("tags of good", plugin_tags(web, "nginx.service", "good"), ["k=v"])
    faults = web.json("triremectl show nginx.service --json=short")["plugin_faults"]
    same("the plug-ins that show names", sorted(fault.split(":")[0] for fault in faults), ["failing", "flood", "hanging", "rubbish"])
    contains("triremectl status nginx.service", web.must("triremectl status nginx.service"), "Plug-ins: ", "rubbish: a line is not KEY=VALUE", "flood: it prints too much",
             "hanging: it failed or did not end in time")
    for name, status in (("good", 0), ("failing", 3), ("hanging", 3), ("rubbish", 3), ("absent", 3)):
        web.service("picky", "/bin/sleep 1000", "TriremeLabels=app=web\nTriremeAccept=app=web @%s:k!=bad" % name)
        result = web.run("triremectl explain --from=nginx.service --to=picky.service --port=80/tcp")
        same("exit status of explain with a rule about what %s does not say: %s" % (name, result.out), result.status, status)
    web.must("rm -r /etc/trireme/metadata.d")
    reload(web)
    holds("a plug-in that is gone is no fault", web.wait("! triremectl status nginx.service | grep -q Plug-ins"))
    web.remove("picky.service")


@case
def a_plug_in_has_no_rights_no_network_and_nowhere_to_write(web):
    plugin(web, "caged", 'echo "uid=$(id -u)"; echo "links=$(sed -n "s/:.*//p" /proc/net/dev | tr -d " " | tr "\\n" " ")"; touch /etc/x 2>/dev/null && echo wrote=yes; '
                         'grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status && echo caps=none; [ -r /etc/credstore/trireme.psk ] && echo key=yes; true\n')
    reload(web)
    end = time.monotonic() + 15
    while not plugin_tags(web, "nginx.service", "caged"):
        holds("the plug-in has run", time.monotonic() < end)
        time.sleep(0.2)
    found = dict(tag.split("=", 1) for tag in plugin_tags(web, "nginx.service", "caged"))
    holds("it is nobody in particular: %s" % found, int(found["uid"]) >= 61184 and found["caps"] == "none" and "wrote" not in found and "key" not in found)
    holds("it sees no interface of the host: %s" % found, "host0" not in found["links"])
    web.must("rm -r /etc/trireme/metadata.d")
    reload(web)


@case
def a_plug_in_that_others_may_write_to_is_not_run(web):
    plugin(web, "loose", "echo k=v\n")
    web.must("chmod 777 /etc/trireme/metadata.d/loose")
    reload(web)
    holds("it is named in the journal", web.wait("journalctl -b -o cat -u trireme-helper | grep -q 'metadata.d/loose is not used'"))
    time.sleep(1)
    same("its tags", plugin_tags(web, "nginx.service", "loose"), [])
    web.must("rm -r /etc/trireme/metadata.d")
    reload(web)


@case
def dmi_tells_of_the_machine_once_for_all_units(web):
    wanted = [line for line in web.must("/usr/lib/trireme/metadata.d/dmi").splitlines() if not line.startswith("#")]
    wait_plugin_tags(web, "nginx.service", "dmi", wanted)
    runs = int(web.must("journalctl -b -o cat -u trireme-helper | grep -c 'asks: run-plugin' || true"))
    web.service("second", "/bin/sleep 1000", "TriremeLabels=app=second")
    wait_plugin_tags(web, "second.service", "dmi", wanted)
    same("runs of plug-ins for another unit", int(web.must("journalctl -b -o cat -u trireme-helper | grep -c 'asks: run-plugin' || true")) - runs, 0)
    web.remove("second.service")
