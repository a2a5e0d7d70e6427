# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends on one host: what the kernel decides by itself and what the datapath and the enforcer decide must be the same."""

import json

from cases_policy import drop_policy, rule, write_policy
from expect import connected, holds, same
from suite import case

QUEUES = "/proc/net/netfilter/nfnetlink_queue"
FIRST_PORT = 7900

# One server for each: its settings, and the clients that it lets in.
SERVERS = [
    ("TriremeLabels=app=a", {"a", "watch"}),                                        # same-label
    ("TriremeLabels=app=s\nTriremeAccept=app=a", {"a"}),
    ("TriremeLabels=app=s\nTriremeAccept=app=a|b", {"a", "b"}),
    ("TriremeLabels=app=s\nTriremeAccept=env=dev*", {"b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=app!=a", {"b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=env", {"b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=!env", {"a"}),
    ("TriremeLabels=app=s\nTriremeAccept=app=b env=dev1\nTriremeAccept=app=c", {"b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=@sys:user=root", {"a", "b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=@sys:unit=path-b.service", {"b"}),
    ("TriremeLabels=app=s\nTriremeAccept=@port=tcp/7910 app=c", {"c"}),
    ("TriremeLabels=app=s\nTriremeAccept=@port=tcp/1", set()),
    ("TriremeLabels=app=s\nTriremePolicy=Paths", {"a"}),                           # its reject beats its accept
    ("TriremeLabels=app=s\nTriremeAccept=", set()),
    ("TriremeLabels=app=s\nTriremeAccept=app=nobody\nTriremeMode=observe", {"a", "b", "c"}),
    ("TriremeLabels=app=s\nTriremeAccept=nonsense=", set()),                       # denied everything
    (None, {"a", "b"}),                                                            # a stranger: ConnectTo decides
]

CLIENTS = {
    "a": "TriremeLabels=app=a\nTriremeConnect=app\nTriremeConnectTo=127.0.0.0/8 tcp/7900-7999",
    "b": "TriremeLabels=app=b env=dev1\nTriremeConnect=app\nTriremeConnectTo=127.0.0.0/8 tcp/7916",
    "c": "TriremeLabels=app=c env=dev2\nTriremeConnect=app",
    "watch": "TriremeLabels=app=a\nTriremeConnect=app=a",   # its own rules hold it back from all but one
}


def port_of(number):
    return FIRST_PORT + number


def start_servers(web):
    write_policy(web, Paths={"ExposureRules": [rule("a"), rule("b"), rule("b", 2)]})
    for number, (settings, _) in enumerate(SERVERS):
        web.service("path-%d" % number, "/opt/lab/probe serve %d here" % port_of(number), settings, start=False)
    web.run("systemctl start %s" % " ".join("path-%d" % number for number in range(len(SERVERS))), timeout=90)


def remove_servers(web):
    web.remove(*("path-%d.service" % number for number in range(len(SERVERS))))
    drop_policy(web)


def outcomes(web, name):
    """What a client of that name finds at each server: [first, again, with Fast Open] by port."""
    command = "/opt/lab/probe paths 127.0.0.1 %s" % " ".join(str(port_of(number)) for number in range(len(SERVERS)))
    web.service("path-" + name, command, CLIENTS[name], extra="Type=oneshot\nStandardOutput=truncate:/run/paths.out", start=False)
    web.must("systemctl start path-%s" % name, timeout=90)
    web.remove("path-%s.service" % name)
    return json.loads(web.must("cat /run/paths.out"))


@case
def every_kind_of_rule_decides_alike_in_the_kernel_and_in_the_packet_path(web):
    start_servers(web)
    for name in CLIENTS:
        for port, found in outcomes(web, name).items():
            settings, allowed = SERVERS[int(port) - FIRST_PORT]
            wanted = "connected" if name in allowed else "refused"
            same("client %s at %r, decided first, decided again, and on the packet path" % (name, settings), found, [wanted] * 3)
    remove_servers(web)


@case
def what_the_kernel_has_learned_costs_no_packet_in_user_space_and_is_forgotten_with_the_rule(web):
    web.service("path-s", "/opt/lab/probe serve 7900 here", "TriremeLabels=app=s\nTriremeAccept=app=a")
    client = "TriremeLabels=app=a\nTriremeConnect=app=s"
    script = "before=$(awk '{ n += $8 } END { print n }' %s); /opt/lab/probe tcp 127.0.0.1 7900; after=$(awk '{ n += $8 } END { print n }' %s); echo $((after - before))" % (QUEUES, QUEUES)
    web.write("/run/path-client", "#!/bin/sh\n" + script + "\n", mode=0o755)
    # The first one teaches it; how soon, is the helper's business.
    web.service("path-c", "/bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do /run/path-client >/run/paths.out; [ $(tail -n 1 /run/paths.out) = 0 ] && break; sleep 0.1; done'",
                client, extra="Type=oneshot", start=False)
    web.must("systemctl start path-c")
    answer, count = web.must("cat /run/paths.out").splitlines()
    connected("a learned connection", json.loads(answer))
    same("packets in user space for it", count, "0")
    web.service("path-s", "/opt/lab/probe serve 7900 here", "TriremeLabels=app=s\nTriremeAccept=app=b", start=False)
    web.must("systemctl daemon-reload")
    web.must("systemctl start path-c")
    answer, count = web.must("cat /run/paths.out").splitlines()
    same("after the rule has gone", json.loads(answer)["result"], "refused")
    holds("its denial is seen in user space: %s packets" % count, int(count) > 0)
    web.remove("path-s.service", "path-c.service")
