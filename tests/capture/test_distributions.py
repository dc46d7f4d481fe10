"""Installed distributions, in every form in which they lie on disks."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.capture.distributions import content_of, installed, normalised

RECORD = """demo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
demo/core.py,sha256=LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564,12
demo-1.0.dist-info/METADATA,sha256=abc,100
demo-1.0.dist-info/WHEEL,sha256=def,90
"""


def dist(folder: Path, name: str = "demo", version: str = "1.0", record: str | None = RECORD, **files: str) -> Path:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: of the readme\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\nTag: py2-none-any\nBuild: 3\n")
    if record is not None:
        (info / "RECORD").write_text(record)
    for file, text in files.items():
        (info / file.replace("_json", ".json")).write_text(text)
    return info


def test_a_wheel_says_what_it_is(tmp_path: Path) -> None:
    dist(tmp_path, name="Demo-Thing", INSTALLER="pip\n")
    found = installed([str(tmp_path)])
    package = found.packages["demo-thing"]
    assert (package.name, package.version, package.installer) == ("Demo-Thing", "1.0", "pip")
    assert package.tags == ("py2-none-any", "py3-none-any")
    assert package.extra == {"build": "3"}
    assert package.digest == content_of(RECORD.encode())
    assert found.problems == []


def test_what_installers_write_themselves_does_not_change_the_content() -> None:
    by_pip = (
        RECORD
        + "demo-1.0.dist-info/INSTALLER,sha256=zz,4\ndemo-1.0.dist-info/RECORD,,\ndemo-1.0.dist-info/REQUESTED,sha256=x,0\n"
        + "../../../bin/demo,sha256=script,200\ndemo/__pycache__/core.cpython-311.pyc,,\n"
        + 'demo-1.0.dist-info/direct_url.json,sha256=y,40\n"demo-1.0.dist-info/uv_cache.json",sha256=q,4\n'
    )
    windows = "\r\n".join(reversed(RECORD.replace("demo/core.py", "demo\\core.py").splitlines())) + "\r\n"
    assert content_of(by_pip.encode()) == content_of(RECORD.encode()) == content_of(windows.encode())
    assert content_of(RECORD.replace("LCa0", "LCa1").encode()) != content_of(RECORD.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    found = content_of(data)
    assert found is None or found.startswith("blake3:")


def test_a_name_with_a_comma_is_one_name() -> None:
    assert content_of(b'"a,b.py",sha256=x,1\n') != content_of(b"a,b.py,sha256=x,1\n")


def test_the_first_on_the_path_wins(tmp_path: Path) -> None:
    dist(tmp_path / "a", version="2.0")
    dist(tmp_path / "b", version="1.0")
    dist(tmp_path / "b", name="other")
    found = installed([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "gone")])
    assert {name: package.version for name, package in found.packages.items()} == {"demo": "2.0", "other": "1.0"}
    assert found.folders == [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "gone")]


def test_credentials_in_an_origin_are_taken_out(tmp_path: Path) -> None:
    url = '{"url": "https://ada:hunter2@example.org/demo.git", "vcs_info": {"vcs": "git", "commit_id": "%s"}}' % ("a" * 40)
    dist(tmp_path, direct_url_json=url)
    origin = installed([str(tmp_path)]).packages["demo"].origin
    assert origin == {
        "url": "https://ada:«redacted:url»@example.org/demo.git",
        "vcs_info": {"vcs": "git", "commit_id": "a" * 40},
    }


def test_an_editable_wheel_has_an_origin_and_no_content(tmp_path: Path) -> None:
    dist(tmp_path, direct_url_json='{"url": "file:///home/ada/demo", "dir_info": {"editable": true}}', INSTALLER="uv")
    package = installed([str(tmp_path)]).packages["demo"]
    assert package.digest is None
    assert package.origin == {"url": "file:///home/ada/demo", "dir_info": {"editable": True}}


def test_the_build_folder_of_conda_is_no_origin(tmp_path: Path) -> None:
    dist(tmp_path, direct_url_json='{"url": "file:///home/conda/feedstock_root/work", "dir_info": {}}', INSTALLER="conda\n")
    package = installed([str(tmp_path)]).packages["demo"]
    assert (package.installer, package.origin) == ("conda", None)


def test_an_egg_link_leads_to_the_package_in_development(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    (source / "my_demo.egg-info").mkdir(parents=True)
    (source / "my_demo.egg-info" / "PKG-INFO").write_text("Name: my-demo\nVersion: 0.3\n")
    site.mkdir()
    (site / "my-demo.egg-link").write_text(f"{source}\n.")
    (site / "easy-install.pth").write_text(f"# a comment\nimport os; os.abort()\n{source}\n/gone\n")
    found = installed([str(site)])
    package = found.packages["my-demo"]
    assert (package.name, package.version) == ("my-demo", "0.3")
    assert package.origin == {"url": f"file://{source}", "dir_info": {"editable": True}}
    assert found.folders == [str(site), str(source)]
    (source / "my_demo.egg-info" / "PKG-INFO").unlink()
    (source / "my_demo.egg-info").rmdir()
    assert installed([str(site)]).problems == [
        f"my-demo: {site}/my-demo.egg-link points to {source}, where there is no such package"
    ]


def test_eggs_of_every_kind_are_listed(tmp_path: Path) -> None:
    (tmp_path / "one-1.1-py3.11.egg-info").write_text("Name: one\nVersion: 1.1\n")
    (tmp_path / "two-2.2.egg-info").mkdir()
    (tmp_path / "two-2.2.egg-info" / "PKG-INFO").write_text("Name: two\nVersion: 2.2\n")
    (tmp_path / "three-3.3-py3.8.egg" / "EGG-INFO").mkdir(parents=True)
    (tmp_path / "three-3.3-py3.8.egg" / "EGG-INFO" / "PKG-INFO").write_text("Name: three\nVersion: 3.3\n")
    found = installed([str(tmp_path)])
    assert {package.name: package.version for package in found.packages.values()} == {"one": "1.1", "two": "2.2", "three": "3.3"}
    assert found.problems == []


def test_broken_packages_are_listed_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "empty-1.5.dist-info").mkdir()
    info = dist(tmp_path, name="noise", version="2", record="\ufffe")
    (info / "METADATA").write_bytes(b"\xff\x00 nothing here")
    (info / "RECORD").write_bytes(b"\xff\xfe\x00")
    (info / "direct_url.json").write_text("[[[")
    dist(tmp_path, name="lost", record=None, INSTALLER="pip")
    dist(tmp_path, name="debian", record=None)
    os.mkfifo(dist(tmp_path, name="fifo", record=None) / "RECORD")
    found = installed([str(tmp_path)])
    assert {p.name: (p.version, p.digest) for p in found.packages.values()} == {
        "empty": ("1.5", None),
        "noise": ("2", None),
        "lost": ("1.0", None),
        "debian": ("1.0", None),
        "fifo": ("1.0", None),
    }
    assert sorted(found.problems) == sorted(
        [
            f"empty: METADATA in {tmp_path}/empty-1.5.dist-info is missing",
            f"noise: METADATA in {tmp_path}/noise-2.dist-info is damaged",
            f"noise: direct_url.json in {tmp_path}/noise-2.dist-info is damaged",
            f"noise: RECORD in {tmp_path}/noise-2.dist-info is damaged",
            f"lost: RECORD in {tmp_path}/lost-1.0.dist-info is missing",
            f"fifo: RECORD in {tmp_path}/fifo-1.0.dist-info is damaged",
        ]
    )


def test_of_two_versions_in_one_folder_the_newer_installation_counts(tmp_path: Path) -> None:
    os.utime(dist(tmp_path, version="2.0"), (1, 1))
    dist(tmp_path, version="1.0")
    (tmp_path / "~emo-3.0.dist-info").mkdir()
    found = installed([str(tmp_path)])
    assert found.packages["demo"].version == "1.0"
    assert found.problems == [f"demo: both 1.0 and 2.0 in {tmp_path}"]


@pytest.mark.parametrize(("name", "same"), [("Scikit_Learn", "scikit-learn"), ("a.b--c", "a-b-c"), ("-x-", "x")])
def test_names_are_compared_as_installers_do(name: str, same: str) -> None:
    assert normalised(name) == same


def test_what_is_found_is_what_importlib_finds() -> None:
    folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    found = installed(folders)
    expected = {
        normalised(each.metadata["Name"]): each.version
        for each in reversed(list(importlib.metadata.distributions(path=found.folders)))
    }
    assert {name: package.version for name, package in found.packages.items()} == expected
