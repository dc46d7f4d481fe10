"""`vestige completion`: the shells ask, this answers from the table of verbs and from the runs of the project."""

from __future__ import annotations

import os

from vestige.cli import verbs
from vestige.cli.arguments import GLOBAL, Arguments, Option, Verb

VERB = Verb(
    "completion",
    "complete verbs, options and runs in your shell",
    """\
Prints what makes a shell complete the words of vestige: verbs, options and their values, runs by name and id, files, and
after vestige run the command's own words. Put it where your shell reads it:

    bash: vestige completion bash > ~/.local/share/bash-completion/completions/vestige
    zsh:  vestige completion zsh > ~/.zfunc/_vestige   (a folder of your fpath)
    fish: vestige completion fish > ~/.config/fish/completions/vestige.fish

or, for this shell alone: eval "$(vestige completion bash)".""",
    operands="bash|zsh|fish",
    least=1,
    most=None,
    examples=(('eval "$(vestige completion bash)"', "try it in this shell"),),
    exits=(("0", "printed"), ("64", "no such shell")),
)

#: What the scripts ask: `vestige completion answer -- WORD…`, the last word being the one to complete. An answer is a
#: line: a word, a tab, what it is; or `:files`, `:folders`, `:command N` (what follows word N is a command of its own).
_BASH = """\
_vestige() {
    local line answer words word cut current IFS=$' \\t\\n'
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:COMP_POINT-1:1} == [[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    cut=${word%"${word##*[=@:]}"}
    current=${word#"$cut"}
    COMPREPLY=()
    IFS=$'\\n'
    while read -r line; do
        case $line in
            :files) COMPREPLY+=($(compgen -f -- "$current")); compopt -o filenames ;;
            :folders) COMPREPLY+=($(compgen -d -- "$current")); compopt -o filenames ;;
            :command\\ *)
                if declare -F _command_offset >/dev/null; then
                    IFS=$' \\t\\n'
                    _command_offset "$((${line#:command } + 1))"
                    return
                fi
                COMPREPLY+=($(compgen -c -f -- "$current")); compopt -o filenames ;;
            *) answer=${line%%$'\\t'*}; COMPREPLY+=("${answer#"$cut"}") ;;
        esac
    done < <(vestige completion answer -- "${words[@]:1}" 2>/dev/null)
}
complete -F _vestige vestige
"""
_ZSH = """\
#compdef vestige
_vestige() {
    local line tab=$'\\t' number
    local -a found
    for line in "${(@f)$(vestige completion answer -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            :files) _files ;;
            :folders) _files -/ ;;
            ':command '*)
                number=${line#:command }
                words=("${(@)words[number+2,-1]}")
                (( CURRENT -= number + 1 ))
                _normal ;;
            *) found+=("${${line//:/\\\\:}/$tab/:}") ;;
        esac
    done
    (( $#found )) && _describe vestige found
}
if [ "$funcstack[1]" = _vestige ]; then _vestige "$@"; else compdef _vestige vestige; fi
"""
_FISH = """\
function __vestige_answer
    set -l words (commandline -opc) (commandline -ct)
    for line in (vestige completion answer -- $words[2..-1] 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (commandline -ct)
            case ':folders'
                __fish_complete_directories (commandline -ct)
            case ':command *'
                set -l skip (math (string replace ':command ' '' -- $line) + 2)
                complete -C (string join ' ' -- $words[$skip..-1])
            case '*'
                echo $line
        end
    end
end
complete -c vestige -f -a '(__vestige_answer)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_RUNS = 200
_FEW = 10


def main(arguments: Arguments) -> int:
    shell = arguments.words[0]
    if shell == "answer":
        for line in answers(list(arguments.after)):
            print(line)
        return 0
    from vestige.errors import UsageError

    if shell not in _SCRIPTS or len(arguments.words) > 1:
        raise UsageError(f"there is no completion for '{' '.join(arguments.words)}'", hint="there is bash, zsh and fish")
    print(_SCRIPTS[shell], end="")
    return 0


def answers(words: list[str]) -> list[str]:
    """What may stand in place of the last word."""
    *before, last = words or [""]
    position = next((i for i, word in enumerate(before) if not word.startswith("-") and before[i - 1 : i] != ["--project"]), None)
    if position is None:
        if before[-1:] == ["--project"]:
            return [":folders"]
        named = [(name, row.summary) for row in verbs.every() for name in (row.name, *verbs.aliases(row.name))]
        options = [(f"--{option.long}", option.help) for option in GLOBAL] if last.startswith("-") else []
        return _fitting(last, [*named, *options] if not last.startswith("-") else options)
    try:
        row = verbs.row(verbs.resolve(before[position]))
    except Exception:
        return []
    return _of_verb(row, before[position + 1 :], last, position + 1)


def _of_verb(row: Verb, before: list[str], last: str, offset: int) -> list[str]:
    operands = 0
    expecting: Option | None = None
    for position, word in enumerate(before):
        if expecting is not None:
            expecting = None
        elif word == "--" or (row.greedy and not word.startswith("-")):
            start = position + (word == "--")
            return [f":command {offset + start}"] if row.name in ("run", "adopt") else [":files"]
        elif word.startswith("-"):
            expecting = _expects(row, word)
        else:
            operands += 1
    if expecting is not None:
        return _values(expecting, last)
    if last.startswith("--") and "=" in last:
        option = _expects(row, last.partition("=")[0])
        lead = last.partition("=")[0] + "="
        return (
            [lead + one if not one.startswith(":") else one for one in _values(option, last.partition("=")[2])] if option else []
        )
    if last.startswith("-"):
        return _fitting(last, [(f"--{option.long}", option.help) for option in (*row.options, *GLOBAL)])
    return _operands(row, last, offset + len(before))


def _operands(row: Verb, last: str, offset: int) -> list[str]:
    if row.operands.startswith("CMD"):
        return [f":command {offset}"]
    found: list[str] = []
    if row.operands == "[VERB]":
        found += _fitting(last, [(each.name, each.summary) for each in verbs.every()])
    if "bash" in row.operands:
        found += _fitting(last, [(shell, "") for shell in _SCRIPTS])
    if "RUN" in row.operands or row.name == "diff":
        file, at, word = last.rpartition("@")
        lead = file + at if "@RUN" in row.operands and at else ""
        word = word if lead else last
        found += _fitting(word, _runs(ids=_FEW if not word else _RUNS), lead)
    if any(word in row.operands for word in ("FILE", "PATH")) or row.name == "diff":
        found.append(":files")
    return found


def _values(option: Option, last: str) -> list[str]:
    if option.choices:
        return _fitting(last, [(choice, "") for choice in option.choices])
    if option.metavar == "RUN":
        return _fitting(last, _runs(ids=_FEW if not last else _RUNS))
    if option.metavar == "DIR":
        return [":folders"]
    return [":files"] if option.metavar == "PATH" else []


def _runs(*, ids: int) -> list[tuple[str, str]]:
    """The names of the newest runs, and so many ids."""
    from vestige import api
    from vestige.model.run import short
    from vestige.report.style import printable

    found: dict[str, str] = {"last": "the latest run"}
    if not os.path.isdir((project := api.open()).store):
        return []
    for position, entry in enumerate(project.log(limit=_RUNS)):
        one = entry.summary
        said = f"{one.started[:16].replace('T', ' ')} {one.status} {printable(one.label)}"
        if one.name and one.name.isprintable() and " " not in one.name:
            found.setdefault(one.name, said)
        if position < ids:
            found.setdefault(short(one.id), said)
    return list(found.items())


def _expects(row: Verb, word: str) -> Option | None:
    """The option that a word is, if its value is the next word."""
    for option in (*row.options, *GLOBAL):
        if option.metavar and (word == f"--{option.long}" or (option.short and word == f"-{option.short}")):
            return option
    return None


def _fitting(last: str, candidates: list[tuple[str, str]], lead: str = "") -> list[str]:
    return [f"{lead}{name}\t{text}" if text else lead + name for name, text in candidates if name.startswith(last)]
