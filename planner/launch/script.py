"""`torchrun.sh`: what must be seen before torchrun starts, one sentence where it is not, then torchrun."""

from __future__ import annotations

import shlex
import sys

NODE_GPUS = 8

TORCHRUN_SH = """\
#!/usr/bin/env bash
# Trains what pretrain.toml says, on this machine's GPUs; a plan that names no number of GPUs also on its CPUs.
# Arguments go to the trainer: --stop-after STEP, --out FOLDER (default: runs), which counts from the folder that this
# script lies in. The run goes on from the newest checkpoint there.
#
# Environment: PYTHON, NPROC (ranks of this node), OMP_NUM_THREADS; and on several nodes, where this same script is
# started on each: NNODES, HEAD_NODE (a host name that the first node knows as its own), PORT (there; 29500), RUN_ID
# (equal on all nodes, new for every start), and the folder and the lake on a disk that all of them share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHON=${PYTHON:-@PYTHON@}
NNODES=${NNODES:-1}
GPUS=@GPUS@  # that the plan was made for; 0: it names no number
export PYTHONSAFEPATH=1

refuse() {
    echo "assay: $1" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null || refuse "there is no $PYTHON: set PYTHON to the Python that has Assay and torch"
"$PYTHON" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' ||
    refuse "torch is not installed for $PYTHON: pip install 'corpus-assay[launch]'"

if [ -z "${NPROC:-}" ]; then
    # torch's own count: it knows CUDA_VISIBLE_DEVICES, and a torch without CUDA sees none.
    SEEN=$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')
    if [ "$SEEN" -eq 0 ]; then
        [ "$GPUS" -eq 0 ] || refuse "no GPU is seen here, and the plan is for $GPUS: NPROC=1 trains on the CPU"
        echo "No GPU is seen here: training on the CPU." >&2
        SEEN=1
    fi
    NPROC=$((SEEN < @NODE@ ? SEEN : @NODE@))
fi
for name in NPROC NNODES; do
    [[ "${!name}" =~ ^[1-9][0-9]*$ ]] || refuse "$name is '${!name}': set it to a whole number above 0"
done
"$PYTHON" -m planner.launch.settings pretrain.toml --ranks $((NPROC * NNODES))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(((($(getconf _NPROCESSORS_ONLN) - 1) / NPROC) + 1))}

if [ "$NNODES" -gt 1 ]; then
    : "${HEAD_NODE:?assay: several nodes need HEAD_NODE, the host name of the first}"
    : "${RUN_ID:?assay: several nodes need RUN_ID, equal on all of them and new for every start}"
    endpoint="$HEAD_NODE:${PORT:-29500}"
    rendezvous=(--nnodes="$NNODES" --rdzv-backend=c10d --rdzv-endpoint="$endpoint" --rdzv-id="$RUN_ID")
else
    rendezvous=(--standalone)
fi
exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --nproc-per-node="$NPROC" --max-restarts=0 \\
    -m planner.launch.pretrain pretrain.toml "$@"
"""


def torchrun_sh(gpus: int | None) -> str:
    """The script of a plan for so many GPUs, or for any number; by default it starts with this Python."""
    script = TORCHRUN_SH.replace("@GPUS@", str(gpus or 0)).replace("@NODE@", str(min(gpus or NODE_GPUS, NODE_GPUS)))
    return script.replace("@PYTHON@", shlex.quote(sys.executable))
