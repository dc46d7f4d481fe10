"""What is taken out, and, as important, what is left alone."""

from __future__ import annotations

import base64
import hmac
import subprocess
import sys
import textwrap
import time
from hashlib import blake2b, sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.model import redaction
from vestige.model.run import Redaction

KEY = b"k" * 32
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
B64 = "MIIEpAIBAAKCAQEAvR8Yq2mZ1xJ3kT5n7wE9bGfHhLsDcVaPoUiMtNyXzQrWeSaJ"
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def planted(prefix: str, alphabet: str, count: int, suffix: str = "") -> str:
    """A token made up here, so that no scanner takes this file for a leak."""
    raw = sha256(prefix.encode()).digest() * 10
    return prefix + "".join(alphabet[byte % len(alphabet)] for byte in raw[:count]) + suffix


HEX = "0123456789abcdef"
TOKENS = {
    "github": [planted("ghp" + "_", ALNUM, 36), planted("ghs" + "_", ALNUM, 36), planted("github" + "_pat_", ALNUM + "_", 82)],
    "gitlab": [planted("glpat" + "-", ALNUM, 20), planted("glcbt" + "-", ALNUM, 24)],
    "aws": [planted("AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)],
    "google": [planted("AIza", ALNUM, 35), planted("ya29" + ".", ALNUM, 60), planted("GOCSPX" + "-", ALNUM, 28)],
    "slack": [planted("xoxb" + "-", "0123456789", 24), planted("xapp" + "-1-", ALNUM, 30)],
    "stripe": [planted("sk" + "_live_", ALNUM, 24), planted("rk" + "_test_", ALNUM, 24), planted("whsec" + "_", ALNUM, 32)],
    "openai": [planted("sk" + "-proj-", ALNUM + "_-", 60), planted("sk" + "-", ALNUM, 48)],
    "anthropic": [planted("sk" + "-ant-api03-", ALNUM + "_-", 90)],
    "huggingface": [planted("hf" + "_", ALNUM, 34)],
    "wandb": [planted("wandb" + "_v1_", ALNUM, 70), planted("local" + "-", HEX, 40)],
    "pypi": [planted("pypi" + "-AgEIcHlwaS5vcmc", ALNUM, 150)],
    "npm": [planted("npm" + "_", ALNUM, 36)],
    "sendgrid": [planted("SG" + ".", ALNUM, 22, ".") + planted("", ALNUM, 43)],
    "twilio": [planted("SK", HEX, 32)],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + planted("", ALNUM, 43)],
}
PLANTED = [(kind, token) for kind, tokens in TOKENS.items() for token in tokens]


@pytest.mark.parametrize(("kind", "token"), PLANTED)
def test_a_token_with_a_form_of_its_own_is_found_anywhere(kind: str, token: str) -> None:
    for before, after in [("", ""), ("key ", " rest"), ("x='", "'"), ("https://h/?q=", "&b=1"), ('{"a":"', '"}'), ("\n", "\r\n")]:
        assert redaction.redact_text(before + token + after) == f"{before}«redacted:{kind}»{after}"
        assert redaction.scan((before + token + after).encode()) == (kind,)


SURROUNDINGS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


@given(st.sampled_from(PLANTED), SURROUNDINGS, SURROUNDINGS)
def test_a_planted_token_never_survives(pair: tuple[str, str], before: str, after: str) -> None:
    token = pair[1]
    text = f"{before} {token} {after}"
    assert token not in redaction.redact_text(text)
    assert token.encode() not in redaction.redact_stream(text.encode())


@given(SURROUNDINGS, st.sampled_from(PLANTED), SURROUNDINGS)
def test_redacting_twice_is_redacting_once(before: str, pair: tuple[str, str], after: str) -> None:
    once = redaction.redact_text(f"{before} token={pair[1]} {after}")
    assert redaction.redact_text(once) == once
    twice = redaction.redact_stream(once.encode())
    assert redaction.redact_stream(twice) == twice


ORDINARY = st.one_of(
    st.binary(max_size=64).map(lambda b: sha256(b).hexdigest()),
    st.binary(max_size=64).map(lambda b: "blake3:" + blake2b(b, digest_size=32).hexdigest()),
    st.binary(max_size=64).map(lambda b: blake2b(b, digest_size=20).hexdigest()),
    st.binary(max_size=64).map(lambda b: "sha256-" + base64.b64encode(sha256(b).digest()).decode()),
    st.binary(min_size=30, max_size=300).map(lambda b: "iVBORw0KGgo" + base64.b64encode(b).decode()),
    st.uuids().map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.lists(st.text("abcdefgz_-.0123456789", min_size=1, max_size=12), min_size=1, max_size=6).map(lambda p: "/" + "/".join(p)),
    st.lists(st.text("abcdefgz_", min_size=1, max_size=12), min_size=1, max_size=6).map(lambda p: "./" + "/".join(p) + ".csv"),
)
HARMLESS_NAMES = st.sampled_from(
    ["digest", "path", "id", "commit", "--seed", "n", "sha256", "file", "--max-tokens", "token_id", "image/png"]
)


@given(ORDINARY, HARMLESS_NAMES, st.sampled_from([" ", "=", ": ", '": "']))
def test_digests_identifiers_paths_and_numbers_are_left_alone(value: str, name: str, gap: str) -> None:
    text = f"{name}{gap}{value}"
    assert redaction.redact_text(text) == text
    assert redaction.redact_text(value) == value
    assert redaction.redact_argv([name, value, text], {}, KEY) == ((name, value, text), ())


def test_a_private_key_is_one_secret_however_it_is_written() -> None:
    body = "\n".join([B64] * 12)
    armour = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    assert redaction.redact_text(f"before\n{armour}\nafter") == "before\n«redacted:private-key»\nafter"
    assert redaction.redact_text(armour.replace("\n", "\\n")) == "«redacted:private-key»"
    assert B64 not in redaction.redact_text(armour[:300])
    assert redaction.scan(b"between '-----BEGIN RSA PRIVATE KEY-----' and '-----END RSA PRIVATE KEY-----' stands the key") == ()


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://ada:hunter2@example.org/r.git", "https://ada:«redacted:url»@example.org/r.git"),
        ("https://x-access-token:abcdef@github.com/a/b", "https://x-access-token:«redacted:url»@github.com/a/b"),
        ("https://abcdefghijklmnopqrstuv@host/x", "https://«redacted:url»@host/x"),
        ("postgresql://u:p@db/x", "postgresql://u:«redacted:url»@db/x"),
        ("redis://:pa:ss@h:6379/0", "redis://:«redacted:url»@h:6379/0"),
        ("https://a.blob/x?sv=2&sig=AbCd%2Fxyz&se=3", "https://a.blob/x?sv=2&sig=«redacted:signature»&se=3"),
        ("https://b.s3/x?X-Amz-Signature=0123456789abcdef", "https://b.s3/x?X-Amz-Signature=«redacted:signature»"),
        ("https://h/x?a=1&access_token=opaque-one", "https://h/x?a=1&access_token=«redacted:signature»"),
        ("https://conda.anaconda.org/t/ab-" + UUID + "/chan", "https://conda.anaconda.org/t/«redacted:conda»/chan"),
        ("https://host/t/short/chan/linux-64", "https://host/t/«redacted:conda»/chan/linux-64"),
        ("git@github.com:a/b.git", None),
        ("ssh://git@host:22/a/b.git", None),
        ("https://github.com/a/b.git", None),
        ("https://user@host/x", None),
        ("file:///home/ada/t/x", None),
        ("http://localhost:8080/a@b", None),
        ("docker://python:3.11@sha256:" + "a" * 64, None),
        ("https://registry.example/@scope/pkg/-/pkg-1.2.tgz", None),
    ],
)
def test_a_url_keeps_everything_but_its_secret(url: str, clean: str | None) -> None:
    assert redaction.redact_url(url) == (url if clean is None else clean)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('api_key = "a1b2c3d4e5"', 'api_key = "«redacted:key»"'),
        ("password: 'correcthorse'", "password: '«redacted:password»'"),
        ('{"client_secret": "Zx81kk29", "n": 1}', '{"client_secret": "«redacted:secret»", "n": 1}'),
        ("export DB_PASSWORD=correcthorse", "export DB_PASSWORD=«redacted:password»"),
        ("WANDB_API_KEY=" + "0af1" * 10 + " python t.py", "WANDB_API_KEY=«redacted:wandb» python t.py"),
        ('os.environ["API_TOKEN"] = "q1w2e3r4t5"', 'os.environ["API_TOKEN"] = "«redacted:token»"'),
        ("Authorization: Basic YWRhOmh1bnRlcjI=", "Authorization: Basic «redacted:authorization»"),
        ("-H 'Authorization: Bearer abc.def-123'", "-H 'Authorization: Bearer «redacted:authorization»'"),
        ("X-Api-Key: 12ab34cd56ef", "X-Api-Key: «redacted:key»"),
        ("AccountKey=" + B64 + "==;Endpoint", "AccountKey=«redacted:azure»;Endpoint"),
        ("İ password='correcthorse'", "İ password='«redacted:password»'"),
        ("password = getpass.getpass()", None),
        ("token = tokenizer.decode(ids)", None),
        ("api_key = os.environ['KEY']", None),
        ("password=${DB_PASSWORD}", None),
        ("secret = b64.b64decode(data)", None),
        ('api_key = "<your api key>"', None),
        ('api_key = "your-key-123-here"', None),
        ("max_tokens: 4096000000a", None),
        ('pad_token = "[PAD]token1"', None),
        ("token_ids = tensor2list(ids)", None),
        ('REFRESH_TOKEN = "REFRESH_TOKEN"', None),
        ('CONFIG_KEY = "config-key-name"', None),
        ("private_key: PrivateKeyTypes", None),
        ("password_file: /run/secrets/db1", None),
        ("tokens_per_second=1234.567890", None),
        ('"AWS::Api::ApiKey": "48205d4ffd7feba3"', None),
        ("secret: /etc/ssl/private/a1.pem", None),
    ],
)
def test_an_assignment_is_judged_by_name_and_value(text: str, clean: str | None) -> None:
    assert redaction.redact_text(text) == (text if clean is None else clean)


@pytest.mark.parametrize(
    ("argv", "clean"),
    [
        (["t", "--api-key", "abc"], ["t", "--api-key", "«redacted:key»"]),
        (["t", "--token=abc=def"], ["t", "--token=«redacted:token»"]),
        (["t", "api_key=X1"], ["t", "api_key=«redacted:key»"]),
        (["t", "+model.db.password=a.b"], ["t", "+model.db.password=«redacted:password»"]),
        (["t", "--wandb-key", "abc"], ["t", "--wandb-key", "«redacted:wandb»"]),
        (["env", "DB_PASS=x", "t"], ["env", "DB_PASS=«redacted:password»", "t"]),
        (["docker", "run", "--env=GH_TOKEN=abc"], ["docker", "run", "--env=GH_TOKEN=«redacted:github»"]),
        (["t", "--deploy-key", "Zk81nnQ2x7Wp0aLm"], ["t", "--deploy-key", "«redacted:key»"]),
        (["t", "--join-key", "Zk81nnQ2x7Wp0aLm"], ["t", "--join-key", "«redacted:key»"]),
        (["sshpass", "-p", "hunter", "ssh"], ["sshpass", "-p", "«redacted:password»", "ssh"]),
        (["/usr/bin/mysql", "-phunter", "db"], ["/usr/bin/mysql", "-p«redacted:password»", "db"]),
        (["curl", "-u", "ada:hunter", "h"], ["curl", "-u", "ada:«redacted:password»", "h"]),
        (["sh", "-c", "API_TOKEN=s3cr3tvalue run"], ["sh", "-c", "API_TOKEN=«redacted:token» run"]),
        (["t", "--config", '{"api_key": "a1b2c3d4"}'], ["t", "--config", '{"api_key": "«redacted:key»"}']),
        (["t", "--max-tokens", "100"], None),
        (["t", "--token", "5"], None),
        (["t", "--password", "--verbose"], None),
        (["t", "--token-file", "/run/t"], None),
        (["t", "--password=$PW"], None),
        (["t", "--sort-key", "column_name_number_1"], None),
        (["t", "--cache-key", sha256(b"").hexdigest()], None),
        (["t", "--group-key", UUID], None),
        (["t", "--use-auth", "true"], None),
        (["t", "--lr", "0.1", "TOKENIZERS_PARALLELISM=false"], None),
        (["env", "SSH_AUTH_SOCK=/tmp/ssh-Xa1/agent.12", "t"], None),
        (["t", "--pad-token", "<pad>"], None),
        (["t", "-", "--", "=", "a=", "=b", ""], None),
        ([], None),
    ],
)
def test_a_command_line_loses_its_secrets_and_nothing_else(argv: list[str], clean: list[str] | None) -> None:
    assert list(redaction.redact_argv(argv, {}, KEY)[0]) == (argv if clean is None else clean)


def test_the_value_of_a_secret_variable_is_masked_wherever_it_stands() -> None:
    environ = {"WANDB_API_KEY": "0af1" * 10, "HOME": "/home/ada", "DB_PASSWORD": "correcthorse", "SHORT_TOKEN": "abc"}
    argv = ["train", "--k", "0af1" * 10, "dsn=user/correcthorse@db", "abc", "/home/ada/x"]
    clean, redactions = redaction.redact_argv(argv, environ, KEY)
    assert clean == ("train", "--k", "«redacted:wandb»", "dsn=user/«redacted:password»@db", "abc", "/home/ada/x")
    assert redactions == (
        Redaction(at="command[2]", kind="wandb", variable="WANDB_API_KEY", hmac=redaction.fingerprint("0af1" * 10, KEY)),
        Redaction(at="command[3]", kind="password", variable="DB_PASSWORD", hmac=redaction.fingerprint("correcthorse", KEY)),
    )
    assert redaction.redact_stream(b"\xff login with correcthorse\n", redaction.known_values(environ)) == (
        b"\xff login with " + "«redacted:password»".encode() + b"\n"
    )


def test_values_that_are_no_secrets_are_not_looked_for() -> None:
    environ = {
        "PWD": "/home/ada/project",
        "OLDPWD": "/home/ada/other",
        "SSH_AUTH_SOCK": "/tmp/ssh-agent/sock",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/ada/keys/google.json",
        "TOKENIZERS_PARALLELISM": "false-ish",
        "AWS_SHARED_CREDENTIALS_FILE": "credentials-file",
        "DB_PASSWORD": "password",
        "API_TOKEN": "short",
        "USE_AUTH": "required",
    }
    assert redaction.known_values(environ) == {}


def test_each_line_of_a_secret_of_many_lines_is_known() -> None:
    value = f"-----BEGIN PRIVATE KEY-----\n{B64}\n-----END PRIVATE KEY-----"
    known = redaction.known_values({"DEPLOY_KEY": value})
    assert known == {B64: "DEPLOY_KEY"}
    assert redaction.redact_text(f"loaded {B64}!", known) == "loaded «redacted:key»!"


def test_a_keyed_hash_tells_equal_from_different_and_nothing_else() -> None:
    def of(secret: str, key: bytes) -> str | None:
        return redaction.redact_argv(["t", "--token", secret], {}, key)[1][0].hmac

    assert of("one", KEY) == of("one", KEY) != of("two", KEY)
    assert of("one", KEY) != of("one", b"other")
    assert of("one", KEY) == hmac.new(KEY, b"one", "sha256").hexdigest()


@pytest.mark.parametrize(
    ("name", "value", "clean"),
    [
        ("GITHUB_TOKEN", "anything at all", "«redacted:github»"),
        ("LR", "0.1", "0.1"),
        ("PIP_INDEX_URL", "https://u:pw@h/simple", "https://u:«redacted:url»@h/simple"),
        ("NOTE", TOKENS["github"][0], "«redacted:github»"),
        ("API_KEY", "", ""),
        ("USE_AUTH", "true", "true"),
    ],
)
def test_a_variable_is_masked_whole_or_in_part(name: str, value: str, clean: str) -> None:
    found, redactions = redaction.redact_variable(name, value, {}, KEY)
    assert found == clean
    assert [one.at for one in redactions] == [f"variables.{name}"] * (value != clean)


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    "name",
    words("""API_KEY apiKey api-key OPENAI_API_KEY GITHUB_TOKEN token DB_PASSWORD PGPASSWORD MYSQL_PWD db_pass client_secret
    AWS_SECRET_ACCESS_KEY SECRET_KEY passphrase AZURE_STORAGE_KEY SIGNING_KEY access_tokens NPM_AUTH --wandb-key
    credentials SSHPASS VAULT_SECRET HF_TOKEN private_key SOME_ODD_KEY DBPASSWORD MYAPIKEY
        ACCESSTOKEN GH_TOKEN_2 TOKEN_PROD"""),
)
def test_names_that_betray_a_secret(name: str) -> None:
    assert redaction.secret_name(name)


@pytest.mark.parametrize(
    "name",
    words("""PWD OLDPWD PATH HOME TOKENIZERS_PARALLELISM SSH_AUTH_SOCK max_tokens MAX_TOKENS num_tokens pad_token eos_token
    token_type token_ids TOKEN_LIMIT PASSWORD_FILE AWS_ACCESS_KEY_ID KEY key sort_key primary_key PRIMARY_KEY PUBLIC_KEY
    monkey passes compass bypass author GIT_ASKPASS XAUTHORITY KEYBOARD hockey password_hash special_tokens auth
        token_pooling token-level subtoken tokenpooling_mode"""),
)
def test_names_that_betray_none(name: str) -> None:
    assert not redaction.secret_name(name)


@pytest.mark.parametrize(
    "path",
    [".env", "a/.env", ".env.local", "k/server.pem", "tls.key", ".ssh/id_rsa", "id_ed25519", "/home/a/.netrc", ".pypirc",
     "credentials.json", "credentials-prod.json", "x.p12", ".aws/credentials", ".streamlit/secrets.toml", "A/.ENV", ".npmrc"],
)  # fmt: skip
def test_files_that_are_secrets(path: str) -> None:
    assert redaction.is_secret_file(path)


@pytest.mark.parametrize(
    "path",
    [".env.example", "id_rsa.pub", "id_map.py", "environment.yml", "keys.py", "credentials.py", "monkey", "data/config.json",
     "env", ".envrc", "token", "config", "secrets.py"],
)  # fmt: skip
def test_files_that_are_not(path: str) -> None:
    assert not redaction.is_secret_file(path)


STREAM = (
    f"start {TOKENS['github'][0]} ünd \n".encode()
    + b"\xff\xfe\x00 binary\r50%\r100%\n"
    + f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n{B64}\n-----END RSA PRIVATE KEY-----\n".encode()
    + b"password='correcthorse' end"
)
KNOWN = {"ünd": "X_TOKEN"}


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_loses_its_secrets_wherever_it_is_cut(cuts: list[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert b"".join(redaction.redact_chunks(pieces, KNOWN)) == redaction.redact_stream(STREAM, KNOWN)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_a_stream_without_secrets_passes_byte_for_byte(pieces: list[bytes]) -> None:
    assert b"".join(redaction.redact_chunks(pieces)) == b"".join(pieces)


def test_a_stream_without_line_ends_is_not_held_for_ever_and_hides_what_lies_across_the_cut() -> None:
    redactor = redaction.StreamRedactor()
    token = TOKENS["github"][0].encode()
    out = b""
    for offset in range(40):
        piece = b" " * (40_000 + offset) + token
        out += redactor.feed(piece)
    assert len(out) > 1_000_000
    out += redactor.finish()
    assert out.count("«redacted:github»".encode()) == 40
    assert token not in out


def test_lines_are_let_go_as_soon_as_they_end() -> None:
    redactor = redaction.StreamRedactor()
    assert redactor.feed(b"one\ntw") == b"one\n"
    assert redactor.feed(b"o\r") == b"two\r"
    assert redactor.finish() == b""


def test_importing_it_compiles_nothing() -> None:
    code = """
        import sys
        sys.path[:0] = {}
        import vestige.model.redaction
        sys.exit(any(name in sys.modules for name in ("re", "hmac", "dataclasses")))
    """
    program = textwrap.dedent(code).format(sys.path)
    assert subprocess.run([sys.executable, "-S", "-c", program], check=False).returncode == 0


def test_scanning_a_megabyte_of_digests_is_quick() -> None:
    lines = "\n".join(f"{sha256(b'%d' % n).hexdigest()}  data/{n}.csv" for n in range(12_000)).encode()
    redaction.scan(lines)
    began = time.process_time()
    assert redaction.scan(lines) == ()
    assert time.process_time() - began < 0.5
