# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured of the product alone: denials, attaching, first contact, memory, and how all of it grows with size."""

import concurrent.futures
import json
import statistics
import time

from configurations import CONFIGURATIONS
from host import Broken, say
from machine import Failure
from rounds import run_rounds
from testbed import HOLD_PORT, LABELLED_PORT, PORT, load

PROCESSES = ["trireme.service", "trireme-helper.service", "trireme-datapath.service"]
WORKERS = ["trireme-inspect.service", "trireme-verify.service", "trireme-credentials.service"]  # there when they are needed
CLOSED_PORT = 9009
COME_UP_SECONDS = 1      # what a restarted enforcer has yet to do when it is ready, the start of trireme-verify for one, is nothing that two nodes have to wait for
FEW_UNITS = 10
GROWTH_ROUNDS = 8
SIZES = {"rules": [10, 10000, 100000], "flows": [1000, 100000], "units": [10, 1000, 10000]}
QUICK_SIZES = {"units": [10], "rules": [10], "flows": [10]}
COMPARED = ("plain", "ours", "local-plain", "local-ours")
RELOAD = "busctl call org.trireme /org/trireme org.trireme.Manager Reload"
POLICY = "/etc/trireme/policy.d/bench.json"
DROP_IN = "/etc/systemd/system/bench-server-labelled.service.d/50-rules.conf"


def percentiles(values):
    values = sorted(values)
    return {"n": len(values), "p50": statistics.median(values), "p99": values[len(values) - 1 - len(values) // 100]}


def denials(bed, milliseconds):
    """How soon a client knows that it is denied, beside how soon it knows that a port is closed."""
    words = ["connect", "--address=127.0.0.1", "--threads=1", "--in-flight=1", "--ms=%d" % milliseconds]
    paced, denied = ["--pause-us=25000"], ["--port=%d" % LABELLED_PORT]  # 40 a second, each of which gets a record
    results = {
        "closed port": load(bed.plain[0], "bench-client.service", words + paced + ["--port=%d" % CLOSED_PORT]),
        "denied": load(bed.ours[0], "bench-client-other.service", words + paced + denied),
        "denied, flood": load(bed.ours[0], "bench-client-other.service", words + denied),
    }
    for name, report in results.items():
        if report["finished"] or not report["denied"]:
            raise Failure("%s: %s" % (name, report))
    return {name: dict(report["denied_us"], n=report["denied"]) for name, report in results.items()}


def attach(bed, count):
    times = json.loads(bed.ours[0].must("/opt/bench/start-times %d" % count, timeout=60 + count))
    return {name: percentiles(values) for name, values in times.items()}


def first_connection(machines, client, port):
    """What the first connection of a client that has just started takes longer than its next ones, in microseconds."""
    report = load(machines[0], client, ["connect", "--address=%s" % machines[1].v4, "--port=%d" % port, "--threads=1", "--in-flight=1", "--warmup-ms=0", "--ms=1000"])
    if not report["finished"]:
        raise Failure("no first connection within %.1f s" % report["seconds"])
    return report["very_first_us"] - report["first_byte_us"]["p50"]


def first_contact(bed, count):
    """Of two nodes that do not know each other, as both enforcers were restarted."""
    added = []
    for _ in range(count):
        for machine in bed.ours:
            machine.must("systemctl restart trireme.service", timeout=60)
        time.sleep(COME_UP_SECONDS)
        added.append(first_connection(bed.ours, "bench-client-labelled.service", LABELLED_PORT))
    return percentiles(added)


def later_contact(bed, count):
    """Of two nodes that know each other, from a unit that is new: its token has yet to be judged, and whether it may connect."""
    return percentiles([first_connection(bed.ours, "bench-client-labelled.service", LABELLED_PORT) for _ in range(count)])


def first_connection_without_us(bed, count):
    return percentiles([first_connection(bed.plain, "bench-client.service", PORT) for _ in range(count)])


def first_contact_of_certificates(bed, count):
    """The same with a certificate for each node in place of the shared key."""
    names = [machine.must("hostname").strip() for machine in bed.ours]
    authority = bed.ours[0]  # as long as it is no node by certificate itself
    authority.must("rm -rf /root/ca && triremectl ca init /root/ca && " +
                   " && ".join("triremectl ca issue /root/ca %s --label=app=bench" % name for name in names))
    files = {name: {part: authority.must("cat /root/ca/%s/trireme.%s" % (name, part)) for part in ("key", "cert", "ca")} for name in names}
    authority.must("rm -r /root/ca")
    try:
        for machine, name in zip(bed.ours, names):
            for part, text in files[name].items():
                machine.write("/etc/credstore/trireme." + part, text, mode=0o600)
        return first_contact(bed, count)
    finally:
        for machine in bed.ours:
            machine.must("rm -f /etc/credstore/trireme.cert /etc/credstore/trireme.key /etc/credstore/trireme.ca && systemctl restart trireme.service", timeout=60)


def memory(machine):
    """KiB of the product's processes: resident, and resident with shared pages divided among those that share them."""
    total = {"rss": 0, "pss": 0}
    for unit in PROCESSES + WORKERS:
        pid = machine.must("systemctl show -P MainPID %s" % unit).strip()
        if pid == "0" and unit in WORKERS:
            continue
        if pid == "0":
            raise Failure("%s does not run" % unit)
        for line in machine.must("cat /proc/%s/smaps_rollup" % pid).splitlines():
            key, _, value = line.partition(":")
            if key.lower() in total:
                total[key.lower()] += int(value.split()[0])
    return total


def on_both(bed, command, timeout):
    """On both machines at the same time."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(machine.must, command, timeout=timeout) for machine in bed.ours]:
            done.result()


def add_units(bed, number):
    """Slices, because they cost no process; a hundred below another, because PID 1 looks at all that a slice holds whenever one of them starts. Ten share a label."""
    started = time.monotonic()
    on_both(bed, "cd /etc/systemd/system && for i in $(seq %d); do"
            " printf '[X-Trireme]\\nTriremeLabels=app=group%%d\\n' $((i / 10)) >bench$((i / 100))-$i.slice; done && systemctl daemon-reload &&"
            "ls | grep '^bench[0-9].*[.]slice$' | xargs -n 100 systemctl start" % number, timeout=60 + number // 5)
    return {"seconds": time.monotonic() - started}


def remove_units(bed):
    on_both(bed, "cd /etc/systemd/system && systemctl stop 'bench[0-9]*.slice' && find . -maxdepth 1 -name 'bench[0-9]*.slice' -delete &&"
            "systemctl daemon-reload", timeout=600)


def rule(key, value):
    return {"Clause": [{"Key": "@usr:" + key, "Operator": "=", "Value": [value]}], "Policy": {"Action": 1, "PolicyID": "1", "ServiceID": ""}}


def add_rules(bed, number):
    """A named policy of the server: a unit's own settings hold a tenth of that at most."""
    bench = rule("app", "bench")
    policy = {"Bench": {"ExposureRules": [bench] + [rule("key%d" % i, "value%d" % i) for i in range(1, number)], "Dependencies": [bench]}}
    for machine in bed.ours:
        machine.write(POLICY, json.dumps(policy))
        machine.write(DROP_IN, "[X-Trireme]\nTriremePolicy=Bench\n")
        machine.must(RELOAD + " && systemctl daemon-reload && systemctl restart bench-server-labelled.service", timeout=120)
    return {}


def remove_rules(bed):
    for machine in bed.ours:
        machine.must("rm -fr %s %s && systemctl daemon-reload && systemctl restart bench-server-labelled.service && %s"
                     % (DROP_IN.rsplit("/", 1)[0], POLICY, RELOAD), timeout=120)


def add_flows(bed, number):
    client = bed.ours[0]
    bed.ours[1].must("systemctl start bench-hold-server-labelled.service", timeout=60)
    client.must("printf 'ARGS=hold --address=10.77.%d.1 --spread=16 --processes=16 --port=%d --count=%d\\n' >/run/bench/hold-args && rm -f /run/bench/hold-out &&"
                "systemctl restart bench-hold-labelled.service" % (bed.ours[1].number, HOLD_PORT, number), timeout=60)
    if not client.wait("grep -q held /run/bench/hold-out", 60 + number // 1000):
        raise Failure("%d connections were not held: %s" % (number, client.run("cat /run/bench/hold-err").out))
    return {}


def remove_flows(bed):
    bed.ours[0].must("systemctl stop bench-hold-labelled.service")
    bed.ours[1].must("systemctl stop bench-hold-server-labelled.service")


GROWTH = {"units": (add_units, remove_units), "rules": (add_rules, remove_rules), "flows": (add_flows, remove_flows)}


def at_size(bed, what, number, milliseconds, starts, is_last):
    """What is the last is left: nobody waits for the removal of 10,000 units from machines that end anyhow."""
    add, remove = GROWTH[what]
    compared = [c for c in CONFIGURATIONS if c.name in COMPARED]
    failed = {}
    try:
        before = memory(bed.ours[0])
        result = add(bed, number)
        result["memory before"], result["memory"] = before, memory(bed.ours[0])
        result["rounds"] = run_rounds(bed, compared, GROWTH_ROUNDS, milliseconds, time.monotonic() + 300, failed, bulk=False, forget=what != "flows")
        if what == "units":
            result["attach"] = attach(bed, starts)
        if failed:
            result["failed"] = failed
        return result
    finally:
        if not is_last:
            remove(bed)


def fresh_memory(bed):
    """With few units, before anything was asked of them; workers that nobody asks any more are gone."""
    add_units(bed, FEW_UNITS)
    try:
        if not bed.ours[0].wait("! pgrep -x trireme-inspect", 60):
            raise Failure("trireme-inspect does not end")
        return memory(bed.ours[0])
    finally:
        remove_units(bed)


def parse_sizes(text, quick):
    """units=10,1000;flows=10 -> {"units": [10, 1000], "flows": [10]}"""
    if not text:
        return QUICK_SIZES if quick else SIZES
    sizes = {what: [int(number) for number in numbers.split(",")] for what, numbers in (part.split("=") for part in text.split(";"))}
    if set(sizes) - set(GROWTH):
        raise SystemExit("--scale knows " + ", ".join(GROWTH))
    return sizes


def attempt(bed, skipped, name, function, *words):
    try:
        say("measuring", name)
        return function(bed, *words)
    except (Failure, Broken, KeyError) as failure:
        skipped[name] = str(failure).strip()[:600]
        say("%s failed: %s" % (name, failure))
        return None


def run_singles(bed, arguments, results, skipped, deadline, save):
    """Into results; save() after each, so that a run that is ended has what it measured."""
    results["scale"] = {}
    starts = 10 if arguments.quick else 100
    for name, function, words in (("memory", lambda _: memory(bed.ours[0]), ()), ("denials", denials, (arguments.ms,)), ("attach", attach, (starts,)),
                                  ("first connection, plain", first_connection_without_us, (starts // 5,)),
                                  ("first contact", first_contact, (starts // 5,)), ("later contact", later_contact, (starts // 5,)),
                                  ("first contact, certificates", first_contact_of_certificates, (starts // 5,))):
        results[name] = attempt(bed, skipped, name, function, *words)
        save()
    sizes = parse_sizes(arguments.scale, arguments.quick)
    for what, numbers in sizes.items():
        results["scale"][what] = {}
        for number in numbers:
            name = "%d %s" % (number, what)
            if time.monotonic() > deadline:
                skipped[name] = "no time left"
                continue
            results["scale"][what][str(number)] = attempt(bed, skipped, name, at_size, what, number, arguments.ms, starts if number <= 1000 else starts // 5,
                                                          number == sizes[what][-1] and what == list(sizes)[-1])
            save()
