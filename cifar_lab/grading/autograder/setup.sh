#!/usr/bin/env bash
# Prepares the image in which submissions are graded. Gradescope calls it once, as root, with a
# network, after it has unpacked the archive to /autograder/source: on Ubuntu 22.04, by sh or bash.
set -eu
root=${AUTOGRADER:-/autograder}
source=$root/source
place=$root/cifar-lab
python=$place/venv/bin/python
step() { printf '\n=== %s\n' "$*"; }

step "Python and bubblewrap"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y python3 python3-venv
apt-get install -q -y bubblewrap || echo "There is no bubblewrap."
python3 -m venv "$place/venv"

step "Packages"
# Builds for the CPU have a tenth of the others' size.
"$python" -m pip install -q "torch>=2.4" "torchvision>=0.19" \
    --index-url https://download.pytorch.org/whl/cpu ||
    "$python" -m pip install -q "torch>=2.4" "torchvision>=0.19"
"$python" -m pip install -q -r "$source/requirements.txt"
# The file that lies here. Its name on a package index is not the course's: nothing is asked there.
"$python" -m pip install -q --no-index --no-deps "$source"/cifar_lab-*.whl
while read -r package; do # of notebooks: what can't be installed is only missing
    "$python" -m pip install -q "$package" || echo "$package can't be installed."
done <"$source/packages.txt"

step "The course's settings, and CIFAR"
"$python" -m cifar_lab.grading.autograder.on_gradescope prepare "$source" "$place"

# Students' code runs as another user: it must not see what is meant for the grader alone.
chmod -R go-rwx "$source"
