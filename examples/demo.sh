#!/bin/sh
# The first two minutes: five steps in three languages, nothing declared; then the questions.
set -e

here=$(cd "$(dirname "$0")/.." && pwd)
demo=$here/demo
rm -rf "$demo"
mkdir -p "$demo/study/data" "$demo/home"

# The demonstration keeps to its own folders, so that it leaves nothing in yours.
export XDG_CACHE_HOME="$demo/home/cache" XDG_STATE_HOME="$demo/home/state" XDG_CONFIG_HOME="$demo/home/config"
export MPLCONFIGDIR="$demo/home/cache/matplotlib" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org

bold=$(printf '\033[1m') plain=$(printf '\033[0m')
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then bold= plain=; fi

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
run() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; sh -c "$*"; }

cp -R "$here/examples/cancer/." "$demo/study/"
cd "$demo/study"
cp "$(python -c 'import sklearn, os; print(os.path.join(os.path.dirname(sklearn.__file__), "datasets", "data", "breast_cancer.csv"))')" data/raw.csv
git init -q && git add -A && git commit -qm "A small study"

say "Record: wrap each command. Nothing is declared."
run vestige run -v sh split.sh
run vestige run -v perl scale.pl
run vestige run -v --name shallow python train.py --depth 1
run vestige run -v python evaluate.py
run vestige run -v --name deep python train.py --depth 4
run vestige run -v python evaluate.py
run vestige run -v python plot.py

say "How was this figure made? Back to the raw data, whatever the language."
run vestige trace figures/roc.png

say "Why do these two runs differ?"
run vestige diff shallow deep

say "Change an input: what is no longer up to date?"
run "sed -i '2s/^[0-9.]*/20.0/' data/raw.csv"
run vestige status

say "Put it back, and make the results again in a clean place: the same, byte for byte?"
run git checkout -q data/raw.csv
run vestige reproduce metrics.json figures/roc.png

say "What next"
echo "The study lies in demo/study. Go there and ask:"
echo "    vestige log"
echo "    vestige show last"
echo "    vestige trace --down data/raw.csv"
echo "or wrap a command of your own:  vestige run python your_script.py"
