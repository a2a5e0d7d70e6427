# SPDX-License-Identifier: GPL-2.0-or-later
"""No ports are declared anywhere: whatever the unit listens on is protected."""

from expect import connected, denied, holds, same, unit_row
from suite import case

ACTIVATED = "[Unit]\n[Socket]\nListenStream=[::]:7500\n"


def each_address(machine):
    return machine.v4, machine.v6


@case
def every_port_of_a_unit_is_protected_on_every_address(web, peer, plain):
    ports = (7501, 7502, 7503)
    web.service("many", "/bin/sh -c '%s wait'" % "".join("/opt/lab/probe serve %d many & " % port for port in ports),
                "TriremeLabels=app=web")
    for port in ports:
        for address in each_address(web):
            denied("a stranger to port %d" % port, plain.probe("tcp", address, port))
            connected("app=web to port %d" % port, peer.probe("tcp", address, port, label="app=web"))
        for address in ("127.0.0.1", "::1", "127.3.2.1"):
            denied("a local stranger to %s port %d" % (address, port), web.probe("tcp", address, port))
    web.remove("many.service")


@case
def a_port_opened_later_is_protected(web, peer, plain):
    web.must("rm -f /run/lab-open")
    web.service("late", "/opt/lab/probe serve-later 7510 7511", "TriremeLabels=app=web")
    connected("app=web to the first port", peer.probe("tcp", web.v4, 7510, label="app=web"))
    web.must("touch /run/lab-open")
    holds("the second port opens", web.wait("ss -Hltn sport = 7511 | grep -q ."))
    denied("a remote stranger", plain.probe("tcp", web.v4, 7511))
    denied("a local stranger", web.probe("tcp", "127.0.0.1", 7511))
    connected("app=web to the second port", peer.probe("tcp", web.v4, 7511, label="app=web"))
    web.remove("late.service")


@case
def a_new_address_of_the_host_is_protected(web, plain):
    web.must("ip addr add 10.77.0.99/24 dev host0")
    denied("a stranger to the new address", plain.probe("tcp", "10.77.0.99", 80))
    web.must("ip addr del 10.77.0.99/24 dev host0")


@case
def a_socket_unit_that_activates_the_service_is_protected(web, peer, plain):
    web.write("/etc/systemd/system/act.socket", ACTIVATED)
    web.service("act", "/opt/lab/probe activated", "TriremeLabels=app=web", start=False)
    web.must("systemctl start act.socket")
    for address in each_address(web):
        denied("a remote stranger", plain.probe("tcp", address, 7500))
    denied("a local stranger", web.probe("tcp", "127.0.0.1", 7500))
    same("the service, which nobody was let in to start", web.run("systemctl is-active act.service").out.strip(), "inactive")
    for address in each_address(web):
        connected("app=web", peer.probe("tcp", address, 7500, label="app=web"))
    same("the service after a permitted connection", web.must("systemctl is-active act.service").strip(), "active")
    denied("a remote stranger, the service now running", plain.probe("tcp", web.v4, 7500))
    web.remove("act.socket", "act.service")


@case
def triremectl_shows_the_socket_unit_beside_its_service(web):
    web.write("/etc/systemd/system/act.socket", ACTIVATED)
    web.service("act", "/opt/lab/probe activated", "TriremeLabels=app=web", start=False)
    web.must("systemctl start act.socket")
    row = unit_row(web, "act.socket")
    holds("act.socket is listed", row is not None)
    same("its state", row["state"], "enforcing")
    web.remove("act.socket", "act.service")


@case
def an_Accept_yes_socket_is_protected(web, peer, plain):
    web.write("/etc/systemd/system/inst.socket", "[Socket]\nListenStream=[::]:7520\nAccept=yes\n[X-Trireme]\nTriremeLabels=app=web\n")
    web.write("/etc/systemd/system/inst@.service", "[Service]\nExecStart=/bin/echo instance\nStandardOutput=socket\n")
    web.must("systemctl daemon-reload && systemctl start inst.socket")
    denied("a remote stranger", plain.probe("tcp", web.v4, 7520))
    connected("app=web", peer.probe("tcp", web.v4, 7520, label="app=web"))
    web.remove("inst.socket", "inst@.service")


@case
def members_of_a_labelled_slice_carry_its_label(web, peer, plain):
    web.write("/etc/systemd/system/shop.slice", "[Slice]\n[X-Trireme]\nTriremeLabels=app=web\n")
    web.service("member", "/opt/lab/probe serve 7530 member", extra="Slice=shop.slice")
    denied("a stranger to a service of the slice", plain.probe("tcp", web.v4, 7530))
    connected("app=web to a service of the slice", peer.probe("tcp", web.v4, 7530, label="app=web"))
    web.must("systemd-run --scope --slice=shop.slice --unit=inside sh -c '/opt/lab/probe serve 7531 inside >/dev/null 2>&1 &' ")
    holds("the scope listens", web.wait("ss -Hltn sport = 7531 | grep -q ."))
    denied("a stranger to a scope of the slice", plain.probe("tcp", web.v4, 7531))
    connected("app=web to a scope of the slice", peer.probe("tcp", web.v4, 7531, label="app=web"))
    web.remove("member.service", "inside.scope", "shop.slice")


@case
def an_instance_of_a_labelled_template_is_protected(web, peer, plain):
    web.write("/etc/systemd/system/worker@.service", "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/opt/lab/probe serve %i worker\n")
    web.drop_in("worker@.service", "[X-Trireme]\nTriremeLabels=app=web port=%i\n")
    web.must("systemctl start worker@7540")
    denied("a stranger", plain.probe("tcp", web.v4, 7540))
    connected("app=web", peer.probe("tcp", web.v4, 7540, label="app=web"))
    holds("the specifier is expanded: %s" % unit_row(web, "worker@7540.service"), "port=7540" in str(unit_row(web, "worker@7540.service")))
    web.remove("worker@7540.service", "worker@.service")
