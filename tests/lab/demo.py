# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration: three machines, nginx, curl, and two lines in a drop-in."""

import os
import sys
import textwrap

import host
import roots
from machine import Failure, Machine
from suite import psk

DROP_IN = "[X-Trireme]\nTriremeLabels=app=web\n"
SUITE = "bookworm"


def talk(text):
    print("\n" + textwrap.fill(" ".join(text.split()), 110), flush=True)


class Stage:
    """Shows a command, runs it, shows what came out, and checks that it is what was announced."""

    def __init__(self):
        self.failed = 0

    def show(self, machine, command, expected, good, lines=12):
        print("\n    %s# %s" % (machine.name, command), flush=True)
        result = machine.run(command, timeout=60)
        text = (result.out + result.err).rstrip().splitlines()
        for line in text[:lines] + (["..."] if len(text) > lines else []):
            print("    " + line[:140])
        as_it_should = good(result)
        self.failed += not as_it_should
        print("    => %s: %s" % ("as it should be" if as_it_should else "WRONG (exit status %s)" % result.status, expected), flush=True)

    def works(self, machine, command, expected, *words):
        self.show(machine, command, expected, lambda result: result.status == 0 and all(word in result.out for word in words))

    def fails(self, machine, command, expected, statuses=(7, 28, 56)):
        self.show(machine, command, expected, lambda result: result.status in statuses)


def fetch(url, label=None):
    command = "curl -sSg --max-time 5 -o /dev/null -w 'HTTP %%{http_code} in %%{time_total} s\\n' %s" % url
    return "triremectl run --label=%s -- %s" % (label, command) if label else command


def one_machine(stage, alpha):
    talk("1. One machine, called alpha, with Trireme installed and nothing configured. As long as nothing is labelled, nothing runs.")
    stage.show(alpha, "pgrep -a trireme", "no process of Trireme", lambda result: result.out == "")
    stage.works(alpha, "systemctl start nginx && " + fetch("http://127.0.0.1/"), "an ordinary nginx that everybody can reach", "HTTP 200")

    talk("""2. Two lines in a drop-in of Debian's own nginx.service: the label app=web. That is all the configuration there will be, and no key was
         made by hand: the first start made one for this machine alone.""")
    alpha.write("/etc/systemd/system/nginx.service.d/trireme.conf", DROP_IN)
    stage.works(alpha, "cat /etc/systemd/system/nginx.service.d/trireme.conf", "the drop-in", "TriremeLabels=app=web")
    stage.works(alpha, "systemctl daemon-reload && systemctl restart nginx && triremectl list", "nginx is enforced", "nginx.service", "app=web")

    talk("3. curl from a shell has no label, so it is turned away, at once; as a unit with the same label it gets its page.")
    stage.fails(alpha, fetch("http://127.0.0.1/"), "turned away")
    stage.works(alpha, fetch("http://127.0.0.1/", "app=web"), "let in", "HTTP 200")
    stage.fails(alpha, fetch("http://127.0.0.1/", "app=other"), "turned away: another label")
    stage.works(alpha, fetch("http://[::1]/", "app=web"), "let in, over IPv6 too", "HTTP 200")


def two_machines(stage, alpha, beta, gamma):
    talk("""4. A second machine, beta. A secret that both hold makes them one group: 'openssl rand -base64 32', put into
         /etc/credstore/trireme.psk of each. A third, gamma, is a stranger: it has no Trireme at all.""")
    key = psk()
    for machine in (alpha, beta):
        machine.write("/etc/credstore/trireme.psk", key, 0o600)
    stage.works(alpha, "systemctl restart trireme.service && triremectl list --no-legend", "nginx is enforced with the new key", "nginx.service")
    target = "http://%s/" % alpha.v4
    stage.works(beta, fetch(target, "app=web"), "the same label on another machine is let in", "HTTP 200")
    stage.works(beta, fetch("http://[%s]/" % alpha.v6, "app=web"), "over IPv6 too", "HTTP 200")
    stage.fails(beta, fetch(target, "app=other"), "another label is turned away")
    stage.fails(beta, fetch(target), "no label is turned away")
    stage.fails(gamma, fetch(target), "no Trireme is turned away")


def strangers(stage, alpha, gamma):
    talk("5. It holds the other way round: what has a label reaches no stranger, by whatever protocol, unless a rule names him.")
    gamma.service("door", "/opt/lab/probe serve 7000 door")
    stage.fails(alpha, fetch("http://%s:7000/" % gamma.v4, "app=web"), "a labelled curl cannot leave")
    stage.fails(alpha, "triremectl run --label=app=web -- ping -c 1 -W 1 " + gamma.v4, "nor can a labelled ping", (1, 2))
    stage.works(alpha, "ping -c 1 -W 1 " + gamma.v4, "an unlabelled ping notices nothing", "1 received")


def records(stage, alpha, gamma):
    talk("6. Who was turned away, and why, stands where an administrator looks; the same answer can be had beforehand.")
    alpha.wait("journalctl -b -u nginx | grep -qF " + gamma.v4)
    stage.works(alpha, "journalctl -b -u nginx --no-pager -o cat | grep -F %s | tail -n 1" % gamma.v4, "the stranger is named", gamma.v4)
    stage.works(alpha, "triremectl flows --no-pager --no-legend | tail -n 6", "recent connections, with verdict and reason", "reject", "accept")
    stage.works(alpha, "triremectl explain --from=app=web --to=nginx.service --port=80/tcp", "may be")
    stage.fails(alpha, "triremectl explain --from=app=other --to=nginx.service --port=80/tcp", "may not be, exit status 3", (3,))


def failures(stage, alpha, beta, gamma):
    talk("7. Killing Trireme, flushing the firewall or stopping the service opens nothing.")
    target = "http://%s/" % alpha.v4
    stage.works(alpha, "systemctl kill -s KILL trireme trireme-helper trireme-datapath; nft flush ruleset", "everything is shot down")
    stage.fails(gamma, fetch(target), "the stranger is still turned away")
    beta.wait(fetch(target, "app=web"), 10)
    stage.works(beta, fetch(target, "app=web"), "and the label is let in again", "HTTP 200")

    talk("8. nginx stopped and its drop-in removed: it is an ordinary service again, and nothing of its identity is left.")
    stage.works(alpha, "systemctl stop nginx && rm -r /etc/systemd/system/nginx.service.d && systemctl daemon-reload && systemctl start nginx",
                "an ordinary nginx again")
    stage.works(gamma, fetch(target), "everybody can reach it", "HTTP 200")


def play(work):
    root = roots.suite_root(SUITE)
    talk("Building Trireme and installing it into disposable machines ...")
    layer = roots.product_layer(root, work, jobs=os.cpu_count() or 2)
    stage = Stage()
    alpha, beta = (Machine(name, number, [layer, root], work) for name, number in (("alpha", 1), ("beta", 2)))
    gamma = Machine("gamma", 3, [root], work)
    for machine in (alpha, beta, gamma):
        machine.boot()
    one_machine(stage, alpha)
    two_machines(stage, alpha, beta, gamma)
    strangers(stage, alpha, gamma)
    records(stage, alpha, gamma)
    failures(stage, alpha, beta, gamma)
    talk("All steps came out as they should." if stage.failed == 0 else "%d steps did NOT come out as they should." % stage.failed)
    return stage.failed > 0


def main():
    host.need_root()
    try:
        if "TRIREME_LAB_CGROUP" not in os.environ:
            host.install(host.LAB_PACKAGES)
            roots.suite_root(SUITE)
            sys.exit(host.enter_namespace([sys.executable, "-B"] + sys.argv))
        sys.exit(play(host.prepare_namespace()))
    except (host.Broken, Failure) as broken:
        sys.exit("the demonstration could not be given: %s" % broken)


if __name__ == "__main__":
    main()
