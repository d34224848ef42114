"""devstack: a ``local.conf`` and the ``local.sh`` that it runs at its end."""

from __future__ import annotations

from ouchi.plan.target import VHOST, Target
from ouchi.render.files import Rendered, comment, made_by, script, words
from ouchi.render.flavors import flavors
from ouchi.render.ini import Sections, ini_text
from ouchi.render.neutron import external_ids, ovn_sections
from ouchi.render.nova import compute_sections, scheduler_sections
from ouchi.render.ovs import SWITCH, bridge_lines, port_lines, setting_lines

VSCTL = "sudo ovs-vsctl --no-wait"


def devstack(target: Target) -> tuple[Rendered, ...]:
    """Two files for devstack's own folder."""
    return (_local_conf(target), _local_sh(target))


def _local_conf(target: Target) -> Rendered:
    """devstack's settings, then what it merges into the services' files."""
    settings = {
        "Q_AGENT": "ovn",
        "OVS_DATAPATH_TYPE": "netdev",
        "Q_ML2_PLUGIN_MECHANISM_DRIVERS": str(ovn_sections(target)["ml2"]["mechanism_drivers"]),
        "ML2_VLAN_RANGES": ",".join(target.vlan_ranges),
    }
    remarks = ("Goes to local.conf in devstack's folder; passwords and HOST_IP are yours to add.",)
    text = "[[local|localrc]]\n" + comment(made_by(target, *remarks))
    text += "".join(f"{key}={words(value)}\n" for key, value in settings.items())
    neutron = {section: keys for section, keys in ovn_sections(target).items() if section in ("ml2", "ovn")}
    neutron["ml2"] = {key: value for key, value in neutron["ml2"].items() if key != "mechanism_drivers"}
    for phase, sections in (
        ("$NOVA_CPU_CONF", compute_sections(target)),
        ("$NOVA_CONF", scheduler_sections(target)),
        ("/$Q_PLUGIN_CONF_FILE", neutron),
        ("$NEUTRON_CONF", {"DEFAULT": ovn_sections(target)["DEFAULT"]}),
    ):
        text += f"\n[[post-config|{phase}]]\n{_bare(sections)}"
    return Rendered("local.conf", text)


def _bare(sections: Sections) -> str:
    """Sections without a comment: devstack would merge that too."""
    return ini_text(sections).partition("\n\n")[2]


def _local_sh(target: Target) -> Rendered:
    lines = [
        f"sudo update-alternatives --set ovs-vswitchd {SWITCH}",
        words("sudo", "install", "-d", "-o", "libvirt-qemu", VHOST),
        *setting_lines(target, VSCTL),
        *bridge_lines(target, VSCTL),
        *port_lines(target, VSCTL),
        *(f"sudo {line}" for line in _commands(external_ids(target))),
        "sudo systemctl restart ovs-vswitchd",
        "",
        '. "$(dirname "$0")/openrc" admin admin',
        *_commands(flavors(target)),
    ]
    return script(
        target,
        "local.sh",
        lines,
        "Goes to local.sh in devstack's folder: stack.sh runs it at its end. It needs openvswitch-switch-dpdk and",
        "hugepages: the targets kernel, systemd and driverctl come first.",
    )


def _commands(rendered: Rendered) -> list[str]:
    """The commands of another target's script."""
    return rendered.text.partition("set -eu\n\n")[2].splitlines()
