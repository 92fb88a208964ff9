#!/usr/bin/env bash
# Scores the teacher of $RUN on the labelled cells $SHARDS, beside random weights and a colour histogram:
#   RUN=s3://bucket/runs/large SHARDS=s3://bucket/chula-cells SPLIT=grouped sbatch slurm/probe.sh [options of worker probe]
#SBATCH --job-name=reddino-probe
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=12
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # since Slurm 22.05 srun does not take it from the job
: "${RUN:?a run of worker train}" "${SHARDS:?labelled cells}" "${SPLIT:?a split of theirs}"
exec srun "${WORKER:-worker}" probe --run "$RUN" --shards "$SHARDS" --split "$SPLIT" "$@"
