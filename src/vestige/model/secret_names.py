"""Which names betray a secret: of variables, of flags and keys, of files."""

from __future__ import annotations


def secret_name(name: str) -> bool:
    """Whether a variable, a flag or a key of this name holds a secret."""
    words = name_words(name)
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    if any(word in _SECRET_WORDS or word.endswith(_SECRET_STEMS) for word in words):
        return True
    if "token" in words:
        # `--token-pooling mean` and `pad_token` are about pieces of text.
        after = words[words.index("token") + 1 :]
        return not _OF_TEXT.intersection(words) and all(word in _VARIANTS or word.isdigit() for word in after)
    if name.isupper() and words[-1].endswith(("token", "apikey")):
        return True
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "key":
        return before in _SECRET_KEYS or (name.isupper() and before != "" and before not in _HARMLESS_KEYS)
    if last == "tokens":
        return before in _SECRET_TOKENS
    if last in _SECRET_ENDS:
        return before not in {"", "old"}
    return last == "sshpass"


def is_secret_file(path: str) -> bool:
    """Whether a file of this name is a secret as a whole, and is never taken."""
    folder, _, name = path.lower().rpartition("/")
    if name in _SECRET_FILES or name.endswith(_SECRET_SUFFIXES):
        return True
    if name.startswith(".env."):
        return not name.endswith((".example", ".sample", ".template", ".dist", ".defaults", ".schema"))
    if name.endswith(".json"):
        return name.startswith(("credentials", "client_secret", "service-account", "service_account"))
    return f"{folder.rpartition('/')[2]}/{name}" in _SECRET_PLACES


def kind_of_name(name: str) -> str:
    """The kind of a secret that only its name betrayed: a service, else password, token, key or secret."""
    words = name_words(name)
    for word in words:
        if word in _SERVICES:
            return _SERVICES[word]
    for kind, betraying in _KINDS.items():
        if betraying.intersection(words) or any(word.endswith(kind) for word in words):
            return kind
    return "secret"


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in small letters, whatever holds them together: `apiKey`, `API_KEY`, `--api-key`."""
    if name not in _WORDS:
        _WORDS[name] = _name_words(name)
    return _WORDS[name]


_WORDS: dict[str, tuple[str, ...]] = {}


def _name_words(name: str) -> tuple[str, ...]:
    words, word = [], ""
    for position, letter in enumerate(name):
        begins = letter.isupper() and position > 0 and not name[position - 1].isupper()
        if begins or not letter.isalnum():
            words.append(word)
            word = ""
        if letter.isalnum():
            word += letter.lower()
    return tuple(word for word in [*words, word] if word)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SECRET_WORDS = _set(
    """password passwd passphrase secret secrets apikey credential credentials privatekey secretkey accesskey
    authtoken"""
)
_SECRET_STEMS = ("password", "passwd", "passphrase")
_VARIANTS = _set("prod production dev development staging test ci read write ro rw value b64 base64")
_SECRET_ENDS = _set("pass auth pwd")
_SECRET_TOKENS = _set("access api auth bearer refresh")
_SECRET_KEYS = _set(
    """api access secret private encryption signing master license account storage service app application auth
    subscription shared client deploy admin session wandb openai anthropic comet neptune mistral cohere groq gemini"""
)
_HARMLESS_KEYS = _set(
    """public sort primary foreign partition group cache index host map dict hot registry lookup join shift ctrl
    control alt meta"""
)
_HARMLESS_ENDS = _set(
    """file files path paths dir directory folder url uri host name names id ids count length len size limit type types
    ttl timeout expiry expires lifetime hash digest sha256 md5 sum algorithm alg mode style format sock socket pid arn
    index idx prob enabled required budget usage embedding embeddings mask bucket prefix suffix pattern field column used"""
)
#: What a token of text is called: `pad_token` is a piece of a vocabulary.
_OF_TEXT = _set(
    """pad eos bos unk sep cls mask special image begin end start stop next first last max min num vocab type types
    text word new per prompt input output audio video class position current previous public"""
)
_KINDS = {
    "password": _set("password passwd passphrase pass pwd sshpass"),
    "token": _set("token tokens authtoken"),
    "key": _set("key apikey privatekey secretkey accesskey"),
}
_SERVICES = {
    "gh": "github",
    "gcp": "google",
    "gemini": "google",
    "hf": "huggingface",
    "twine": "pypi",
    "anaconda": "conda",
} | {
    name: name
    for name in _set(
        """wandb github gitlab aws google slack stripe openai anthropic huggingface pypi npm sendgrid twilio azure conda"""
    )
}
_SECRET_FILES = _set(
    """.env .netrc _netrc .pypirc .npmrc .pgpass .my.cnf .htpasswd .git-credentials .s3cfg .boto .dockercfg
    .vault-token .secrets kaggle.json kubeconfig secrets.toml secrets.yaml secrets.yml secrets.json
    id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk"""
)
_SECRET_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".ovpn")
_SECRET_PLACES = _set(
    """.aws/credentials .docker/config.json .kube/config huggingface/token .huggingface/token
    gcloud/credentials.db gh/hosts.yml"""
)
