#!/usr/bin/env bash
# Everything that can be asked of a GPU, in under ten minutes: the tests of the cuda device, NVIDIA's checks of memory and
# of races if compute-sanitizer is installed, and the benchmarks beside PyTorch. Leaves tables in a folder:
#
#     bench/gpu_report.sh report
#
# The seconds of each step are at most: tests 200, checks 80 each, kernels 130, nets 90. It needs pip install
# "nbconv[cuda13,test,bench]" torch, and compute-sanitizer of the CUDA toolkit.
set -uo pipefail

if [ $# -ne 1 ]; then
    echo "usage: bench/gpu_report.sh FOLDER" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" || exit 2
folder=$(cd "$1" && pwd)
cd "$root" || exit 2
python=${PYTHON:-python}

if ! "$python" -c "from nbconv.engine.registry import open_device; print(open_device('cuda').memory.describe())" > "$folder/gpu.txt" 2>&1; then
    tail -n 1 "$folder/gpu.txt" >&2
    exit 2
fi
failed=0
: > "$folder/summary.txt"

say() { echo "$1" | tee -a "$folder/summary.txt"; }

# step NAME SECONDS COMMAND...: what it prints goes to NAME.txt, whether it went well to the summary
step() {
    local name=$1 seconds=$2 began=$SECONDS status
    shift 2
    timeout "$seconds" "$@" > "$folder/$name.txt" 2>&1
    status=$?
    case $status in
        0) say "$name: ok, $((SECONDS - began)) s" ;;
        124) say "$name: not done after $seconds s"; failed=1 ;;
        *) say "$name: failed ($status), see $name.txt"; failed=1 ;;
    esac
}

{ "$python" -m nbconv doctor; nvidia-smi; git log -1 --format="commit %h"; } > "$folder/machine.txt" 2>&1

export NBCONV_REQUIRE_CUDA=1
step tests 200 "$python" -m pytest -q -m cuda -p no:cacheprovider
few=(-m pytest -q -m cuda -p no:cacheprovider -k "unwanted_gradients or ten_steps" tests/test_cuda_kernels.py tests/test_cuda_training.py)
for tool in memcheck racecheck; do
    if command -v compute-sanitizer > /dev/null; then
        step "$tool" 80 compute-sanitizer --tool "$tool" --error-exitcode 9 --target-processes all "$python" "${few[@]}"
    else
        say "$tool: missing, compute-sanitizer is not installed (it comes with the CUDA toolkit)"
        failed=1
    fi
done
step kernels 130 "$python" -m bench kernels --device cuda --against torch --seconds 0.05 --json "$folder/kernels.json"
step models 90 "$python" -m bench models --device cuda --against torch --no-compile --seconds 0.3 --json "$folder/models.json"
exit $failed
