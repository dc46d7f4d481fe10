# What the zsh of `vestige shell` reads in place of the user's .zshrc, which it reads first.
#
# A command is recorded if VESTIGE_SHELL is 1 when it is executed: from the moment a line has been typed until the next prompt.
if (( ${+__vestige_theirs} )); then
    ZDOTDIR=$__vestige_theirs
    unset __vestige_theirs
else
    unset ZDOTDIR
fi
[[ -r ${ZDOTDIR:-$HOME}/.zshrc ]] && . "${ZDOTDIR:-$HOME}/.zshrc"
__vestige_typed() { VESTIGE_SHELL=1 }
__vestige_prompt() { VESTIGE_SHELL=0 }
preexec_functions=(${preexec_functions-} __vestige_typed)
precmd_functions=(__vestige_prompt ${precmd_functions-})
PROMPT="(vestige) $PROMPT"
