# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person, a script and the bus see: triremectl, busctl, the journal."""

import json
import time

from expect import contains, curl, curl_fails, curl_succeeds, denied, holds, same
from suite import case

CALL = "busctl call org.trireme /org/trireme org.trireme.Manager "


def explain(machine, source, target, *more):
    return machine.run("triremectl explain --from='%s' --to='%s' %s" % (source, target, " ".join(more)))


@case
def busctl_lists_calls_and_introspects(web):
    contains("ListUnits", web.must(CALL + "ListUnits"), "nginx.service", "app=web", "enforcing")
    path = web.must(CALL + "GetUnit s nginx.service").split()[1].strip('"')
    tree = web.must("busctl introspect org.trireme /org/trireme")
    contains("introspection of the manager", tree, "ListUnits", "GetUnit", "Explain", "ListFlows", "Reload", "Disarm", "SetMode",
             "UnitAttached", "UnitDetached", "FlowDenied")
    contains("introspection of the unit", web.must("busctl introspect org.trireme " + path), "Labels", "State", "Mode", "ControlGroupId")
    contains("the property Labels", web.must("busctl get-property org.trireme %s org.trireme.Unit Labels" % path), "app=web")
    contains("busctl tree", web.must("busctl tree org.trireme"), path)
    holds("an unknown unit is an error", web.run(CALL + "GetUnit s no-such.service").status != 0)


@case
def list_status_show_and_flows_print_a_table_and_JSON(web, plain):
    curl(plain, web.v4)
    for verb in ("list", "status", "status nginx.service", "show nginx.service", "flows"):
        contains("triremectl " + verb, web.must("triremectl %s --no-pager" % verb), "nginx.service")
        web.json("triremectl %s --json=short" % verb)
        web.json("triremectl %s --json=pretty" % verb)
    row = next(row for row in web.json("triremectl list --json=short") if row["unit"] == "nginx.service")
    holds("keys of list: %s" % row, set(row) >= {"unit", "mode", "labels", "state", "cgroup"})
    same("cgroup", row["cgroup"], "/system.slice/nginx.service")
    holds("its program is known", web.wait("triremectl show nginx.service | grep -q '@sys:exe /usr/sbin/nginx main process'"))
    shown = web.json("triremectl show nginx.service --json=short")
    origins = dict(zip(shown["tags"], shown["tag_origins"]))
    same("where tags come from", (len(shown["tag_origins"]), origins["app=web"], origins["@sys:exe=/usr/sbin/nginx"]), (len(shown["tags"]), "label", "main process"))
    holds("--no-legend prints one line less at least",
          len(web.must("triremectl list --no-legend").splitlines()) < len(web.must("triremectl list").splitlines()))
    holds("an unknown unit is an error", web.run("triremectl show no-such.service").status not in (0, None))


@case
def a_denial_stands_in_the_flows_with_who_what_and_why(web, plain):
    curl_fails(plain, web.v4)
    holds("a record", web.wait("triremectl flows --denied --json=short | grep -q '%s'" % plain.v4))
    flow = [row for row in web.json("triremectl flows --denied --json=short") if row["source"].startswith(plain.v4)][-1]
    holds("its keys: %s" % flow, set(flow) >= {"time", "verdict", "reason", "rule", "source", "destination", "port", "protocol", "local_unit",
                                              "peer_labels"})
    same("verdict", flow["verdict"], "reject")
    same("reason", flow["reason"], "no-identity")
    same("local unit", flow["local_unit"], "nginx.service")
    same("port and protocol", (flow["port"], flow["protocol"]), (80, "tcp"))
    same("destination", flow["destination"], web.v4)


@case
def a_denied_peer_with_an_identity_is_recorded_with_its_labels(web, peer):
    denied("app=other", peer.probe("tcp", web.v4, 80, label="app=other"))
    holds("a record with the labels", web.wait("triremectl flows --denied --json=short | grep -q 'app=other'"))
    flow = [row for row in web.json("triremectl flows --denied --json=short") if "app=other" in str(row["peer_labels"])][-1]
    same("reason", flow["reason"], "no-rule")
    holds("the journal of nginx names the labels",
          web.wait("journalctl -b --no-pager -u nginx | grep -q 'app=other'"))


@case
def an_accepted_connection_stands_in_the_flows(web, peer):
    curl_succeeds(peer, web.v4, "app=web")
    holds("a record", web.wait("triremectl flows --json=short | tr '}' '\\n' | grep '\"accept\"' | grep -q '%s'" % peer.v4))
    flow = [row for row in web.json("triremectl flows --json=short") if row["verdict"] == "accept" and row["source"].startswith(peer.v4)][-1]
    same("reason", flow["reason"], "same-label")
    contains("labels of the peer", str(flow["peer_labels"]), "app=web")


@case
def the_journal_entry_is_structured_and_has_a_catalog_text(web, plain):
    curl_fails(plain, web.v4)
    out = web.must("journalctl -b -u nginx -o json --no-pager -n 50")
    entries = [json.loads(line) for line in out.splitlines()]
    ours = [entry for entry in entries if "no-identity" in str(entry.get("MESSAGE")) and plain.v4 in str(entry.get("MESSAGE"))]
    holds("an entry that names the stranger and the reason", ours)
    same("OBJECT_SYSTEMD_UNIT", ours[-1].get("OBJECT_SYSTEMD_UNIT"), "nginx.service")
    catalog = web.run("journalctl --dump-catalog %s" % ours[-1].get("MESSAGE_ID", "none"))
    holds("a catalog text for its MESSAGE_ID: %s" % catalog, catalog.status == 0 and len(catalog.out) > 100)


@case
def a_flood_of_denials_does_not_fill_the_journal(web, plain):
    before = int(web.must("journalctl -b -u nginx --no-pager -o cat | wc -l"))
    plain.run("python3 -c \"import socket\nfor i in range(2000):\n s=socket.socket(); s.setblocking(0)\n try: s.connect(('%s',80))\n "
              "except OSError: pass\n s.close()\"" % web.v4, timeout=60)
    web.run("sleep 1")
    written = int(web.must("journalctl -b -u nginx --no-pager -o cat | wc -l")) - before
    holds("2000 denials wrote %d entries" % written, 0 < written < 200)


@case
def explain_gives_the_answer_beforehand_that_the_connection_gets(web):
    web.service("other", "/bin/sleep 1000", "TriremeLabels=app=other")
    for source, allowed in (("app=web", True), ("app=other", False), ("app=web env=x", True), ("other.service", False)):
        result = explain(web, source, "nginx.service", "--port=80/tcp")
        same("exit status of explain from " + source, result.status, 0 if allowed else 3)
        answer = json.loads(explain(web, source, "nginx.service", "--port=80/tcp", "--json=short").out or "{}")
        same("allowed", answer.get("allowed"), allowed)
        holds("a reason: %s" % answer, answer["reason"] in (("same-label", "rule") if allowed else ("no-rule", "rule")))
    curl_succeeds(web, "127.0.0.1", "app=web")
    curl_fails(web, "127.0.0.1", "app=other")
    same("an unknown unit", explain(web, "no-such.service", "nginx.service").status, 1)
    web.remove("other.service")


@case
def run_passes_output_status_signals_directory_and_user_through(web):
    run = "triremectl run --label=app=web -- "
    same("stdout", web.run(run + "echo hello").out, "hello\n")
    same("stderr", web.run(run + "sh -c 'echo oops >&2'").err.strip(), "oops")
    same("exit status", web.run(run + "sh -c 'exit 7'").status, 7)
    same("a signal", web.run(run + "sh -c 'kill -TERM $$'").status, 128 + 15)
    same("working directory", web.run("cd /usr/share && %s pwd" % run).out, "/usr/share\n")
    same("stdin", web.run("echo through | %s cat" % run).out, "through\n")
    same("environment", web.run("LAB=1 %s printenv LAB" % run).out, "1\n")
    holds("a command that does not exist fails", web.run(run + "/no/such").status not in (0, 1))
    for bad in ("--label=app", "--label==web", "--label=@sys:unit=x"):
        result = web.run("triremectl run %s -- true" % bad)
        holds("%s is refused with a message: %s" % (bad, result), result.status not in (0,) and result.err.strip())


@case
def run_is_attached_before_the_first_instruction(web):
    web.service("door", "/opt/lab/probe serve 7800 door")
    for _ in range(10):
        denied("run to a stranger", web.probe("tcp", "127.0.0.1", 7800, label="app=web"))
    web.remove("door.service")


@case
def run_waits_for_a_PID_1_that_executes_itself_anew(web):
    web.must("for i in 1 2 3 4 5; do systemctl daemon-reexec && triremectl run --label=app=web -- true || exit; done", timeout=60)


@case
def run_leaves_no_unit_and_no_element(web):
    group = web.must("triremectl run --label=app=web -- cat /proc/self/cgroup").splitlines()[-1]
    holds("the command ran in a unit of its own: " + group, group.endswith(".scope"))
    holds("no scope is left", web.wait("! systemctl list-units --all --plain --no-legend '*.scope' | grep -q '%s'" % group.split("/")[-1]))
    holds("no listed unit is left", web.wait("! triremectl list --json=short | grep -q '\\.scope'"))


@case
def an_unprivileged_user_may_neither_run_nor_read_nor_disarm(web):
    web.must("id lab >/dev/null 2>&1 || useradd -m lab")
    for command in ("triremectl run --label=app=web -- true", "triremectl list", "triremectl flows", "triremectl disarm",
                    CALL + "ListUnits", CALL + "Disarm t 1000000", CALL + "SetMode ss nginx.service off", CALL + "Reload"):
        result = web.run("setpriv --reuid=lab --regid=lab --clear-groups %s" % command)
        holds("'%s' is refused to a user: %s" % (command, result), result.status != 0)
    curl_fails(web, "127.0.0.1")


@case
def label_replaces_the_labels_it_gave_a_unit_before(web):
    web.service("named", "/opt/lab/probe serve 7801 named", "TriremeLabels=tier=front")
    for label, former in (("app=one", "app=two"), ("app=two", "app=one")):
        web.must("triremectl label named.service " + label)
        holds("the label %s is in force" % label, web.wait("triremectl status named.service | grep -q " + label))
        denied("the label " + former, web.probe("tcp", "127.0.0.1", 7801, label=former))
        same("the label " + label, web.probe("tcp", "127.0.0.1", 7801, label=label)["result"], "connected")
    web.remove("named.service")


@case
def disarm_lets_everything_pass_until_its_time_is_over(web, plain):
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    web.must("triremectl disarm --for=3s")
    try:
        until = int(web.must("busctl get-property org.trireme /org/trireme org.trireme.Manager DisarmedUntil").split()[1]) / 1e6
        holds("it ends three seconds after the call, not later: %.3f after %.3f" % (until, began), began + 3 <= until <= time.clock_gettime(time.CLOCK_BOOTTIME) + 3)
        same("a stranger while disarmed", plain.probe("tcp", web.v4, 80)["result"], "connected")
        same("the property Armed", web.must("busctl get-property org.trireme /org/trireme org.trireme.Manager Armed"), "b false\n")
        holds("it is armed again by itself", web.wait("busctl get-property org.trireme /org/trireme org.trireme.Manager Armed | grep -q true"))
        holds("not before its time", time.clock_gettime(time.CLOCK_BOOTTIME) >= until)
        denied("a stranger afterwards", plain.probe("tcp", web.v4, 80))
    finally:
        web.run(CALL + "Arm")


@case
def SetMode_overrides_until_it_is_taken_back(web, plain):
    web.must(CALL + "SetMode ss nginx.service observe")
    try:
        same("a stranger while observed", plain.probe("tcp", web.v4, 80)["result"], "connected")
    finally:
        web.must(CALL + "SetMode ss nginx.service ''")
    denied("a stranger afterwards", plain.probe("tcp", web.v4, 80))


@case
def the_manual_pages_are_there(web):
    for page in ("man1/triremectl.1", "man5/trireme.unit.5", "man5/org.trireme.5", "man8/trireme.service.8", "man8/trireme-generator.8"):
        holds(page, web.run("ls /usr/share/man/%s*" % page).status == 0)
