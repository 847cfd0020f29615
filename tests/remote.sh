#!/bin/sh
# Runs the tests that need S3: a client (s3fs) and a server on loopback (moto, Apache-2.0). Their
# packages go into a folder of their own, which stands before .venv's while these tests run: botocore
# wants an older dateutil than constraints.txt has. All else is held to the versions there. Where
# they cannot be had, says why and succeeds. PIP_EXTRA gives pip more options.
set -eu
cd "$(dirname "$0")/.."
python=${TESTS_PYTHON:-.venv/bin/python}
here=.site-remote

if [ ! -f $here/installed ] || [ tests/remote.sh -nt $here/installed ]; then
    rm -rf $here
    mkdir $here
    { grep -v '^python-dateutil' constraints.txt
      printf '%s\n' aiobotocore==3.10.0 moto==5.2.5 s3fs==2026.9.0; } > $here/constraints.txt
    # shellcheck disable=SC2086
    if ! "$python" -m pip install --disable-pip-version-check --target $here/site \
        -c $here/constraints.txt ${PIP_EXTRA:-} s3fs 'moto[s3]' flask flask-cors > $here/pip.log 2>&1; then
        tail -n 3 $here/pip.log
        echo "tests of stores skipped: s3fs and moto cannot be installed ($here/pip.log)"
        exit 0
    fi
    touch $here/installed
fi
PYTHONPATH=$here/site exec "$python" -m pytest tests/test_remote.py tests/test_remote_scale.py
