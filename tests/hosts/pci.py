"""PCI functions, the IOMMU groups they are in, and the interfaces that hang below them."""

from __future__ import annotations

from tests.hosts.description import Host, Net, Pci
from tests.hosts.tree import Tree

DEVICES = "/sys/devices"
BUS = "/sys/bus/pci"
TABLES = "/sys/firmware/acpi/tables"
GROUPS = "/sys/kernel/iommu_groups"
CLASS = "/sys/class/net"
BRIDGE = 0x060400


def put_pci(tree: Tree, host: Host) -> None:
    """Every PCI function, and every interface, virtual ones too."""
    by_address = {function.address: function for function in host.pci}
    folders = {function.address: _folder(by_address, function) for function in host.pci}
    index = 2  # 1 is the loopback
    for function in host.pci:
        folder = folders[function.address]
        _function(tree, host, function, folder)
        if function.pf:
            tree.point(f"{folder}/physfn", folders[function.pf])
            number = sum(1 for other in host.pci if other.pf == function.pf and other.address < function.address)
            tree.point(f"{folders[function.pf]}/virtfn{number}", folder)
        if function.net:
            device = f"{folder}/virtio{function.virtio}" if function.virtio >= 0 else folder
            _interface(tree, function.net, f"{device}/net/{function.net.name}", index)
            tree.point(f"{device}/net/{function.net.name}/device", device)
            _ethtool(tree, host, function)
            index += 1
    for net in (Net(name="lo", mac="00:00:00:00:00:00"), *host.links):
        _interface(tree, net, f"{DEVICES}/virtual/net/{net.name}", 1 if net.name == "lo" else index)
        index += net.name != "lo"
    _stacked(tree, host)
    _iommu(tree, host)


def _folder(by_address: dict[str, Pci], function: Pci) -> str:
    """The real folder: below each bridge on the way from the root bus."""
    way = [function.address]
    while by_address[way[0]].parent:
        way.insert(0, by_address[way[0]].parent)
    return f"{DEVICES}/pci{way[0][:7]}/" + "/".join(way)


def _function(tree: Tree, host: Host, function: Pci, folder: str) -> None:
    vendor, device = function.id.split(":")
    sub_vendor, sub_device = function.subsystem.split(":")
    files: dict[str, str | int] = {
        "vendor": f"0x{vendor}",
        "device": f"0x{device}",
        "subsystem_vendor": f"0x{sub_vendor}",
        "subsystem_device": f"0x{sub_device}",
        "class": f"0x{function.kind:06x}",
        "revision": "0x01",
        "numa_node": function.node,
        "enable": 1,
        "uevent": _uevent(function),
        "driver_override": "(null)",
    }
    for name, link in (("current", function.link), ("max", function.link_max or function.link)):
        if link:
            files |= {f"{name}_link_speed": f"{link[0]} GT/s PCIe", f"{name}_link_width": link[1]}
    if function.vfs:
        files |= {"sriov_totalvfs": function.vfs, "sriov_numvfs": function.vfs_now, "sriov_drivers_autoprobe": 1}
    tree.put_all(folder, files)
    tree.point(f"{BUS}/devices/{function.address}", folder)
    tree.point(f"{folder}/subsystem", BUS)
    if function.driver:
        driver = "virtio-pci" if function.virtio >= 0 else function.driver
        tree.point(f"{folder}/driver", f"{BUS}/drivers/{driver}")
        tree.point(f"{BUS}/drivers/{driver}/{function.address}", folder)
    if function.virtio >= 0:
        device_folder = f"{folder}/virtio{function.virtio}"
        tree.put(f"{device_folder}/uevent", f"DRIVER={function.driver}\nMODALIAS=virtio:d00000001v00001AF4\n")
        tree.point(f"{device_folder}/driver", f"/sys/bus/virtio/drivers/{function.driver}")
        tree.point(f"{device_folder}/subsystem", "/sys/bus/virtio")
    if host.iommu == "on" and function.group >= 0:
        group = f"{GROUPS}/{function.group}"
        tree.point(f"{folder}/iommu_group", group)
        tree.point(f"{group}/devices/{function.address}", folder)
        ranges = "0x00000000fee00000 0x00000000feefffff msi\n"
        if any(other.direct for other in host.pci if other.group == function.group):
            ranges = f"0x00000000bdf83000 0x00000000bdf84fff direct\n{ranges}"
        tree.put(f"{group}/reserved_regions", ranges)
        tree.put(f"{group}/type", "identity" if "iommu=pt" in host.parameters.split() else "DMA-FQ")


def _uevent(function: Pci) -> str:
    driver = "virtio-pci" if function.virtio >= 0 else function.driver
    lines = [f"DRIVER={driver}"] if driver else []
    vendor, device = function.id.upper().split(":")
    sub_vendor, sub_device = function.subsystem.upper().split(":")
    parts = f"bc{function.kind >> 16:02X}sc{function.kind >> 8 & 0xFF:02X}i{function.kind & 0xFF:02X}"
    lines += [
        f"PCI_CLASS={function.kind:X}",
        f"PCI_ID={function.id.upper()}",
        f"PCI_SUBSYS_ID={function.subsystem.upper()}",
        f"PCI_SLOT_NAME={function.address}",
        f"MODALIAS=pci:v0000{vendor}d0000{device}sv0000{sub_vendor}sd0000{sub_device}{parts}",
    ]
    return "\n".join(lines)


def _interface(tree: Tree, net: Net, folder: str, index: int) -> None:
    loopback = net.name == "lo"
    files: dict[str, str | int] = {
        "address": net.mac,
        "addr_assign_type": 0,
        "operstate": "unknown" if loopback else "up" if net.up else "down",
        "flags": "0x9" if loopback else "0x1003" if net.up else "0x1002",
        "ifindex": index,
        "mtu": 65536 if loopback else 1500,
        "type": 772 if loopback else 1,
        "uevent": f"INTERFACE={net.name}\nIFINDEX={index}\n",
    }
    if net.up:  # the kernel refuses to read the carrier of an interface that is switched off
        files["carrier"] = 1
    if not loopback:
        files["speed"] = (net.speed or -1) if net.up else -1
        files["duplex"] = "full" if net.up and net.speed else "unknown"
    tree.put_all(folder, files)
    for kind, count in zip(("rx", "tx"), net.queues, strict=True):
        for queue in range(count):
            tree.put(f"{folder}/queues/{kind}-{queue}/{'rps_cpus' if kind == 'rx' else 'xps_cpus'}", "0")
    tree.point(f"{folder}/subsystem", CLASS)
    tree.point(f"{CLASS}/{net.name}", folder)


def _ethtool(tree: Tree, host: Host, function: Pci) -> None:
    """What the ETHTOOL_GDRVINFO and ETHTOOL_GCHANNELS calls answer, which no file tells."""
    net = function.net
    assert net is not None
    bus = function.address if function.virtio < 0 else f"virtio{function.virtio}"
    lines = {"driver": function.driver, "version": host.kernel, "firmware": net.firmware, "bus": bus}
    lines |= {f"{kind} queues": str(count) for kind, count in zip(("rx", "tx"), net.queues, strict=True)}
    tree.put(f"/.ouchi/ethtool/{net.name}", "".join(f"{key}: {value}\n" for key, value in lines.items()))


def _stacked(tree: Tree, host: Host) -> None:
    """Bridges, bonds and VLANs know what is below them, and that knows them."""
    for net in host.links:
        upper = f"{DEVICES}/virtual/net/{net.name}"
        if net.kind in {"bridge", "bond"}:
            tree.put(f"{upper}/{'bridge/stp_state' if net.kind == 'bridge' else 'bonding/mii_status'}", "0")
        for port in net.ports:
            lower = tree._resolve(f"{CLASS}/{port}")
            tree.point(f"{upper}/lower_{port}", lower)
            tree.point(f"{lower}/upper_{net.name}", upper)
            if net.kind in {"bridge", "bond"}:
                tree.point(f"{lower}/master", upper)
            if net.kind == "bridge":
                tree.point(f"{upper}/brif/{port}", f"{lower}/brport")
                tree.put(f"{lower}/brport/state", "3")


def _iommu(tree: Tree, host: Host) -> None:
    """The table in which the firmware offers an IOMMU, and the unit when the kernel uses it."""
    for table in ("APIC", "FACP"):  # what every machine with ACPI has; only root may read them
        tree.put(f"{TABLES}/{table}", b"")
    if host.iommu == "none" or host.virtual:
        return
    vendor = "arm" if host.architecture == "aarch64" else host.processor.vendor
    table, name, folder = {
        "GenuineIntel": ("DMAR", "dmar0", f"{DEVICES}/virtual/iommu/dmar0"),
        "AuthenticAMD": ("IVRS", "ivhd0", f"{DEVICES}/pci0000:00/0000:00:00.2/iommu/ivhd0"),
        "arm": ("IORT", "smmu3.0x000027ffe0000000", f"{DEVICES}/platform/arm-smmu-v3.0.auto/iommu/smmu3"),
    }[vendor]
    tree.put(f"{TABLES}/{table}", b"")
    if host.iommu == "on":
        tree.put(f"{folder}/uevent", "")
        tree.point(f"/sys/class/iommu/{name}", folder)
