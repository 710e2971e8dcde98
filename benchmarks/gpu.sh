#!/usr/bin/env bash
# Check and measure Tandem on the GPU of this machine: bash benchmarks/gpu.sh
#
# For each backend whose framework sees a GPU: the backend suite on the GPU, epochs, a resumed training, and predictions
# on the CPU and on the GPU. It prints one table, and writes gpu.json and the logs to .tandem/bench/gpu ($OUT).
# It needs no network and takes less than ten minutes. Its exit status is 1 if a suite failed or a resumed training
# differs, and 2 if no framework sees a GPU.
#
# A backend runs in .venv/<backend>. PYTORCH_PYTHON and TENSORFLOW_PYTHON name another Python, which needs the packages
# of services/<backend>/requirements.txt and tests/backend/requirements.txt. `make setup` installs builds without CUDA:
# see docs/gpu.md. MNIST comes from TANDEM_DATA_DIR; without it, random pictures are used and accuracies mean nothing.
set -u
cd "$(dirname "$0")/.."
out=${OUT:-.tandem/bench/gpu}
mkdir -p "$out"
rm -f "$out"/*.json "$out"/*.xml
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
measured=

limit() { # how many seconds a part may take: at most $1, and all parts together 580
  local left=$((580 - SECONDS))
  echo $((left < 1 ? 1 : left < $1 ? left : $1))
}

for backend in pytorch tensorflow; do
  variable=${backend^^}_PYTHON
  python=${!variable:-.venv/$backend/bin/python}
  if ! command -v "$python" > /dev/null; then
    echo "== $backend: skipped, because $python does not exist"
    continue
  fi
  if ! "$python" -m benchmarks.gpu check "$backend" > "$out/$backend-check.log" 2>&1; then
    echo "== $backend: skipped: $(tail -n 1 "$out/$backend-check.log")"
    continue
  fi
  measured=$python
  echo "== $backend: predictions on the CPU"
  timeout $(limit 60) "$python" -m benchmarks.gpu serving "$backend" cpu "$out" 2> "$out/$backend-cpu.log" \
    || echo "failed, see $out/$backend-cpu.log"
  echo "== $backend: epochs, a resumed training, and predictions on the GPU"
  timeout $(limit 120) "$python" -m benchmarks.gpu all "$backend" cuda "$out" 2> "$out/$backend-cuda.log" \
    || echo "failed, see $out/$backend-cuda.log"
  echo "== $backend: the backend suite on the GPU"
  TANDEM_TEST_BACKEND=$backend TANDEM_TEST_DEVICE=cuda timeout $(limit 220) "$python" -m pytest -q tests/backend \
    -p no:cacheprovider --junitxml="$out/$backend-suite.xml" > "$out/$backend-suite.log" 2>&1
  tail -n 12 "$out/$backend-suite.log"
done

if [ -z "$measured" ]; then
  echo "No framework here sees a GPU, so nothing was measured. docs/gpu.md says which wheels are needed."
  exit 2
fi
"$measured" -m benchmarks.gpu table "$out"
