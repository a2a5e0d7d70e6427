# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the nft table one by one, as tests/table/table-test tries them: it plays the enforcer and the datapath to a helper of its own."""

import os

import host
from expect import holds, same
from suite import case


@case
def each_rule_of_the_table_does_what_it_is_there_for(web, plain, report):
    """On a machine without Trireme, whose helper would have the table; a network namespace there is the machine on the network."""
    for path in ["src/ipc/helper-protocol.h"] + ["tests/table/" + name for name in ("table-test", "agent.py", "protocol.py")]:
        with open(os.path.join(host.TOP, path)) as file:
            plain.write("/opt/lab/trireme/" + path, file.read(), 0o755)
    with open(web.root + "/usr/lib/trireme/trireme-helper", "rb") as file:
        plain.write("/opt/lab/trireme/trireme-helper", file.read(), 0o755)
    result = plain.run("cd /opt/lab/trireme && exec tests/table/table-test ./trireme-helper 2>&1", timeout=120)
    failed = [line for line in result.out.splitlines() if line.startswith("FAIL")]
    passed = sum(line.startswith("ok ") for line in result.out.splitlines())
    report.notes.append("%d checks" % (passed + len(failed)))
    same("rules that did something else", failed, [])
    holds("it came to its end, and all of it was tried: %s" % result, result.status == 0 and passed > 80)
