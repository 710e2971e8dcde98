#!/usr/bin/env bash
# Check and measure Tandem on the GPU of this machine: bash benchmarks/gpu.sh
#
# For each backend whose framework sees a GPU: the backend suite on the GPU, epochs, a resumed training, and predictions
# on the CPU and on the GPU. It prints one table, and writes gpu.json and the logs to .tandem/bench/gpu ($OUT).
# It needs no network and stops measuring after LIMIT_S seconds, by default 580. Its exit status is
#   0  every suite passed, every resumed training equals the undisturbed one, and everything was measured
#   1  something of this is not so, and the table says what. A goal that is missed does not change the status
#   2  no framework sees a GPU, or pytest is missing: nothing was measured
#
# A backend runs in .venv/<backend>. PYTORCH_PYTHON and TENSORFLOW_PYTHON name another Python, which needs the packages
# of services/<backend>/requirements.txt and tests/backend/requirements.txt. `make setup` installs builds without CUDA:
# see docs/gpu.md. MNIST comes from TANDEM_DATA_DIR; without it, random pictures are used and accuracies mean nothing.
set -u
cd "$(dirname "$0")/.."
out=${OUT:-.tandem/bench/gpu}
limit_s=${LIMIT_S:-580}
mkdir -p "$out"
rm -f "$out"/gpu.json "$out"/{pytorch,tensorflow}-{cpu,cuda}.json "$out"/{pytorch,tensorflow}-suite.xml
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}

limit() { # how many seconds a part may take: $1 percent of all seconds, no more than are left, and at least one
  local part=$((limit_s * $1 / 100)) left=$((limit_s - SECONDS))
  ((part = left < part ? left : part))
  echo $((part < 1 ? 1 : part)) # for `timeout`, 0 is no limit
}

python_of() { # the Python of the backend $1
  local variable=${1^^}_PYTHON
  echo "${!variable:-.venv/$1/bin/python}"
}

backends=()
for backend in pytorch tensorflow; do
  python=$(python_of "$backend")
  if ! command -v "$python" > /dev/null; then
    echo "== $backend: skipped, because $python does not exist"
  elif ! "$python" -m benchmarks.gpu check "$backend" > "$out/$backend-check.log" 2>&1; then
    echo "== $backend: skipped: $(tail -n 1 "$out/$backend-check.log")"
  elif ! "$python" -c "import hypothesis, pytest, xdist" 2> /dev/null; then
    echo "== $backend: pytest or its plugins are missing: $python -m pip install -r tests/backend/requirements.txt"
    exit 2
  else
    backends+=("$backend")
  fi
done
if [ ${#backends[@]} = 0 ]; then
  echo "No framework here sees a GPU, so nothing was measured. docs/gpu.md says which wheels are needed."
  exit 2
fi

for backend in "${backends[@]}"; do
  python=$(python_of "$backend")
  echo "== $backend: predictions on the CPU"
  timeout "$(limit 10)" "$python" -m benchmarks.gpu serving "$backend" cpu "$out" 2> "$out/$backend-cpu.log" \
    || echo "not complete, see $out/$backend-cpu.log"
  echo "== $backend: epochs, a resumed training, and predictions on the GPU"
  timeout "$(limit 20)" "$python" -m benchmarks.gpu all "$backend" cuda "$out" 2> "$out/$backend-cuda.log" \
    || echo "not complete, see $out/$backend-cuda.log"
  echo "== $backend: the backend suite on the GPU"
  TANDEM_TEST_BACKEND=$backend TANDEM_TEST_DEVICE=cuda timeout "$(limit 38)" "$python" -m pytest -q tests/backend \
    -n 4 --dist loadfile -p no:cacheprovider --junitxml="$out/$backend-suite.xml" > "$out/$backend-suite.log" 2>&1
  tail -n 12 "$out/$backend-suite.log"
done
"$python" -m benchmarks.gpu_table "$out" "${backends[@]}"
