#!/usr/bin/env bash
# Trains ViT-B/14, on $SHARDS, into $OUT. One task per GPU. Options of sbatch override the lines below, options of worker train follow the script:
#   SHARDS=s3://bucket/patches OUT=s3://bucket/runs/base sbatch --nodes=2 slurm/train_base.sh --set init.weights=s3://bucket/dinov2_vitb14_pretrain.pth
#SBATCH --job-name=reddino-base
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=48:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
source "${REDDINO:-$SLURM_SUBMIT_DIR}/slurm/requeue.sh"
: "${SHARDS:?where the patches are}" "${OUT:?where the run goes}"
config=${CONFIG:-configs/train/reddino-base.yaml}
run "${WORKER:-worker}" train "$config" --shards "$SHARDS" --out "$OUT" "$@"
