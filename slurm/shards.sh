#!/usr/bin/env bash
# Builds a shard set at $OUT from the images under $DATA, which the files of $SOURCES describe. A build that was stopped continues where it stopped:
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
# If the time limit is hardly longer than the warning time, no time is left to build, and the job would be requeued for ever.
again() { if [ $SECONDS -ge 60 ]; then scontrol requeue "$SLURM_JOB_ID"; else echo "the time limit leaves no time to build: raise --time" >&2; fi; }
trap again USR1
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # since Slurm 22.05 srun does not take it from the job
: "${DATA:?a folder with one folder per source}" "${OUT:?where the shards go}"
srun "${SHARD_BUILDER:-shard-builder}" build "${SOURCES:-configs/sources}" --data "$DATA" --out "$OUT" "$@" &
step=$!
wait $step || wait $step # USR1 without a requeue ends the first `wait`, not the job step
