#!/bin/sh
# Runs the tests that need LiteLLM's proxy, which gets an environment of its own: it pins other
# versions than ours. The tests themselves run in .venv. Where the proxy cannot be had, says why and
# succeeds. LITELLM_PACKAGE names another release, PIP_EXTRA gives pip more options, PYTHON another
# Python.
set -eu
cd "$(dirname "$0")/.."
package=${LITELLM_PACKAGE:-litellm==1.110.2}
here=.venv-litellm

skip() {
    echo "LiteLLM tests skipped: $1"
    exit 0
}

install() {
    # shellcheck disable=SC2086
    $here/bin/python -m pip install --disable-pip-version-check ${PIP_EXTRA:-} "$@" >> $here/pip.log 2>&1 \
        || { tail -n 3 $here/pip.log; skip "$package cannot be installed ($here/pip.log)"; }
}

if [ ! -f $here/installed ] || [ tests/litellm.sh -nt $here/installed ]; then
    rm -rf $here
    "${PYTHON:-python3}" -m venv $here
    install "$package"
    # Its extra `proxy`, but for packages of its own that not every index has in the version named.
    $here/bin/python -c '
from importlib.metadata import requires
from packaging.requirements import Requirement
for line in map(Requirement, requires("litellm")):
    own = line.name.startswith("litellm-")
    if line.marker and "proxy" in str(line.marker) and line.marker.evaluate({"extra": "proxy"}):
        if line.name != "litellm-proxy":
            print(line.name if own else f"{line.name}{line.specifier}")
' > $here/proxy.txt
    install -r $here/proxy.txt
    touch $here/installed
fi
LITELLM=$here/bin/litellm exec "${TESTS_PYTHON:-.venv/bin/python}" -m pytest -m litellm tests/serve
