"""Make src/ouchi/facts/data/dpdk-*.json: the network drivers of a Debian release's DPDK, from its own packages.

Run on any Debian, with ouchi's environment: ``.venv/bin/python tools/make_dpdk_table.py bookworm trixie``. The packages
come from this machine's own package sources with the suite replaced, into a scratch folder; nothing is installed.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ouchi.facts.dpdk import Driver, drivers_in, package_of
from ouchi.facts.dpdk.release import abi_of

TARGET = Path(__file__).parents[1] / "src" / "ouchi" / "facts" / "data"
VERSIONS = {"bookworm": "12", "trixie": "13", "forky": "14", "sid": "sid"}
FOLDERS = ("lists/partial", "archives/partial", "packages")


def make_table(suite: str, scratch: Path) -> tuple[str, str]:
    """The name and the text of the table of one suite, as Debian has it."""
    apt = private_apt(suite, scratch)
    run("apt-get", *apt, "update")
    shown = run("apt-cache", *apt, "show", "--no-all-versions", "dpdk")
    version = re.search(r"^Version: (.+)$", shown, re.MULTILINE)[1]
    release = re.match(r"\d+\.\d+", version)[0]
    packages = sorted(
        name
        for name in run("apt-cache", *apt, "pkgnames", "librte-net-").split()
        if name.endswith(str(abi_of(release))) and "dbgsym" not in name
    )
    run("apt-get", *apt, "download", *packages, cwd=scratch / "packages")
    drivers = [driver for name in packages for driver in drivers_of(name, release, scratch / "packages")]
    return f"dpdk-{release}.json", text_of_table(release, suite, version, drivers)


def pack(ids: tuple[str, ...]) -> str:
    """PCI ids as one short text, as :func:`ouchi.facts.dpdk.known.unpack` reads them: ``8086:1572,1574 1af4:*``; those with a subsystem stay whole."""
    devices: dict[str, list[str]] = {}
    whole = []
    for text in ids:
        vendor, _, rest = text.partition(":")
        if ":" in rest:
            whole.append(text)
        else:
            devices.setdefault(vendor, []).append(rest)
    return " ".join([*(f"{vendor}:{','.join(rest)}" for vendor, rest in devices.items()), *whole])


def private_apt(suite: str, scratch: Path) -> list[str]:
    """Options that turn apt to ``suite`` of this machine's own archive, in folders of its own."""
    for folder in FOLDERS:
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(source_line(suite))
    settings = {
        "Dir::Etc::sourcelist": scratch / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache::archives": scratch / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return ["-q", *(f"-o{key}={value}" for key, value in settings.items())]


def source_line(suite: str) -> str:
    """The first of this machine's sources with main of its own release, turned to another suite."""
    release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)[1]
    files = [*Path("/etc/apt").glob("sources.list"), *sorted(Path("/etc/apt/sources.list.d").iterdir())]
    for file in files:
        text = file.read_text()
        if match := re.search(rf"^deb\s+(\[[^]]*\]\s+)?(\S+)\s+{release}\s", text, re.MULTILINE):
            return f"deb {match[1] or ''}{match[2]} {suite} main\n"
        for stanza in text.split("\n\n"):
            keys = dict(re.findall(r"^(\S+): *(.+)$", stanza, re.MULTILINE))
            if release in keys.get("Suites", "").split():
                signed = f"[signed-by={keys['Signed-By']}] " if "Signed-By" in keys else ""
                return f"deb {signed}{keys['URIs'].split()[0]} {suite} main\n"
    sys.exit(f"no source of {release} in {', '.join(map(str, files))}")


def drivers_of(package: str, release: str, folder: Path) -> list[Driver]:
    """The drivers in a downloaded package."""
    [file] = folder.glob(f"{package}_*.deb")
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", file], check=True, capture_output=True).stdout
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = re.match(r"(librte_net_\w+\.so\.\d+)", Path(member.name).name)
            if name and member.isfile():
                found += drivers_in(tar.extractfile(member).read(), name[1])
    for driver in found:
        if package_of(driver, release) != package:  # what ouchi tells its users to install
            sys.exit(f"{package} holds {driver.library}: package_of() says {package_of(driver, release)}")
    return found


def text_of_table(release: str, suite: str, version: str, drivers: list[Driver]) -> str:
    """The table as JSON, a driver a line."""
    head = {
        "comment": f"Made by tools/make_dpdk_table.py {suite}: library -> driver -> [kernel modules, PCI ids]. "
        "Its package is the library's name with dashes and the ABI number behind.",
        "release": release,
        "distribution": f"Debian {VERSIONS.get(suite, suite)}",
        "version": version,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    libraries: dict[str, list[str]] = {}
    for driver in sorted(drivers, key=lambda driver: (driver.library, driver.name)):
        line = f'    "{driver.name}": {json.dumps([" ".join(driver.kmods), pack(driver.ids)])}'
        libraries.setdefault(driver.library.partition(".")[0], []).append(line)
    body = ",\n".join(f'  "{library}": {{\n' + ",\n".join(lines) + "\n  }" for library, lines in libraries.items())
    fields = "".join(f'"{key}": {json.dumps(value)},\n' for key, value in head.items())
    return f'{{\n{fields}"libraries": {{\n{body}\n}}\n}}\n'


def run(*argv: str, cwd: Path | None = None) -> str:
    """What a program prints. It must end well."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, cwd=cwd).stdout


def main() -> None:
    for suite in sys.argv[1:] or ["bookworm", "trixie"]:
        with tempfile.TemporaryDirectory(prefix="dpdk-table-") as scratch:
            name, text = make_table(suite, Path(scratch))
        (TARGET / name).write_text(text)


if __name__ == "__main__":
    main()
