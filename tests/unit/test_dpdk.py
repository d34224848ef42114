"""DPDK support: the PMD information in real drivers, the tables, and what is reported of a NIC."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.facts.dpdk import Dpdk, Driver, Support, drivers_in, package_of, read_dpdk, support
from ouchi.facts.dpdk.known import nearest, releases, table, unpack
from ouchi.facts.dpdk.release import abi_of, order, release_of
from ouchi.facts.nics import Nic
from ouchi.machine import Path as Interface
from ouchi.machine.snapshot import SnapshotReader
from tools.make_dpdk_table import pack

# As they stand in librte_net_*.so.23.0 of Debian 12's DPDK 22.11.11; some rows of net_e1000_igb left out.
IGC = (
    b'PMD_INFO_STRING= {"name": "net_igc", "kmod": "* igb_uio | uio_pci_generic | vfio-pci", "pci_ids": '
    b"[[32902, 5618, 65535, 65535], [32902, 5619, 65535, 65535], [32902, 5624, 65535, 65535], "
    b"[32902, 3487, 65535, 65535], [32902, 12544, 65535, 65535], [32902, 12546, 65535, 65535], "
    b"[32902, 21763, 65535, 65535], [32902, 4699, 65535, 65535], [32902, 4700, 65535, 65535], "
    b"[32902, 4701, 65535, 65535], [32902, 4703, 65535, 65535]]}\0"
)
IGC_DEVICES = ("0d9f", "125b", "125c", "125d", "125f", "15f2", "15f3", "15f8", "3100", "3102", "5503")
MLX5 = (
    b'PMD_INFO_STRING= {"name": "mlx5_eth", "kmod": "* ib_uverbs & mlx5_core & mlx5_ib", "pci_ids": '
    b"[[5555, 4115, 65535, 65535], [5555, 4116, 65535, 65535], [5555, 4117, 65535, 65535], [5555, 4118, 65535, 65535], "
    b"[5555, 4119, 65535, 65535], [5555, 4120, 65535, 65535], [5555, 4121, 65535, 65535], [5555, 4122, 65535, 65535], "
    b"[5555, 41682, 65535, 65535], [5555, 41683, 65535, 65535], [5555, 4123, 65535, 65535], "
    b"[5555, 4124, 65535, 65535], [5555, 4125, 65535, 65535], [5555, 4126, 65535, 65535], [5555, 41686, 65535, 65535], "
    b"[5555, 4127, 65535, 65535], [5555, 4129, 65535, 65535], [5555, 41692, 65535, 65535]]}\0"
)
THUNDERX = (
    b'PMD_INFO_STRING= {"name": "net_thunderx", "kmod": "* igb_uio | uio_pci_generic | vfio-pci", "pci_ids": '
    b"[[6013, 17, 6013, 41246], [6013, 41012, 6013, 41268], [6013, 41012, 6013, 41524], [6013, 41012, 6013, 41780]]}\0"
)
IGB = (
    b'PMD_INFO_STRING= {"name": "net_e1000_igb", "kmod": "* igb_uio | uio_pci_generic | vfio-pci", '
    b'"pci_ids": [[32902, 5409, 65535, 65535], [32902, 5433, 65535, 65535]]}\0'
)
OS_RELEASE = {
    "debian 12": "ID=debian\nVERSION_ID=12\n",
    "debian 13": "ID=debian\nVERSION_ID=13\n",
    "ubuntu 24.04": 'ID=ubuntu\nVERSION_ID="24.04"\n',
    "elsewhere": "ID=plan9\n",
}


def nic(ids: str, **more: Any) -> Nic:
    """A PCI NIC by ``vendor:device``; everything else of it is empty."""
    empty = {"str": "", "int": 0, "bool": False, "PcieLink | None": None}
    values = {field.name: empty.get(str(field.type), ()) for field in fields(Nic)}
    vendor, device = ids.split(":")
    return Nic(**{**values, "address": "0000:01:00.0", "vendor": vendor, "device": device, **more})


def host(root: Path, system: str, *plugins: tuple[str, bytes], abi: str = "23.0") -> SnapshotReader:
    """A host of a distribution with plug-ins as Debian lays them out: the file, and two links to it."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text(OS_RELEASE[system])
    for name, data in plugins:
        folder = libraries / f"dpdk/pmds-{abi}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.so.{abi}").write_bytes(b"\x7fELF\0\1\2" + data + b"\xff" * 64)
        (folder / f"{name}.so.{abi[:2]}").symlink_to(f"{name}.so.{abi}")
        (libraries / f"{name}.so.{abi[:2]}").symlink_to(f"dpdk/pmds-{abi}/{name}.so.{abi[:2]}")
    return SnapshotReader(root)


def named(release: str) -> Dpdk:
    """A host without DPDK that is judged by the table of a release."""
    return Dpdk("", (), release, table(release).drivers)


# PMD information


def test_a_driver_in_the_bytes_of_its_library() -> None:
    igc, mlx5 = drivers_in(b"\x7fELF" + MLX5 + b"\0\xfe" * 99 + IGC, "librte_net_x.so.23")[::-1]
    assert igc == Driver(
        "net_igc",
        "librte_net_x.so.23",
        tuple(f"8086:{device}" for device in IGC_DEVICES),
        ("igb_uio", "uio_pci_generic", "vfio-pci"),
    )
    assert mlx5.kmods == ("ib_uverbs", "mlx5_core", "mlx5_ib")
    assert mlx5.ids[0] == "15b3:1013"


def test_the_string_is_enough() -> None:
    """A snapshot keeps nothing else of a driver."""
    assert drivers_in(IGC, "x") == drivers_in(b"\x7fELF" + b"\0" * 4096 + IGC + b"\x90" * 4096, "x")


def test_ids_with_subsystems_and_wildcards() -> None:
    [thunderx] = drivers_in(THUNDERX, "x")
    assert thunderx.ids[:2] == ("177d:0011:177d:a11e", "177d:a034:177d:a134")
    output = (
        b'PMD_INFO_STRING= {"name": "n", "kmod": "vfio", "pci_ids": [[6900, 65535, 65535, 65535], [65535, 1, 1, 1]]}\0'
    )
    [driver] = drivers_in(output, "x")
    assert driver.ids == ("1af4:*",)  # any vendor would be every NIC
    assert driver.kmods == ("vfio-pci",)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "{",
        "[" * 200_000,
        '{"name": "n", "pci_ids": ' + "[" * 200_000,
        "[]",
        "null",
        '{"pci_ids": [[1, 2, 65535, 65535]]}',
        '{"name": "n"}',
        '{"name": "n", "pci_ids": []}',
        '{"name": "n", "pci_ids": [1, [1, 2], [1, 2, 3, 4, 5], ["1", 2, 3, 4], [true, 2, 3, 4], [1.5, 2, 3, 4]]}',
        '{"name": "n", "pci_ids": [[-1, 2, 3, 4], [65536, 2, 3, 4]]}',
        '{"name": "n", "pci_ids": [[1' + "0" * 9999 + ", 2, 3, 4]]}",
        '{"name": "a b\\u0000", "pci_ids": [[1, 2, 3, 4]]}',
        '{"name": 7, "pci_ids": [[1, 2, 3, 4]]}',
        "\udcff",
    ],
)
def test_what_is_no_pmd_information(output: str) -> None:
    text = output.encode(errors="surrogateescape")
    found = drivers_in(b"PMD_INFO_STRING= " + text + b"\0" + IGC, "x")
    assert [driver.name for driver in found] == ["net_igc"]


@given(
    st.binary(max_size=400), st.lists(st.sampled_from([IGC, MLX5, THUNDERX, b"PMD_INFO_STRING= ", b"\0"])), st.data()
)
def test_any_bytes(noise: bytes, parts: list[bytes], data: st.DataObject) -> None:
    content = noise.join(parts)
    cut = content[: data.draw(st.integers(0, len(content)))]
    assert {driver.name for driver in drivers_in(cut, "x")} <= {"net_igc", "mlx5_eth", "net_thunderx"}


@given(st.integers(0, len(IGC) - 2))
def test_a_string_cut_short_is_none(length: int) -> None:
    assert drivers_in(IGC[:length], "x") == ()
    assert drivers_in(IGC[:length] + b"\0", "x") == ()


def test_ten_megabytes_without_an_end() -> None:
    assert drivers_in(b"PMD_INFO_STRING=" * 655_360, "x") == ()
    assert drivers_in(b"PMD_INFO_STRING=" + b"[" * 10_000_000, "x") == ()
    [driver] = drivers_in(b"x" * 10_000_000 + IGC, "x")
    assert driver.name == "net_igc"


# The tables


def test_every_table_is_whole() -> None:
    assert releases() == ("22.11", "24.11", "25.11")
    for release in releases():
        drivers = table(release).drivers
        assert list(drivers) == sorted(drivers, key=lambda driver: driver.name)
        assert {
            "net_i40e",
            "net_igc",
            "net_ice",
            "net_ixgbe",
            "net_ixgbe_vf",
            "net_iavf",
            "net_virtio",
            "mlx5_eth",
        } <= {driver.name for driver in drivers}
        assert all(driver.library.endswith(f".so.{abi_of(release)}") for driver in drivers)
        made = json.loads((Path(__file__).parents[2] / f"src/ouchi/facts/data/dpdk-{release}.json").read_text())
        assert made["release"] == release
        assert made["version"].startswith(release)


def test_the_table_says_what_the_driver_says() -> None:
    known = {driver.name: driver for driver in table("22.11").drivers}
    for output, library in ((IGC, "librte_net_igc"), (MLX5, "librte_net_mlx5"), (THUNDERX, "librte_net_thunderx")):
        [driver] = drivers_in(output, f"{library}.so.23")
        assert driver == known[driver.name]


WORD = st.integers(0, 0xFFFF).map("{:04x}".format)
IDS = st.one_of(st.tuples(WORD, WORD), st.tuples(WORD, st.just("*")), st.tuples(WORD, WORD, WORD, WORD)).map(":".join)


@given(st.lists(IDS, unique=True))
def test_ids_survive_packing(ids: list[str]) -> None:
    assert unpack(pack(tuple(ids))) == tuple(sorted(ids))


def test_realtek_by_release() -> None:
    by_release = {
        release: next((driver.ids for driver in table(release).drivers if driver.name == "net_r8169"), ())
        for release in releases()
    }
    early = ("10ec:5000", "10ec:8125", "10ec:8126", "10ec:8162")
    assert by_release == {
        "22.11": (),
        "24.11": early,
        "25.11": ("10ec:0e10", *early[:3], "10ec:8127", "10ec:8162", "10ec:8168"),
    }


@pytest.mark.parametrize(
    ("expected", "judged"),
    [("22.11", "22.11"), ("23.11", "22.11"), ("24.03", "22.11"), ("25.07", "24.11"), ("26.11", "25.11"), ("", "25.11")],
)
def test_the_nearest_table(expected: str, judged: str) -> None:
    assert nearest(expected) == judged


def test_before_the_oldest_table_there_is_only_the_oldest() -> None:
    assert nearest("21.11") == "22.11"


@pytest.mark.parametrize(
    ("abi", "release"),
    [("22.0", "21.11"), ("23", "22.11"), ("23.0", "22.11"), ("24.1", "24.03"), ("25.2", "25.07"), ("26.0", "25.11")],
)
def test_the_release_of_an_abi(abi: str, release: str) -> None:
    assert release_of(abi) == release
    assert abi_of(release) == int(abi[:2])


@pytest.mark.parametrize("abi", ["x", "", "23.7", "9", "23.0.1", "٢٣"])
def test_what_is_no_abi(abi: str) -> None:
    assert release_of(abi) == ""


def test_releases_in_order() -> None:
    assert order("25.11") > order("25.07") > order("24.03") > order("23.11") > order("")


# What is installed


def test_installed_plugins_are_each_read_once(tmp_path: Path) -> None:
    plugins = (("librte_net_igc", IGC), ("librte_net_mlx5", MLX5), ("librte_mempool_ring", b""))
    host(tmp_path, "debian 12", *plugins)
    read: list[str] = []

    class Watched(SnapshotReader):
        def read_bytes(self, path: Interface, most: int = -1) -> bytes:
            read.append(str(path))
            return super().read_bytes(path, most)

    dpdk = read_dpdk(Watched(tmp_path))
    assert (dpdk.release, dpdk.table, dpdk.offered) == ("22.11", "22.11", "22.11")
    assert [(driver.name, driver.library) for driver in dpdk.installed] == [
        ("mlx5_eth", "librte_net_mlx5.so.23"),
        ("net_igc", "librte_net_igc.so.23"),
    ]
    assert [path for path in read if "librte" in path] == [
        f"/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_{name}.so.23" for name in ("igc", "mlx5")
    ]


def test_the_newest_folder_counts(tmp_path: Path) -> None:
    host(tmp_path, "debian 13", ("librte_net_igc", IGC), abi="25.0")
    old = tmp_path / "usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0"
    old.mkdir()
    (old / "librte_net_mlx5.so.23.0").write_bytes(MLX5)
    (old.parent / "pmds-junk").mkdir()
    dpdk = read_dpdk(SnapshotReader(tmp_path))
    assert (dpdk.release, dpdk.table) == ("24.11", "24.11")
    assert [driver.name for driver in dpdk.installed] == ["net_igc"]


def test_drivers_linked_into_vswitchd(tmp_path: Path) -> None:
    reader = host(tmp_path, "elsewhere")
    program = tmp_path / "usr/sbin/ovs-vswitchd"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF" + b"\0" * 999 + IGC + MLX5)
    dpdk = read_dpdk(reader)
    assert (dpdk.release, dpdk.table, dpdk.present) == ("", "25.11", True)
    assert {driver.library for driver in dpdk.installed} == {"ovs-vswitchd"}
    assert support(nic("8086:125c"), dpdk).supported
    verdict = support(nic("8086:1572"), dpdk)
    assert (verdict.supported, verdict.pmd) == (False, "net_i40e")
    assert verdict.reason == "DPDK 25.11's net_i40e drives it, but it is not among the drivers inside ovs-vswitchd"


def test_dpdk_without_any_driver(tmp_path: Path) -> None:
    """What Debian's openvswitch-switch-dpdk alone brings: the library, and not one plug-in."""
    reader = host(tmp_path, "debian 12")
    library = tmp_path / "usr/lib/x86_64-linux-gnu/librte_eal.so.23"
    library.parent.mkdir(parents=True)
    library.touch()
    dpdk = read_dpdk(reader)
    assert (dpdk.release, dpdk.installed, dpdk.present) == ("22.11", (), True)
    assert not support(nic("8086:1572"), dpdk).supported


@pytest.mark.parametrize(
    ("system", "judged"),
    [("debian 12", "22.11"), ("debian 13", "24.11"), ("ubuntu 24.04", "22.11"), ("elsewhere", "25.11")],
)
def test_without_dpdk_the_distribution_chooses_the_table(tmp_path: Path, system: str, judged: str) -> None:
    dpdk = read_dpdk(host(tmp_path, system))
    assert (dpdk.release, dpdk.installed, dpdk.table, dpdk.present) == ("", (), judged, False)
    assert dpdk.known == table(judged).drivers


@pytest.mark.parametrize("odd", ["loop", "folder", "empty", "gone"])
def test_an_odd_plugin_is_passed_over(tmp_path: Path, odd: str) -> None:
    reader = host(tmp_path, "debian 12", ("librte_net_igc", IGC))
    path = tmp_path / "usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_odd.so.23.0"
    match odd:
        case "loop":
            path.symlink_to(path.name)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case _:
            path.symlink_to("nowhere")
    assert [driver.name for driver in read_dpdk(reader).installed] == ["net_igc"]


# The verdict


def test_an_installed_driver(tmp_path: Path) -> None:
    dpdk = read_dpdk(host(tmp_path, "debian 12", ("librte_net_igc", IGC), ("librte_net_e1000", IGB)))
    assert support(nic("8086:125c"), dpdk) == Support(
        supported=True,
        pmd="net_igc",
        kmod="vfio-pci",
        bifurcated=False,
        reason="net_igc of DPDK 22.11 drives it and is installed; at most 4 Rx and 4 Tx queues",
        most_queues=4,
    )
    assert [support(nic(ids), dpdk).most_queues for ids in ("8086:1521", "8086:1539")] == [8, 2]


def test_a_driver_whose_package_is_missing(tmp_path: Path) -> None:
    dpdk = read_dpdk(host(tmp_path, "debian 12", ("librte_net_igc", IGC)))
    assert support(nic("8086:1572"), dpdk) == Support(
        supported=False,
        pmd="net_i40e",
        kmod="vfio-pci",
        bifurcated=False,
        reason="DPDK 22.11's net_i40e drives it; its package librte-net-i40e23 is not installed",
        most_queues=0,
    )


def test_a_release_without_a_table(tmp_path: Path) -> None:
    dpdk = read_dpdk(host(tmp_path, "ubuntu 24.04", ("librte_net_igc", IGC), abi="24.0"))
    assert (dpdk.release, dpdk.table) == ("23.11", "22.11")
    assert support(nic("8086:1572"), dpdk).reason == (
        "DPDK 22.11's net_i40e drives it (the nearest table that ouchi has to the installed 23.11); "
        "its package librte-net-i40e24 is not installed"
    )
    assert support(nic("10ec:8168"), dpdk).reason == (
        "no installed driver of DPDK 23.11 drives 10ec:8168, nor any of DPDK 22.11; DPDK 25.11's net_r8169 does"
    )


def test_by_the_table_where_dpdk_is_not_installed(tmp_path: Path) -> None:
    verdict = support(nic("8086:1572"), read_dpdk(host(tmp_path / "a", "debian 12")))
    assert verdict.supported
    assert verdict.reason == (
        "DPDK 22.11's net_i40e drives it (DPDK is not installed here: by ouchi's table of 22.11 from Debian 12's "
        "packages); its package is librte-net-i40e23"
    )
    verdict = support(nic("8086:1572"), read_dpdk(host(tmp_path / "b", "ubuntu 24.04")))
    assert verdict.supported
    assert "the nearest to this distribution's 23.11" in verdict.reason
    assert verdict.reason.endswith("its package is librte-net-i40e24")


def test_realtek(tmp_path: Path) -> None:
    gigabit = support(nic("10ec:8168"), read_dpdk(host(tmp_path, "debian 12", ("librte_net_igc", IGC))))
    assert (gigabit.supported, gigabit.pmd, gigabit.kmod) == (False, "", "")
    assert gigabit.reason == "no driver of DPDK 22.11 drives 10ec:8168, installed or not; DPDK 25.11's net_r8169 does"
    assert support(nic("10ec:8125"), named("22.11")).reason.endswith("; DPDK 24.11's net_r8169 does")
    queues = {
        (release, device): support(nic(f"10ec:{device}"), named(release)).most_queues
        for release in ("24.11", "25.11")
        for device in ("8125", "8126", "8127", "8168")
    }
    assert queues == {
        ("24.11", "8125"): 1,
        ("24.11", "8126"): 1,
        ("24.11", "8127"): 0,  # not supported
        ("24.11", "8168"): 0,
        ("25.11", "8125"): 1,
        ("25.11", "8126"): 4,
        ("25.11", "8127"): 4,
        ("25.11", "8168"): 1,
    }
    one = support(nic("10ec:8168"), named("25.11"))
    assert "one Rx and one Tx queue, which all PMD threads share" in one.reason


@pytest.mark.parametrize(
    ("ids", "driver", "kmod"),
    [
        ("15b3:1017", "mlx5_core", "mlx5_core"),
        ("15b3:1017", "vfio-pci", "mlx5_core"),
        ("15b3:1003", "", "mlx4_core"),
        ("1414:00ba", "vfio-pci", "mana"),
    ],
)
def test_bifurcated_drivers_are_never_unbound(ids: str, driver: str, kmod: str) -> None:
    verdict = support(nic(ids, driver=driver), named("25.11"))
    assert (verdict.supported, verdict.bifurcated, verdict.kmod) == (True, True, kmod)
    assert f"{kmod} keeps the NIC, which is never unbound" in verdict.reason


@pytest.mark.parametrize(
    ("ids", "pmd", "kmod"),
    [
        ("1d6a:07b1", "net_atlantic", "uio_pci_generic"),  # its list has no vfio-pci
        ("1af4:1000", "net_virtio", "vfio-pci"),
        ("1af4:1041", "net_virtio", "vfio-pci"),
        ("8086:154c", "net_iavf", "vfio-pci"),
        ("8086:1889", "net_iavf", "vfio-pci"),  # which net_ice_dcf can take too, if configured to
        ("8086:10ed", "net_ixgbe_vf", "vfio-pci"),
        ("19e5:1822", "net_hinic", "vfio-pci"),  # names no module at all
    ],
)
def test_which_driver_and_module(ids: str, pmd: str, kmod: str) -> None:
    verdict = support(nic(ids), named("22.11"))
    assert (verdict.supported, verdict.pmd, verdict.kmod, verdict.bifurcated) == (True, pmd, kmod, False)
    assert (kmod == "uio_pci_generic") == ("it takes uio_pci_generic, not vfio-pci" in verdict.reason)


def test_subsystems_count_where_the_driver_asks_for_them() -> None:
    assert support(nic("177d:a034", subsystem="177d:a134"), named("22.11")).pmd == "net_thunderx"
    assert not support(nic("177d:a034", subsystem="177d:0001"), named("22.11")).supported


def test_any_device_of_a_vendor() -> None:
    dpdk = Dpdk("22.11", (Driver("net_any", "librte_net_any.so.23", ("abcd:*",), ("vfio-pci",)),), "22.11", ())
    assert support(nic("abcd:0007"), dpdk).pmd == "net_any"
    assert not support(nic("abce:0007"), dpdk).supported


def test_what_is_no_pci_nic() -> None:
    verdict = support(nic("8086:1572", address=""), named("22.11"))
    assert verdict == Support(False, "", "", False, "it is not a PCI device, and DPDK's drivers are for those", 0)
    assert support(nic(":"), named("22.11")).reason == "its PCI ids cannot be read"


def test_an_unknown_nic() -> None:
    verdict = support(nic("1234:5678"), named("25.11"))
    assert verdict.reason == (
        "no driver of DPDK 25.11 drives 1234:5678 (DPDK is not installed here: by ouchi's table of 25.11 from "
        "Debian 14's packages)"
    )


@pytest.mark.parametrize(
    ("library", "release", "package"),
    [
        ("librte_net_i40e.so.23", "22.11", "librte-net-i40e23"),
        ("librte_net_mlx5.so.23", "23.11", "librte-net-mlx5-24"),
        ("librte_net_octeon_ep.so.26", "25.11", "librte-net-octeon-ep26"),
    ],
)
def test_package_names(library: str, release: str, package: str) -> None:
    assert package_of(Driver("net_x", library, ("8086:0001",), ()), release) == package


def test_a_verdict_of_any_nic_is_json() -> None:
    for release in releases():
        for driver in table(release).drivers:
            vendor, device, *subsystem = driver.ids[0].split(":")
            verdict = support(nic(f"{vendor}:{device}", subsystem=":".join(subsystem)), named(release))
            assert verdict.supported
            assert verdict.kmod or verdict.bifurcated
            assert json.loads(json.dumps(verdict.reason)) == verdict.reason
