"""ouchi as people install it, in a new Debian: a clone, the Debian package, pipx; and the shells there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import installed
import pytest

from ouchi.machine.local import LocalMachine
from ouchi.rig import debian

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ca-certificates", "zsh", "fish", "pipx")
ENTER = """
root=$1
shift
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --make-rslave "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero random urandom; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
exec chroot "$root" "$@"
"""
INDEX = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches the package index."""

COMPLETE = {
    "fish": ["fish", "-c", "./ouchi completion fish | source; complete -C './ouchi rend'"],
    "zsh": ["zsh", "-f", "-c", """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -U compinit; compinit -u; eval "$(./ouchi completion zsh)"; echo read''y'
zpty -r -m shell text '*ready*'
zpty -n -w shell $'./ouchi rend\\t'
zpty -r -m shell text '*render *'
print -r -- "$text"
"""],
}  # fmt: skip


class System:
    """A Debian of its own in a folder, on this machine's network."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder = folder
        machine, include = LocalMachine(), ",".join(PACKAGES)
        argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", f"--include={include}"]
        subprocess.run(
            [*debian.ALONE, *argv, *debian.WITHOUT, suite, str(folder), *debian.mirror(machine)],
            env={**os.environ, **debian.proxies(machine), "TMPDIR": str(folder.parent)},
            check=True, capture_output=True, timeout=900,
        )  # fmt: skip
        for name in filter(os.path.exists, INDEX):
            (folder / name[1:]).unlink(missing_ok=True)
            shutil.copy(name, folder / name[1:])

    def run(self, *argv: str, cwd: str = "/root", user: int = 0, check: bool = True) -> str:
        """Standard output and standard error of a program that must succeed."""
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        env |= {"HOME": "/root" if not user else "/home/user", "TERM": "dumb"}
        env |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh", str(self.folder)]
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        done = subprocess.run(
            [*inside, *drop, "env", "-C", cwd, *argv],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=600,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    installed.require(installed.RIG)
    found = System(tmp_path_factory.mktemp("debian") / "root", request.param)
    found.run("apt-get", "-qq", "update")
    (found.folder / "home" / "user").mkdir()
    os.chown(found.folder / "home" / "user", 1000, 1000)
    yield found
    shutil.rmtree(found.folder)


def works(system: System, name: str, **how: object) -> None:
    """It plans, and its hints begin with ``name``."""
    arguments = ["sh", "-c", f"{name} plan && {name} version && ! {name} doctor --site nothing"]
    output = system.run(*arguments, **how)  # type: ignore[arg-type]
    assert "PMD thread" in output
    assert f"\n  next:     {name} plan\n" in output


def test_the_debian_package(system: System, tmp_path: Path) -> None:
    subprocess.run([ROOT / "tools" / "build-deb", tmp_path], check=True, capture_output=True)
    (package,) = tmp_path.glob("*.deb")
    shutil.copy(package, system.folder / "root" / "ouchi.deb")
    system.run("apt-get", "-qq", "install", "--no-install-recommends", "./ouchi.deb")
    works(system, "ouchi", user=1000, cwd="/home/user")
    works(system, "ouchi")
    assert "render" in system.run("ouchi", "help", cwd="/tmp")
    system.run("apt-get", "-qq", "remove", "ouchi")
    assert not (system.folder / "usr" / "lib" / "ouchi").exists()
    assert not (system.folder / "usr" / "bin" / "ouchi").is_symlink()


def test_a_clone(system: System) -> None:
    """As root without sudo; the launcher brings Python. zsh and fish then complete ``./ouchi``."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, system.folder / "root" / "clone"], check=True)
    works(system, "./ouchi", cwd="/root/clone")
    for shell, argv in COMPLETE.items():
        assert "render" in system.run("timeout", "60", *argv, cwd="/root/clone"), shell


def test_pipx(system: System, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.copy(wheel, system.folder / "root")
    system.run("pipx", "install", f"/root/{wheel.name}")
    works(system, "/root/.local/bin/ouchi")
