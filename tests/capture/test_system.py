"""Which package a file of the system came with, from the lists that package managers keep."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from vestige.capture import system


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    root = tmp_path / "debian"
    info = root / "var/lib/dpkg/info"
    write(info / "libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/libc.so.6\n")
    write(info / "mawk.list", "/.\n/usr/bin/mawk\n")
    write(info / "odd.list", "/usr/share/odd/a b\n/usr/share/odd/\udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"))
    write(info / "mawk.md5sums", "/usr/bin/gawk\n")
    write(
        root / "var/lib/dpkg/status",
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"
        "Package: mawk\nVersion: 1.3.4\nDescription: awk\n Package: nothing\n\nPackage: gone\nVersion: 9\n",
    )
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/mawk").touch()
    (root / "usr/bin/awk").symlink_to("mawk")
    return root


def test_files_of_debian_have_owners(debian: Path) -> None:
    libc = "/usr/lib/x86_64-linux-gnu/libc.so.6"
    paths = [libc, "/usr/bin/awk", "/bin/mawk", "/usr/share/odd/a b", "/usr/local/x", "/usr/bin/gawk"]
    found = system.owners(paths, root=str(debian))
    assert found.packages == {
        libc: "libc6",
        "/usr/bin/awk": "mawk",
        "/bin/mawk": "mawk",
        "/usr/share/odd/a b": "odd",
    }
    assert found.versions == {"libc6": "2.36-9", "mawk": "1.3.4", "odd": ""}
    assert found.problems == ()


def test_a_name_that_is_not_utf_8_has_an_owner(debian: Path) -> None:
    with open(debian / "var/lib/dpkg/info/odd.list", "wb") as file:
        file.write(b"/usr/share/odd/\xff\n")
    assert system.owners(["/usr/share/odd/\udcff"], root=str(debian)).packages == {"/usr/share/odd/\udcff": "odd"}


def test_answers_are_kept_until_the_package_manager_changes_something(
    debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    paths = ["/usr/bin/mawk", "/usr/local/x"]
    first = system.owners(paths, cache, str(debian))
    with monkeypatch.context() as patch:
        patch.setattr(system, "_found", lambda *_: pytest.fail("asked again"))
        assert system.owners(paths, cache, str(debian)) == first
    assert system.owners([*paths, "/lib/x86_64-linux-gnu/libc.so.6"], cache, str(debian)).versions == {
        "libc6": "2.36-9",
        "mawk": "1.3.4",
    }
    write(debian / "var/lib/dpkg/info/local.list", "/usr/local/x\n")
    write(debian / "var/lib/dpkg/status", "Package: mawk\nVersion: 2.0\n\nPackage: local\nVersion: 1\n")
    os.utime(debian / "var/lib/dpkg/status", (1, 1))
    assert system.owners(paths, cache, str(debian)).versions == {"mawk": "2.0", "local": "1"}


def test_a_damaged_or_unwritable_cache_is_no_harm(debian: Path, tmp_path: Path) -> None:
    first = system.owners(["/usr/bin/mawk"], str(tmp_path / "cache"), str(debian))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b'{"state": []')
    assert system.owners(["/usr/bin/mawk"], str(tmp_path / "cache"), str(debian)) == first
    (tmp_path / "file").touch()
    assert system.owners(["/usr/bin/mawk"], str(tmp_path / "file"), str(debian)) == first


def test_files_of_alpine_have_owners(tmp_path: Path) -> None:
    write(
        tmp_path / "lib/apk/db/installed",
        "C:Q1x\nP:musl\nV:1.2.4-r2\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nR:libc.musl-x86_64.so.1\n\n"
        "P:top\nV:3\nF:\nR:init\nF:usr/bin\nR:top\n\n",
    )
    found = system.owners(["/lib/ld-musl-x86_64.so.1", "/usr/bin/top", "/init", "/usr/bin/none"], root=str(tmp_path))
    assert found.packages == {"/lib/ld-musl-x86_64.so.1": "musl", "/usr/bin/top": "top", "/init": "top"}
    assert found.versions == {"musl": "1.2.4-r2", "top": "3"}


def test_files_of_arch_have_owners(tmp_path: Path) -> None:
    local = tmp_path / "var/lib/pacman/local"
    write(local / "ALPM_DB_VERSION", "9\n")
    write(local / "glibc-2.39-1/desc", "%NAME%\nglibc\n\n%VERSION%\n2.39-1\n\n%DESC%\nGNU C library\n")
    write(local / "glibc-2.39-1/files", "%FILES%\nusr/\nusr/lib/\nusr/lib/libc.so.6\n\n%BACKUP%\netc/gai.conf\tabc\n")
    found = system.owners(["/lib/libc.so.6", "/usr/lib/none"], root=str(tmp_path))
    assert (found.packages, found.versions) == ({"/lib/libc.so.6": "glibc"}, {"glibc": "2.39-1"})


RPM = r"""#!/bin/sh
test "$1 $2" = "--root $ROOT" || exit 9
case "$3" in
-qf) printf 'package\tglibc\nfile /opt/x is not owned by any package\n'; echo 'error: file /lib/x: No such file' >&2; exit 2;;
-q) test "$7" = glibc && printf 'glibc\t2.34-60.el9\t/lib64/libc.so.6\nglibc\t2.34-60.el9\t/usr/share/a b\n';;
esac
"""


def test_files_of_red_hat_have_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    write(root / "var/lib/rpm/rpmdb.sqlite", "")
    write(tmp_path / "bin/rpm", RPM.replace("$ROOT", str(root)))
    (tmp_path / "bin/rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    found = system.owners(["/usr/lib64/libc.so.6", "/usr/share/a b", "/opt/x"], root=str(root))
    assert found.packages == {"/usr/lib64/libc.so.6": "glibc", "/usr/share/a b": "glibc"}
    assert found.versions == {"glibc": "2.34-60.el9"}


def test_a_package_manager_that_fails_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "var/lib/rpm/rpmdb.sqlite", "")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    found = system.owners(["/usr/lib64/libc.so.6"], str(tmp_path / "cache"), str(tmp_path))
    assert found.packages == {}
    assert found.problems == ("rpm cannot say whose files these are: No such file or directory",)
    assert not (tmp_path / "cache").exists()


def test_where_there_is_no_package_manager_there_are_no_owners(tmp_path: Path) -> None:
    assert system.owners(["/usr/bin/x"], root=str(tmp_path)) == system.Owners({}, {})
    assert system.owners([]) == system.Owners({}, {})


def test_this_system_agrees_with_its_own_package_manager(tmp_path: Path) -> None:
    shell = os.path.realpath("/bin/sh")
    found = system.owners(["/bin/sh"], str(tmp_path))
    if shutil.which("dpkg") is None:
        assert found.problems == ()
        return
    names = [shell, shell.removeprefix("/usr")]
    said = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, check=False).stdout
    assert found.packages == {"/bin/sh": said.partition(":")[0]}
    version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", found.packages["/bin/sh"]], text=True)
    assert found.versions == {found.packages["/bin/sh"]: version}
    began = time.process_time()
    assert system.owners(["/bin/sh"], str(tmp_path)) == found
    assert time.process_time() - began < 0.01
