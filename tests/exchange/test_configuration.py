"""The configurations of seeds, converted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.seeds import GOLDEN
from vestige.config import load
from vestige.errors import ConfigError, ExistsError, NotFoundError
from vestige.exchange import toml
from vestige.exchange.configuration import Converted, convert
from vestige.ops.import_config import import_config, place_for


def converted(folder: Path, text: str, name: str = "capsula.toml") -> tuple[dict, Converted]:
    """What comes of a configuration, which Vestige reads: as it is read again, and as it was written."""
    path = folder / name
    path.write_text(text)
    found = convert(str(path))
    (folder / "target").mkdir(exist_ok=True)
    (folder / "target" / "vestige.toml").write_text(found.text)
    load(str(folder / "target"), {})
    return tomllib.loads(found.text), found


def test_all_that_the_document_of_capsula_shows_is_converted(tmp_path: Path) -> None:
    said, found = converted(
        tmp_path,
        """
        vault-directory = 'vault'
        capsule-template = '%Y%m%d_%H%M%S'
        [capture]
        include-cpu = true
        pre-capture-commands = ['poetry lock --check', 'pip freeze --exclude-editable > requirements.txt']
        environment-variables = ['HOME']
        [capture.files]
        "pyproject.toml" = { hash = "sha256", copy = true }
        "requirements.txt" = { hash = "sha256", move = true }
        [capture.git.repositories]
        "repository-name" = '.'
        [monitor]
        capture = true
        [monitor.item.calculate-pi-cli.files]
        "examples/pi_cli.png" = { hash = "sha256", move = true }
        [monitor.item.calculate-pi-dec.files]
        "examples/pi_dec.png" = { hash = "sha256" }
        """,
    )
    assert said == {
        "variables": ["HOME"],
        "pre_capture": ["poetry lock --check", "pip freeze --exclude-editable > requirements.txt"],
        "capsule": {"write": True, "vault": "vault", "template": "%Y%m%d_%H%M%S", "cpu": True},
        "collect": {
            "pyproject.toml": {"digest": "sha256", "copy": True},
            "requirements.txt": {"digest": "sha256", "move": True},
        },
        "repositories": {"repository-name": "."},
        "items": {
            "calculate-pi-cli": {"files": {"examples/pi_cli.png": {"digest": "sha256", "move": True}}},
            "calculate-pi-dec": {"files": {"examples/pi_dec.png": {"digest": "sha256"}}},
        },
    }
    assert found.remarks == ()
    assert "# - monitor.capture: each run records its context" in found.text


def test_all_that_the_later_generation_knows_is_converted_or_named(tmp_path: Path) -> None:
    said, found = converted(
        tmp_path,
        """
        vault-dir = "here/vault"
        [pre-run]
        contexts = [
          { type = "CwdContext" }, { type = "CpuContext" }, { type = "PlatformContext" },
          { type = "EnvVarContext", name = "LR" }, { type = "EnvVarContext", name = "HOME" },
          { type = "GitRepositoryContext" },
          { type = "GitRepositoryContext", name = "lib", path = "../lib", allow_dirty = false },
          { type = "CommandContext", command = "make check", cwd = "sub", check = false },
          { type = "FileContext", path = "raw.csv", copy = true, path_relative_to_project_root = true },
          { type = "FileContext", path = "big.bin", compute_hash = false, path_relative_to_project_root = true },
          { type = "FunctionContext", ignore = ["password"] },
          { type = "MyOwnContext" },
        ]
        reporters = [{ type = "JsonDumpReporter" }, { type = "SlackReporter", channel = "#x", token = "t" }]
        [in-run]
        watchers = [{ type = "UncaughtExceptionWatcher" }, { type = "TimeWatcher" }]
        [post-run]
        contexts = [
          { type = "FileContext", path = "out.csv", hash_algorithm = "md5", move = true, path_relative_to_project_root = true },
          { type = "CommandContext", command = "notify-send done" },
        ]
        """,
    )
    assert said == {
        "variables": ["LR", "HOME"],
        "dirty": "refuse",
        "pre_capture": ["make check"],
        "capsule": {"write": True, "vault": "here/vault"},
        "repositories": {"lib": "../lib"},
        "collect": {"raw.csv": {"digest": "sha256", "copy": True}, "big.bin": {}},
        "items": {"post-run": {"files": {"out.csv": {"digest": "md5", "move": True}}}},
    }
    for word in ("Cwd", "Cpu", "Platform", "GitRepository", "Function"):
        assert f"# - {word}Context: " in found.text
    for beginning in (
        "CommandContext: 'make check' runs in the project's root, not in 'sub'",
        "CommandContext: 'make check' stops what follows if it fails",
        "FunctionContext: say it where the function is: @vestige.monitor(ignore=('password',))",
        "pre-run: there is no counterpart to MyOwnContext",
        "SlackReporter: ",
        "FileContext: 'out.csv' is moved after a run that is started with vestige run --item post-run",
        "a capsule is called by the time of its run",
        "CommandContext: 'notify-send done' is not run after a run",
    ):
        assert any(remark.startswith(beginning) for remark in found.remarks), beginning
    assert len(found.remarks) == 8


def test_what_vestige_would_refuse_is_named_instead(tmp_path: Path) -> None:
    said, found = converted(
        tmp_path,
        """
        vault-directory = ""
        capsule-template = "../%Y"
        [capture.files]
        "" = { hash = "sha256" }
        "a" = { hash = "crc32", copy = true, move = true, more = 1 }
        "b*" = { hash = "md5" }
        [capture.git.repositories]
        lib = ""
        """,
    )
    assert said == {"capsule": {"write": True}, "collect": {"a": {"move": True}, "b*": {"digest": "md5"}}}
    assert len(found.remarks) == 8


def test_a_secret_of_a_reporter_is_not_copied(tmp_path: Path) -> None:
    _, found = converted(tmp_path, '[pre-run]\nreporters = [{ type = "SlackReporter", token = "xoxb-1234567890-abcdefghij" }]\n')
    assert "xoxb" not in found.text + "".join(found.remarks)


def test_ntrk_s_flags_are_converted_and_its_refusal_is_kept(tmp_path: Path) -> None:
    said, found = converted(tmp_path, '[flags]\ninputs = ["--source"]\noutputs = ["--dest"]\n', "ntrk.toml")
    assert said == {"dirty": "refuse", "sidecars": True, "flags": {"inputs": ["--source"], "outputs": ["--dest"]}}
    assert found.remarks == ()


def test_what_ntrk_did_not_know_is_named(tmp_path: Path) -> None:
    text = 'strict = true\n[flags]\ninputs = ["source"]\noutputs = "--dest"\nboth = ["-x"]\n'
    said, found = converted(tmp_path, text, "ntrk.toml")
    assert said["flags"] == {"inputs": [], "outputs": []}
    assert len(found.remarks) == 4


def test_the_table_of_a_pyproject_is_read(tmp_path: Path) -> None:
    said, _ = converted(tmp_path, '[project]\nname = "x"\n[tool.capsula]\nvault-dir = "v"\n', "pyproject.toml")
    assert said == {"capsule": {"write": True, "vault": "v"}}
    with pytest.raises(NotFoundError, match=r"has no table \[tool.capsula\]"):
        converted(tmp_path, '[project]\nname = "x"\n', "pyproject.toml")


@pytest.mark.parametrize("text", ["a = ", "\x00", "[", "a = 1\na = 2\n"])
def test_what_is_not_toml_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"capsula\.toml is not TOML") as caught:
        converted(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_what_is_no_configuration_of_a_seed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a configuration of Capsula nor of ntrk"):
        converted(tmp_path, "a = 1\n", "other.toml")
    with pytest.raises(ConfigError, match="is a configuration of Vestige already"):
        converted(tmp_path, "", "vestige.toml")
    with pytest.raises(NotFoundError, match="is not there"):
        convert(str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match="is no regular file"):
        convert(str(tmp_path))


@pytest.mark.parametrize("wrong", ["7", "true", "'text'", "[1]", "{ a = 1 }", "[{ a = 1 }]"])
@pytest.mark.parametrize(
    "key",
    [
        "vault-directory", "capsule-template", "capture", "monitor", "capture.files", "capture.environment-variables",
        "capture.pre-capture-commands", "capture.git", "capture.git.repositories", "monitor.item", "capture.files.'x'",
        "monitor.item.a", "vault-dir", "pre-run", "pre-run.contexts", "in-run.watchers", "post-run.reporters",
    ],
)  # fmt: skip
def test_no_value_of_a_wrong_kind_stops_the_conversion(tmp_path: Path, key: str, wrong: str) -> None:
    converted(tmp_path, f"{key} = {wrong}\n")


def test_it_is_written_beside_and_over_nothing(tmp_path: Path) -> None:
    source = tmp_path / "capsula.toml"
    source.write_bytes((GOLDEN / "first" / "capsula.toml").read_bytes())
    place = place_for(str(source))
    assert place == str(tmp_path / "vestige.toml")
    written = import_config(str(source), place)
    assert (tmp_path / "vestige.toml").read_text() == written.text
    assert place_for(str(source)) is None
    with pytest.raises(ExistsError):
        import_config(str(source), place)


def test_a_project_that_is_configured_in_its_pyproject_gets_no_second_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.vestige]\nkeep = 0\n")
    assert place_for(str(tmp_path / "capsula.toml")) is None


values = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_as_toml_is_read_back_the_same(value: object, said: str) -> None:
    assert tomllib.loads(f"{toml.comment(said)}\n{toml.key('a key')} = {toml.literal(value)}\n") == {"a key": value}
