"""What looks like a secret, and how it is taken out before anything reaches a disk.

Three ways of telling, each with its own kind of mistake. *Families* have a form of their own (`ghp_…`,
`sk-ant-…`, a private key's armour): they are found anywhere. *Known values* are what the variables
named like secrets hold: they are found wherever they occur, whatever they look like. *Names* betray the rest
(`--api-key X`, `password=X`, `https://user:X@host`). A digest, an identifier, a path or a number is never
taken for a secret because of its looks alone: a record is full of them, and a mark in their place would lose it.

A secret becomes `«redacted:KIND»`. Where a key is handed in, its HMAC-SHA256 stays behind, so that two
runs can be seen to have used the same one.

Regular expressions are compiled when they are first needed, and each is tried only on a text that
holds one of its literals: that is what makes a megabyte cost milliseconds.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from vestige.model.secret_names import is_secret_file, kind_of_name, name_words, secret_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vestige.model.run import Redaction

    Span = tuple[int, int, str, str | None]

#: A value shorter than this is not looked for elsewhere: it would be found by accident.
SHORTEST_KNOWN = 8
_BRIEF = 1 << 16

__all__ = [
    "SHORTEST_KNOWN",
    "StreamRedactor",
    "fingerprint",
    "is_secret_file",
    "known_values",
    "mark",
    "redact_argv",
    "redact_chunks",
    "redact_stream",
    "redact_text",
    "redact_url",
    "redact_variable",
    "scan",
    "secret_name",
]

_NONE: Mapping[str, str] = MappingProxyType({})

# kind, literals of which a text must hold one, expression (its last group is the secret, or the whole)
_FAMILIES = (
    ("github", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("github", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{22,255}"),
    ("gitlab", ("glpat-", "glptt-", "gldt-", "glrt-", "glft-"), r"gl(?:pat|ptt|dt|rt|ft)-[A-Za-z0-9_.\-]{20,300}"),
    ("gitlab", ("glcbt-", "glimt-", "gloas-", "glsoat-"), r"gl(?:cbt|imt|oas|soat)-[A-Za-z0-9_.\-]{20,300}"),
    ("aws", ("AKIA", "ASIA", "ABIA", "ACCA"), r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9+/=])"),
    ("google", ("AIza",), r"AIza[A-Za-z0-9_\-]{35}"),
    ("google", ("ya29.",), r"ya29\.[A-Za-z0-9_\-]{20,}"),
    ("google", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_\-]{20,}"),
    ("slack", ("xox",), r"xox[abeoprs](?:\.xox[a-z])?-[A-Za-z0-9\-]{10,}"),
    ("slack", ("xapp-",), r"xapp-[0-9]-[A-Za-z0-9\-]{10,}"),
    ("slack", ("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_\-]{20,})"),
    ("stripe", ("k_live_", "k_test_", "k_prod_"), r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{16,}"),
    ("stripe", ("whsec_",), r"whsec_[A-Za-z0-9+/=]{24,}"),
    ("anthropic", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_\-]{20,}"),
    ("openai", ("sk-",), r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20,}"),
    ("openai", ("sk-",), r"sk-[A-Za-z0-9]{32,}"),
    ("huggingface", ("hf_", "api_org_"), r"(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    ("wandb", ("wandb_v",), r"wandb_v[0-9]_[A-Za-z0-9_\-]{20,}"),
    ("wandb", ("local-",), r"local-[0-9a-f]{40}(?![0-9a-f])"),
    ("pypi", ("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_\-]{50,}"),
    ("npm", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    ("sendgrid", ("SG.",), r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}"),
    ("twilio", ("SK",), r"SK[0-9a-f]{32}(?![0-9A-Za-z])"),
    ("jwt", ("eyJ",), r"eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"),
    ("azure", ("AccountKey=", "SharedAccessKey="), r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})"),
)
#: A family's secret does not begin in the middle of something longer. Asked afterwards: an expression that
#: begins with its literal is ten times as fast as one that begins by looking back.
_INSIDE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+")

_ARMOUR = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?=(?s:.{0,200}?)[A-Za-z0-9+/=]{40})"
    r"(?:(?s:.{0,20000}?)-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=:,. \t\r\n\\\-]{0,20000})"
)
_USERINFO = r"://(?:([^\s/?#:@\"'<>]{20,})@|[^\s/?#:@\"'<>]*:([^\s/?#\"'<>]+)@(?!sha\d+:))"
_QUERY = (
    r"(?i)[?&;](?:sig|sas|(?:[a-z]+_)?token|auth|api_?key|(?:client_?)?secret|password|passwd|pwd|signature"
    r"|x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid)=([^&\s\"'#<>«]{6,})"
)
_CONDA = r"://[^/\s]+/t/((?:[a-z]{2}-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9_]{20,})(?=/)"
_CONDA_CHANNEL = r"(?i)^(?!file:)[a-z0-9+.\-]+://\S*?/t/([^/\s«]+)(?=/|$)"
# These two, and the next, are for a text in small letters.
_AUTHORIZATION = r"authorization[\"']?\s*[:=,]\s*[\"']?(?:basic|bearer|token|digest|apikey|negotiate)\s+([a-z0-9._~+/=\-]{8,})"
_BEARER = r"bearer\s+(?=[a-z._~+/=\-]*[0-9])([a-z0-9._~+/=\-]{20,})"
# Begins at the word that betrays it; the rest of the name is looked up to the left.
_ASSIGNMENT = (
    r"(?:passw(?:or)?d|passphrase|secret|token|credential|api[_\-]?key|_key|-key|_pwd|_pass|_auth)[a-z0-9_\-]{0,30}"
    r"(?P<close>[\"']?\]?)(?P<gap>[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4})"
    r"(?P<value>\"[^\"\s]{8,}\"|'[^'\s]{8,}'|[^\s\"'`,;&|(){}\[\]<>]{8,})"
)
_ASSIGNMENT_LITERALS = ("passw", "passphrase", "secret", "token", "credential", "key", "_pwd", "_pass", "_auth")


def known_values(environ: Mapping[str, str]) -> dict[str, str]:
    """The values that variables named like secrets hold, each with its variable: what to look for everywhere."""
    known: dict[str, str] = {}
    for name, value in environ.items():
        if not secret_name(name):
            continue
        lines = value.splitlines() if len(value.splitlines()) > 1 else []
        for part in (value.strip(), *(line for line in lines if len(line) >= 2 * SHORTEST_KNOWN)):
            if len(part) >= SHORTEST_KNOWN and not _harmless(part) and not secret_name(part) and not part.startswith("-----"):
                known.setdefault(part, name)
    return known


def scan(data: bytes, known: Mapping[str, str] = _NONE) -> tuple[str, ...]:
    """The kinds of secrets that bytes seem to hold, sorted. Placeholders, as in documentation, do not count."""
    text = data.decode("latin-1")
    return tuple(sorted({kind for start, end, kind, _ in _find(text, _as_latin(known)) if not _placeholder(text[start:end])}))


def redact_text(text: str, known: Mapping[str, str] = _NONE) -> str:
    """A text without its secrets."""
    return _masked(text, _find(text, known))


def redact_url(url: str) -> str:
    """A URL of a remote, a package or a channel, without password, token or signature."""
    spans = _find(url, _NONE)
    if "/t/" in url:
        spans += [(*found.span(1), "conda", None) for found in _compiled(_CONDA_CHANNEL).finditer(url)]
    return _masked(url, _joined(spans))


def redact_stream(data: bytes, known: Mapping[str, str] = _NONE) -> bytes:
    """What a program wrote, without its secrets, every other byte as it was."""
    text = data.decode("latin-1")
    spans = _find(text, _as_latin(known))
    if not spans:
        return data
    parts, position = [], 0
    for start, end, kind, _ in spans:
        parts += [data[position:start], mark(kind).encode()]
        position = end
    return b"".join([*parts, data[position:]])


def redact_chunks(chunks: Iterable[bytes], known: Mapping[str, str] = _NONE) -> Iterator[bytes]:
    """As `redact_stream`, for what comes in pieces: a secret that is cut by a piece's end is found, too."""
    redactor = StreamRedactor(known)
    for chunk in chunks:
        if clean := redactor.feed(chunk):
            yield clean
    if clean := redactor.finish():
        yield clean


class StreamRedactor:
    """Takes secrets out of a stream as it passes; holds back the unfinished line, and an unfinished private key."""

    _LONGEST = 1 << 16

    def __init__(self, known: Mapping[str, str] = _NONE) -> None:
        self._known = known
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be let go, now that `data` has come."""
        held = self._held + data
        ready = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        armour = held.rfind(b"-----BEGIN ")
        if armour >= 0 and b"PRIVATE KEY" in held[armour : armour + 70] and held.find(b"-----END ", armour, ready) < 0:
            ready = min(ready, armour)
        if len(held) - ready > self._LONGEST:
            ready = self._cut(held, len(held) - self._LONGEST // 2)
        self._held = held[ready:]
        return redact_stream(held[:ready], self._known)

    def finish(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        return redact_stream(held, self._known)

    def _cut(self, held: bytes, ready: int) -> int:
        for start, end, _, _ in _find(held.decode("latin-1"), _as_latin(self._known)):
            if start < ready < end:
                return end
        return ready


def redact_argv(
    argv: Sequence[str], environ: Mapping[str, str], key: bytes, at: str = "command"
) -> tuple[tuple[str, ...], tuple[Redaction, ...]]:
    """A command line without its secrets, and what was taken out, where. `key` is of the keyed hash."""
    known = known_values(environ)
    words: list[str] = []
    redactions: list[Redaction] = []
    for position, word in enumerate(argv):
        spans = _joined(_find(word, known) + _named(argv, position))
        words.append(_masked(word, spans))
        redactions += _redactions(word, spans, f"{at}[{position}]", key)
    return tuple(words), tuple(redactions)


def redact_variable(
    name: str, value: str, known: Mapping[str, str], key: bytes, at: str = "variables"
) -> tuple[str, tuple[Redaction, ...]]:
    """The value of a variable without its secrets; all of it where the name says so."""
    if value and secret_name(name) and not _harmless(value):
        spans: list[Span] = [(0, len(value), kind_of_name(name), name)]
    else:
        spans = _find(value, known)
    return _masked(value, spans), _redactions(value, spans, f"{at}.{name}", key)


def fingerprint(value: str, key: bytes) -> str:
    """The keyed hash that stands for a value: HMAC-SHA256, hexadecimal."""
    import hmac

    return hmac.digest(key, value.encode("utf-8", "surrogateescape"), "sha256").hex()


def mark(kind: str) -> str:
    """What stands where a secret stood."""
    return f"«redacted:{kind}»"


_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SWITCHES = frozenset(["", "true", "false", "none", "null", "yes", "no", "auto", "default", "required", "optional"])
_REFERENCES = ("$", "{{", "<", "./", "../", "~/", "sha256:", "sha512:", "blake3:", "md5:", "git:", "«", "Â«")
_PATH = r"(?:/[\w.@ +\-]{1,64}){3,}/?|/[\w.\-]{1,64}/[\w\-]{1,64}\.\w{1,8}|file://.*"
_NAME = r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+|[A-Za-z_]+\d{0,2}(?:[/\-][A-Za-z_]+\d{0,2})*"
_STAND_INS = ("$", "{", "<", "%", "*", "...", "…", "your", "my-", "my_", "changeme", "placeholder", "redacted")
_SAMPLES = frozenset(["password", "passwd", "pass", "secret", "token", "pw", "p"])


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    import re

    return re.compile(expression)


def _find(text: str, known: Mapping[str, str]) -> list[Span]:
    """Every secret in a text, in order, none overlapping another."""
    spans: list[Span] = []
    for value, variable in known.items():
        position = text.find(value)
        while position >= 0:
            spans.append((position, position + len(value), kind_of_name(variable), variable))
            position = text.find(value, position + len(value))
    if present := _present(text):
        for kind, literals, expression in _FAMILIES:
            if any(literal.startswith(beginning) for literal in literals for beginning in present):
                spans += [
                    (*found.span(found.lastindex or 0), kind, None)
                    for found in _compiled(expression).finditer(text)
                    if not found.start() or text[found.start() - 1] not in _INSIDE
                ]
    if "PRIVATE KEY" in text:
        spans += _matches(_ARMOUR, "private-key", text)
    if "://" in text:
        spans += _matches(_USERINFO, "url", text)
        spans += _matches(_CONDA, "conda", text)
    if "=" in text and ("&" in text or "?" in text):
        spans += _matches(_QUERY, "signature", text)
    lower = text.lower()
    if len(lower) != len(text):  # some letters grow when they are made small
        lower = text.translate(_SMALL)
    for word, expression in (("authorization", _AUTHORIZATION), ("bearer", _BEARER)):
        if word in lower:
            spans += _matches(expression, "authorization", lower)
    if any(literal in lower for literal in _ASSIGNMENT_LITERALS):
        spans += _assignments(text, lower)
    return _joined(spans)


def _present(text: str) -> set[str]:
    """The beginnings of families that a text holds. For a short one, compiling takes longer than looking for each."""
    if len(text) < _BRIEF:
        return {one for one in _literals() if one in text}
    return set(_compiled(_any_literal()).findall(text))


@cache
def _literals() -> list[str]:
    """The beginnings of all families, none of which begins with another."""
    literals = {literal for _, some, _ in _FAMILIES for literal in some}
    return sorted(one for one in literals if not any(one != other and one.startswith(other) for other in literals))


@cache
def _any_literal() -> str:
    """One expression for the beginnings of all families, parted by first letters: one pass over a text instead of forty."""
    parted: dict[str, list[str]] = {}
    for literal in _literals():
        parted.setdefault(literal[0], []).append(literal[1:].replace(".", r"\."))
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in parted.items())


def _matches(expression: str, kind: str, text: str) -> list[Span]:
    return [(*found.span(found.lastindex or 0), kind, None) for found in _compiled(expression).finditer(text)]


def _assignments(text: str, lower: str) -> list[Span]:
    spans: list[Span] = []
    for found in _compiled(_ASSIGNMENT).finditer(lower):
        begin = found.start()
        while begin and (text[begin - 1].isalnum() or text[begin - 1] in "_-"):
            begin -= 1
        name = text[begin : found.start("close")]
        start, end = found.span("value")
        if quoted := text[start] in "\"'":
            start, end = start + 1, end - 1
        value = text[start:end].rstrip(".:\\")
        if len(value) < SHORTEST_KNOWN or not secret_name(name) or _harmless(value) or _placeholder(value):
            continue
        plain = (quoted and kind_of_name(name) == "password") or (
            not quoted and name.isupper() and found["gap"] == "=" and "." not in value
        )
        followed = text[end : end + 1] in {"(", "["} and not quoted
        scoped = begin > 0 and text[begin - 1] == ":"
        if (plain or _loose(value)) and not followed and not scoped and value.lower() != name.lower():
            spans.append((start, start + len(value), kind_of_name(name), None))
    return spans


def _named(argv: Sequence[str], position: int) -> list[Span]:
    """The part of an argument that its own name, or the flag before it, betrays."""
    word = argv[position]
    before = argv[position - 1] if position > 1 else ""
    if before.startswith("-") and "=" not in before and not word.startswith("-") and _betrays(before.lstrip("-"), word):
        return [(0, len(word), kind_of_name(before), None)]
    if before in {"-c", "-lc", "-ec", "-e"}:
        return []  # a program: what is secret in it was looked for as in any text
    start = 0
    while (equals := word.find("=", start)) > 0:
        name = word[start:equals].lstrip("-+~").rpartition(".")[2]
        if not _compiled(r"[\w\-/@\[\]]+").fullmatch(name):
            break
        start = equals + 1
        if _betrays(name, word[start:]):
            return [(start, len(word), kind_of_name(name), None)]
    return _of_program(argv, position)


def _betrays(name: str, value: str) -> bool:
    if _harmless(value):
        return False
    if secret_name(name) or name in {"pass", "auth"}:
        return True
    is_key = name_words(name)[-1:] == ("key",) and len(value) >= 16
    return is_key and _loose(value) and not _identity(value) and _entropy(value) >= 3.5


def _of_program(argv: Sequence[str], position: int) -> list[Span]:
    """Flags of a few programs which everyone hands a password to."""
    program, word, before = argv[0].rpartition("/")[2], argv[position], argv[position - 1] if position > 1 else ""
    if position == 0:
        return []
    if program == "sshpass":
        if before == "-p":
            return [(0, len(word), "password", None)]
        if position == 1 and word.startswith("-p") and len(word) > 2:
            return [(2, len(word), "password", None)]
    if program.startswith(("mysql", "mariadb")) and word.startswith("-p") and len(word) > 2:
        return [(2, len(word), "password", None)]
    if program in {"curl", "http", "https"} and before in {"-u", "--user", "-U", "--proxy-user", "-a"} and ":" in word:
        return [(word.index(":") + 1, len(word), "password", None)]
    return []


def _harmless(value: str) -> bool:
    """A number, a switch, a reference to something else, or a path: no secret, whatever its name."""
    if value.lower() in _SWITCHES or value.startswith(_REFERENCES):
        return True
    if len(value) < SHORTEST_KNOWN and value.replace(".", "", 1).isdigit():
        return True
    return bool(_compiled(_PATH).fullmatch(value))


def _placeholder(value: str) -> bool:
    """What documentation writes in place of a secret."""
    lower = value.strip("\"'").lower()
    return lower.startswith(_STAND_INS) or lower in _SAMPLES or "example" in lower or len(set(lower)) <= 2


def _loose(value: str) -> bool:
    """Letters and digits mixed as no number and no name in a program mixes them."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and not _compiled(_NAME).fullmatch(value)


def _identity(value: str) -> bool:
    """A digest or a UUID, which a key in a table may well be."""
    return bool(_compiled(r"(?i)[0-9a-f]{32,128}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch(value))


def _entropy(value: str) -> float:
    from math import log2

    shares = [value.count(c) / len(value) for c in set(value)]
    return -sum(share * log2(share) for share in shares)


def _joined(spans: list[Span]) -> list[Span]:
    """Spans in order; those that overlap are one, of the kind of the first."""
    joined: list[Span] = []
    for start, end, kind, variable in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= end:
            continue
        if joined and start < joined[-1][1]:
            first, last, its, whose = joined[-1]
            joined[-1] = (first, max(last, end), its, whose or variable)
        else:
            joined.append((start, end, kind, variable))
    return joined


def _masked(text: str, spans: list[Span]) -> str:
    parts, position = [], 0
    for start, end, kind, _ in spans:
        parts += [text[position:start], mark(kind)]
        position = end
    return "".join([*parts, text[position:]])


def _redactions(text: str, spans: list[Span], at: str, key: bytes) -> tuple[Redaction, ...]:
    from vestige.model.run import Redaction

    return tuple(
        Redaction(at=at, kind=kind, variable=variable, hmac=fingerprint(text[start:end], key))
        for start, end, kind, variable in spans
    )


def _as_latin(known: Mapping[str, str]) -> Mapping[str, str]:
    return {value.encode("utf-8", "surrogateescape").decode("latin-1"): name for value, name in known.items()}
