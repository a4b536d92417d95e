#!/usr/bin/env bash
# Gradescope runs this once, when the image of the autograder is built (Ubuntu 22.04 or newer).
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3.11 python3.11-venv
# The environment of the check, so that grading needs no network.
cd "${AUTOGRADER:-/autograder}/source/course"
python3.11 ./course check 01 --project chapters/01-polling --json > /dev/null
