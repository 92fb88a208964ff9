#!/usr/bin/env bash
# Cuts the smears under $DATA, described by $SOURCES, into shards at $OUT. A build that is stopped continues where it was:
#   DATA=/scratch/smears OUT=s3://bucket/patches sbatch slurm/shards.sh [options of shard-builder build]
#SBATCH --job-name=reddino-shards
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
# A limit that is hardly longer than the warning before it leaves no time to build, and would requeue without end.
again() { if [ $SECONDS -ge 60 ]; then scontrol requeue "$SLURM_JOB_ID"; else echo "the time limit leaves no time to build: raise --time" >&2; fi; }
trap again USR1
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # since 22.05 srun takes it from nowhere else
: "${DATA:?a folder with one folder per source}" "${OUT:?where the shards go}"
srun "${SHARD_BUILDER:-shard-builder}" build "${SOURCES:-configs/sources}" --data "$DATA" --out "$OUT" "$@" &
step=$!
wait $step || wait $step # a warning that was refused ends the first `wait`, not the step
