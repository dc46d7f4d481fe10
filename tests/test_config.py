"""The configuration: where values come from, and what is said about wrong ones."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vestige.config import CAPSULE, KEYS, Config, load
from vestige.errors import ConfigError
from vestige.model.collecting import Wanted


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


def test_files_to_collect_repositories_and_capsules(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").write_text(
        'pre_capture = ["make -s lock", "date > stamp"]\n[collect]\n"a" = {}\n"b/*" = { digest = "md5", copy = true }\n'
        '[items.tables.files]\n"*.csv" = { move = true, copy = false }\n[repositories]\nlibrary = "../library"\n'
        '[capsule]\nvault = "runs"\nwrite = true\n'
    )
    config = load(str(tmp_path), {})
    assert config.pre_capture == ("make -s lock", "date > stamp")
    assert config.collect == (Wanted("a"), Wanted("b/*", "copy", "md5"))
    assert [(item.name, item.files, item.wanted) for item in config.items] == [("tables", ("*.csv",), (Wanted("*.csv", "move"),))]
    assert config.repositories == (("library", "../library"),)
    capsule = config.capsule
    assert (capsule.vault, capsule.template, capsule.write, capsule.cpu) == ("runs", "%Y%m%d_%H%M%S", True, True)


def test_a_configuration_can_be_handed_to_another_process(tmp_path: Path) -> None:
    (tmp_path / "vestige.toml").write_text('[collect]\n"a" = { copy = true }\n[capsule]\nwrite = true\n')
    again = pickle.loads(pickle.dumps(load(str(tmp_path), {})))
    assert again.collect == (Wanted("a", "copy"),)
    assert (again.capsule.write, again.capsule.vault) == (True, "vault")


def test_what_capsules_take_is_what_the_table_says() -> None:
    for key in CAPSULE:
        assert getattr(Config().capsule, key.name) == tomllib.loads(f"x = {key.default}")["x"]


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
        ('[collect]\n"a" = { digest = "sha265" }', "collect.'a'.digest takes blake3, "),
        ('[collect]\n"a" = { digest = "sha265" }', "not 'sha265'; did you mean 'sha256'?"),
        ('[collect]\n"a" = { digset = "md5" }', "there is no key 'collect.'a'.digset'; did you mean 'collect.'a'.digest'?"),
        ('[collect]\n"a" = { copy = true, move = true }', "collect.'a' is to be copied and moved: it can be one of the two"),
        ('[collect]\n"a" = { copy = 1 }', "collect.'a'.copy takes true or false, not 1"),
        ('[collect]\n"a" = true', "collect.'a' takes a table such as { digest"),
        ('[collect]\n"" = {}', "names no file"),
        ('[collect]\n"a\\nb" = 3', "collect.'a\\nb' takes a table"),
        ("collect = []", "collect is a table"),
        ('[items.a.files]\n"b" = { mvoe = true }', "there is no key 'items.a.files.'b'.mvoe'; did you mean"),
        ("pre_capture = 'make'", "pre_capture takes a list of words"),
        ("sidecars = 1", "sidecars takes true or false, not 1"),
        ("[repositories]\na = 1", "repositories.a takes a path, not 1"),
        ("repositories = 1", "repositories is a table"),
        ("[capsule]\nvalt = 1", "there is no key 'capsule.valt'; did you mean 'capsule.vault'?"),
        ("[capsule]\nvault = 1", "capsule.vault takes a text, not 1"),
        ('[capsule]\ntemplate = "../x"', "capsule.template names a folder in the vault, which '../x' does not"),
        ('[capsule]\ncpu = "no"', "capsule.cpu takes true or false, not 'no'"),
        ("capsule = 1", "capsule is a table"),
        ("[repositorys]", "there is no key 'repositorys'; did you mean 'repositories'?"),
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
        ("VESTIGE_PRE_CAPTURE", "echo a, b\ndate", "pre_capture", ("echo a, b", "date")),
        ("VESTIGE_PRE_CAPTURE", "", "pre_capture", ()),
        ("VESTIGE_SIDECARS", "yes", "sidecars", True),
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
