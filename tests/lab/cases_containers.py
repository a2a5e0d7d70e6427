# SPDX-License-Identifier: GPL-2.0-or-later
"""The plug-in for containers with a real podman: a unit that runs a container is what its engine says of it."""

from cases_tags import reload, wait_plugin_tags
from expect import same, unit_row
from suite import Skip, case

RUN = ("/usr/bin/podman run --rm --replace --name box --network=host --cgroups=split --privileged --pids-limit=0 --ulimit=host --sdnotify=conmon --security-opt=seccomp=unconfined "
       "--label=app=shop --label=tier=front --rootfs /srv/box /bin/%s")


def prepare(desk):
    """A root of a few files, and an engine whose socket the plug-in may open."""
    desk.must("mkdir -p /srv/box/bin /srv/box/lib64 /srv/box/lib /srv/box/proc /srv/box/sys /srv/box/dev /srv/box/run /srv/box/etc /srv/box/tmp /srv/box/var && "
              "for f in $(ldd /bin/sleep | grep -o '/lib[^ ]*'); do mkdir -p /srv/box$(dirname $f) && cp -L $f /srv/box$f; done && cp /bin/sleep /srv/box/bin/")
    desk.write("/etc/containers/storage.conf", "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n")
    desk.must("getent group podman || groupadd -r podman")
    desk.drop_in("podman.socket", "[Socket]\nSocketGroup=podman\n")
    desk.drop_in("trireme-metadata-containers-.service", "[Service]\nSupplementaryGroups=podman\n"
                 "BindReadOnlyPaths=/run/podman/podman.sock:/run/podman.sock\nEnvironment=TRIREME_CONTAINER_SOCKET=/run/podman.sock\n")
    desk.must("mkdir -p /etc/trireme/metadata.d && ln -sf /usr/lib/trireme/metadata/containers /etc/trireme/metadata.d/containers; systemctl restart podman.socket")
    reload(desk)


@case
def the_labels_of_a_podman_container_are_tags_of_its_unit(desk):
    prepare(desk)
    desk.service("plainly", "/bin/sleep 1000", "TriremeLabels=app=plainly")
    wait_plugin_tags(desk, "plainly.service", "containers", ["engine=none"])
    desk.service("box", RUN % "sleep 1000", "TriremeLabels=app=box", extra="Type=notify\nNotifyAccess=all\nDelegate=yes\nKillMode=mixed", start=False)
    started = desk.run("systemctl restart box || (journalctl -b -o cat -u box -n 15; exit 1)", timeout=60)
    if "controller `pids` is not available" in started.out:
        raise Skip("this host gives its machines no controller for the number of processes, and this podman starts nothing without")
    same("exit status of %s" % started, started.status, 0)
    same("its state", unit_row(desk, "box.service")["state"], "enforcing")
    wait_plugin_tags(desk, "box.service", "containers", ["engine=podman", "name=box", "label.app=shop", "label.tier=front"], 30)
    desk.remove("box.service", "plainly.service")
    desk.must("rm /etc/trireme/metadata.d/containers; systemctl stop podman.socket podman.service")
    reload(desk)
