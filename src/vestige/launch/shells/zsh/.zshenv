# What the zsh of `vestige shell` reads in place of the user's .zshenv, which it reads first.
__vestige_ours=$ZDOTDIR
unset ZDOTDIR
if (( ${+VESTIGE_ZDOTDIR} )); then
    export ZDOTDIR=$VESTIGE_ZDOTDIR
    unset VESTIGE_ZDOTDIR
fi
[[ -r ${ZDOTDIR:-$HOME}/.zshenv ]] && . "${ZDOTDIR:-$HOME}/.zshenv"
(( ${+ZDOTDIR} )) && __vestige_theirs=$ZDOTDIR
ZDOTDIR=$__vestige_ours
unset __vestige_ours
