#!/usr/bin/env bash
# Trains ViT-S/14, RedDino's smallest model, on $SHARDS, into $OUT. One task per GPU. Options of sbatch override the lines below, options of worker train follow the script:
#   SHARDS=s3://bucket/patches OUT=s3://bucket/runs/small sbatch --nodes=2 slurm/train_small.sh --set init.weights=s3://bucket/dinov2_vits14_pretrain.pth
#SBATCH --job-name=reddino-small
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --gpus-per-node=2
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
source "${REDDINO:-$SLURM_SUBMIT_DIR}/slurm/requeue.sh"
: "${SHARDS:?where the patches are}" "${OUT:?where the run goes}"
config=${CONFIG:-configs/train/reddino-small.yaml}
run "${WORKER:-worker}" train "$config" --shards "$SHARDS" --out "$OUT" "$@"
