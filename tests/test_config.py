"""The configuration: where values come from, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vestige.config import KEYS, Config, load
from vestige.errors import ConfigError


def test_nothing_must_be_configured(tmp_path: Path) -> None:
    config = load(str(tmp_path), {})
    assert (config.keep, config.budget, config.streams) == (1 << 20, 2 << 30, 1 << 20)
    assert (config.source_limit, config.snapshot_limit, config.secrets) == (10 << 20, 200 << 20, "private")
    assert (config.dirty, config.records, config.observe) == ("keep", "local", "auto")
    assert config.catalogue is True
    assert config.origin("keep") == "default"


def test_a_file_stands_over_defaults_and_a_variable_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").write_text('keep = "10 MiB"\ndirty = "refuse"\nbudget = 5\n')
    config = load(str(tmp_path), {"VESTIGE_DIRTY": "keep", "VESTIGE_RUN_ID": "no key"})
    assert config.keep == 10 << 20
    assert config.budget == 5
    assert config.dirty == "keep"
    assert config.origin("keep") == str(tmp_path / "vestige.toml")
    assert config.origin("dirty") == "VESTIGE_DIRTY"
    assert config.origin("streams") == "default"


def test_a_flag_stands_over_all(tmp_path: Path) -> None:
    config = load(str(tmp_path), {"VESTIGE_OBSERVE": "audit"}).replaced("observe", "none", "--observe")
    assert (config.observe, config.origin("observe")) == ("none", "--observe")


def test_the_table_in_pyproject_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.vestige]\nvariables = ["LR"]\n')
    config = load(str(tmp_path), {})
    assert config.variables == ("LR",)
    assert "[tool.vestige]" in config.origin("variables")


def test_a_pyproject_of_others_is_not_even_parsed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("this is = no TOML [\n")
    assert load(str(tmp_path), {}).keep == 1 << 20


def test_flags_and_items(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").write_text(
        '[flags]\ninputs = ["-t"]\noutputs = ["--save"]\n[items]\nfigures = ["*.png"]\n[items.tables]\nfiles = ["*.csv"]\n'
    )
    config = load(str(tmp_path), {})
    assert (config.flags.inputs, config.flags.outputs) == (("-t",), ("--save",))
    assert [(item.name, item.files) for item in config.items] == [("figures", ("*.png",)), ("tables", ("*.csv",))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kep = 1", "there is no key 'kep'; did you mean 'keep'?"),
        ('dirty = "refuze"', "dirty takes keep or refuse, not 'refuze'; did you mean 'refuse'?"),
        ('keep = "much"', "keep takes a size such as \"1 MiB\", not 'much'"),
        ("keep = true", "keep takes a size"),
        ("keep = -1", "keep takes a size"),
        ('catalogue = "perhaps"', "catalogue takes true or false"),
        ("variables = 3", "variables takes a list of words"),
        ('[flags]\ninput = ["-t"]', "there is no key 'flags.input'; did you mean 'flags.inputs'?"),
        ('[flags]\ninputs = ["t"]', "flags.inputs takes options"),
        ("flags = 1", "flags is a table"),
        ("items = 1", "items is a table"),
        ("classify = 1", "classify is a table"),
        (
            '[classify]\n"a/*" = "dta"',
            "classify.'a/*' takes data, config, code, cache, temporary, library or system, not 'dta'; did you mean 'data'?",
        ),
        ('[classify]\n"a/*" = 3', "not 3"),
        ("[clasify]", "there is no key 'clasify'; did you mean 'classify'?"),
        ("[items.a]\nfile = []", "there is no key 'items.a.file'; did you mean 'items.a.files'?"),
        ("keep = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_and_nearest_right_one(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "vestige.toml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path), {})
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 64


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("VESTIGE_KEEP", "0", "keep", 0),
        ("VESTIGE_CATALOGUE", "no", "catalogue", False),
        ("VESTIGE_VARIABLES", "LR, SEED", "variables", ("LR", "SEED")),
    ],
)
def test_variables_are_read_as_the_file_would_be(tmp_path: Path, variable: str, text: str, key: str, value: object) -> None:
    assert getattr(load(str(tmp_path), {variable: text}), key) == value


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="VESTIGE_KEEP: keep takes a size"):
        load(str(tmp_path), {"VESTIGE_KEEP": "big"})


def test_the_first_pattern_that_fits_gives_a_file_its_role(tmp_path: Path) -> None:
    table = '[classify]\n"cache/*.bin" = "data"\n"cache/*" = "cache"\n"/opt/sets/*" = "data"\n"*.dat" = "config"\n'
    (tmp_path / "vestige.toml").write_text(table)
    config = load(str(tmp_path), {})
    asked = ("cache/m.bin", "cache/m.txt", "deep/cache/m.bin", "/opt/sets/a/b", "x/opt/sets/a", "a.dat", "m.bin")
    assert [config.role(path) for path in asked] == ["data", "cache", "data", "data", None, "config", None]
    assert Config().role("cache/m.bin") is None


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().keep = 3


def test_defaults_are_what_the_table_says() -> None:
    for key in KEYS:
        written = load("/nonexistent", {}).replaced(key.name, tomllib.loads(f"x = {key.default}")["x"], "the table")
        assert getattr(written, key.name) == getattr(Config(), key.name), key.name


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/p/a.csv", True), ("/p/big.ckpt", False), ("/p/scratch/x", False), ("/p/.env", False), ("/p/id_rsa", False)],
)
def test_what_may_be_kept_is_told_by_name(path: str, kept: bool) -> None:
    config = Config().replaced("keep_exclude", ["*.ckpt", "scratch/*"], "test")
    assert config.keeps(path) is kept


def test_loading_nothing_imports_nothing(tmp_path: Path) -> None:
    code = "import sys, vestige.config as c; before = set(sys.modules); c.load(sys.argv[1]); print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
