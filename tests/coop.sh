#!/bin/sh
# Runs the tests of the package for ROOST's Coop, which need node and TypeScript. These get a folder
# of their own. Where they cannot be had, says why and succeeds. The types of Coop are taken from npm
# where it has them; COOP_TYPES names a folder with them, such as types/ of a checkout of Coop, built.
set -eu
cd "$(dirname "$0")/.."
here=.node-coop

skip() {
    echo "Coop tests skipped: $1"
    exit 0
}

command -v npm > /dev/null || skip "there is no npm"
if [ ! -f $here/installed ] || [ tests/coop.sh -nt $here/installed ]; then
    rm -rf $here
    mkdir $here
    echo '{"private": true}' > $here/package.json
    install() { npm install --prefix $here --no-audit --no-fund --ignore-scripts "$@" >> $here/npm.log 2>&1; }
    install typescript@5 @types/node@20 || skip "TypeScript cannot be installed ($here/npm.log)"
    install "${COOP_TYPES:-@roostorg/coop-types@^2.4.0}" \
        || echo "npm has no types of Coop: those of tests/serve/coop/coop-types are taken"
    touch $here/installed
fi
COOP=$here exec "${TESTS_PYTHON:-.venv/bin/python}" -m pytest tests/serve/test_coop.py
