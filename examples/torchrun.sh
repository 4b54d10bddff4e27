#!/bin/sh
# One run by several processes: sh torchrun.sh [OPTION ...], the options being those of `genkit run`.
#
# NPROC says how many processes, one a device; RECIPE and OUT what is trained and where. The same command goes on with
# a run that was stopped. How it is over several machines, and with restarts: docs/many-devices.md.
set -eu

exec "${PYTHON:-python}" -m torch.distributed.run --standalone --nproc-per-node "${NPROC:-2}" \
    -m genkit run "${RECIPE:-points.ring8}" --out "${OUT:-runs/torchrun-example}" --resume auto "$@"
