"""A text that teaches a coding agent to record what it runs, and to answer how a file was made. `vestige skill` prints it."""

from __future__ import annotations

TEXT = """\
---
name: vestige
description: Record how every file is made, and answer how any file was made, with Vestige. Use it whenever you run a command that
  writes results (training, analysis, figures, builds), and whenever somebody asks where a file comes from or wants it made again.
---

# Vestige

Vestige records which files a command reads and writes, the code as it stood, the packages and the machine, without being told
anything, and can make a file again. The record lies in `.vestige/` in the project; git does not see it.

## Recording: put `vestige run` before the command

    vestige run python train.py --lr 0.1
    vestige run make figures
    vestige run -- sh -c 'sort data.txt | uniq > words.txt'

- Nothing has to be declared. Exit code and output are the command's own; the run is kept if the command fails, too.
- Give runs that belong together a name or a tag: `vestige run --name baseline --tag sweep CMD`.
- Uncommitted changes are kept with the run. Do not commit only to record. `--strict` refuses to run with uncommitted changes.
- Do not edit, move or delete anything in `.vestige/`.

In a Python program that should record itself:

    import vestige
    open(vestige.output_dir + "weights.csv", "w")   # a folder results/NAME/ for this run; the first use begins the record
    vestige.log(loss=0.3, accuracy=0.91)            # values, as series where repeated

    @vestige.monitor(ignore=("password",))          # each call is a run: arguments, result, files
    def main(n, seed=None): ...

Set VESTIGE_NAME to name the run of a script; without a terminal nothing is ever asked.

## Asking

    vestige trace figures/roc.png         # how was this made? one line a step, raw inputs first; exit 1 if nobody knows
    vestige trace --down data/raw.csv     # what was made from this?
    vestige status                        # what is modified, missing, stale, and why
    vestige log --where 'accuracy > 0.9' --columns id,name,accuracy
    vestige show RUN                      # RUN: an id, a name, last, last~2, or a file that the run made
    vestige diff RUN1 RUN2                # why do these two differ?

Every verb takes `--json`. A trace that says `[stale]`, `[modified]` or `[missing]` tells that a file is not what was recorded;
a `gap` in `vestige show` tells what may have escaped: say so when you answer.

## Making again

    vestige reproduce figures/roc.png     # in a clean place; exit 0 the same bytes, 1 different, 2 could not
    vestige restore model.bin@RUN -o old.bin

## Rules

- Before you overwrite a result, see with `vestige trace FILE` that its history is known; if not, `vestige adopt FILE -- CMD`
  records what you know of it.
- Never invent how a file was made. If `vestige trace` does not know, say so.
- `vestige help VERB` says everything about a verb.
"""
