"""conda's own notes on what it installed."""

from __future__ import annotations

import json
from pathlib import Path

from vestige.capture import conda
from vestige.model.environment import CondaPackage

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def test_packages_are_read_with_channel_and_build(tmp_path: Path) -> None:
    notes = tmp_path / "conda-meta"
    notes.mkdir()
    for name, build in (("zlib", "h4ab18f5_1"), ("numpy", "py311h64a7726_0")):
        document = {
            "name": name,
            "version": "1.0",
            "build": build,
            "channel": "https://conda.anaconda.org/conda-forge/linux-64",
            "url": f"https://conda.anaconda.org/conda-forge/linux-64/{name}-1.0-{build}.conda",
            "md5": "0" * 32,
            "sha256": "1" * 64,
            "paths_data": {"paths": [{"_path": "lib/x", "sha256": "2" * 64}]},
        }
        (notes / f"{name}-1.0-{build}.json").write_text(json.dumps(document))
    packages, problems = conda.installed(str(notes))
    assert problems == ()
    assert [package.name for package in packages] == ["numpy", "zlib"]
    assert packages[1] == CondaPackage(
        name="zlib",
        version="1.0",
        build="h4ab18f5_1",
        channel="https://conda.anaconda.org/conda-forge/linux-64",
        url="https://conda.anaconda.org/conda-forge/linux-64/zlib-1.0-h4ab18f5_1.conda",
        md5="0" * 32,
        sha256="1" * 64,
    )
    assert conda.folder_of(str(tmp_path)) == str(notes)
    assert conda.folder_of(str(notes)) is None


def test_tokens_in_channels_are_taken_out(tmp_path: Path) -> None:
    (tmp_path / "a-1-0.json").write_text(
        json.dumps(
            {
                "name": "a",
                "version": "1",
                "channel": f"https://host/t/ab-{UUID}/private",
                "url": "https://ada:hunter2@host/t/short-token/private/noarch/a-1-0.conda",
            }
        )
    )
    ((package,), _) = conda.installed(str(tmp_path))
    assert package.channel == "https://host/t/«redacted:conda»/private"
    assert package.url == "https://ada:«redacted:url»@host/t/«redacted:conda»/private/noarch/a-1-0.conda"


def test_a_damaged_note_is_a_problem_and_its_name_says_the_rest(tmp_path: Path) -> None:
    (tmp_path / "open-ssl-3.1-h0_2.json").write_text("{")
    (tmp_path / "odd.json").write_text("[]")
    (tmp_path / "history").write_text("")
    packages, problems = conda.installed(str(tmp_path))
    assert packages == (CondaPackage(name="odd", version=""), CondaPackage(name="open-ssl", version="3.1", build="h0_2"))
    assert problems == (f"conda: {tmp_path}/odd.json is damaged", f"conda: {tmp_path}/open-ssl-3.1-h0_2.json is damaged")
    assert conda.installed(str(tmp_path / "gone"))[1] == (f"{tmp_path}/gone cannot be read: No such file or directory",)


def test_what_the_user_asked_for_is_the_history(tmp_path: Path) -> None:
    (tmp_path / "history").write_text(
        "==> 2026-01-01 <==\n# cmd: conda create\n# update specs: ['python=3.11', 'numpy', 'scipy']\n+defaults::numpy\n"
        "# remove specs: ['scipy']\n# install specs: ['https://host/t/secret-token/c::pkg']\n# update specs: broken\n"
    )
    assert conda.specs(str(tmp_path)) == ("python=3.11", "numpy", "https://host/t/«redacted:conda»/c::pkg")
    assert conda.specs(str(tmp_path / "gone")) == ()
