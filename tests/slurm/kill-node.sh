#!/usr/bin/env bash
# Kills node NODE of the cluster in FOLDER as a power cut would: its daemon and everything of its jobs, at once.
#   tests/slurm/kill-node.sh FOLDER NODE
set -euo pipefail
folder=$(cd "${1:?usage: kill-node.sh FOLDER NODE}" && pwd -P)
node=${2:?usage: kill-node.sh FOLDER NODE}
if [ -f "$folder/run/networks" ]; then
  read -r prefix _ <"$folder/run/networks"
  victims=$(ip netns pids "$prefix-$node")
else
  victims=$(grep " slurmd-$node$" "$folder/run/processes" | cut -d' ' -f1)
  for file in $(grep -lzxF "SLURM_CONF=$folder/etc/slurm.conf" /proc/[0-9]*/environ 2>/dev/null); do
    process=${file//[!0-9]/}
    grep -qzxF "SLURMD_NODENAME=$node" "$file" 2>/dev/null || continue
    victims="$victims $process"
    # The parent of a task is Slurm's step daemon, which would report an ordinary failure.
    parent=$(awk '{print $4}' "/proc/$process/stat" 2>/dev/null || true)
    [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = slurmstepd ] && victims="$victims $parent"
  done
fi
kill -KILL $victims 2>/dev/null || true
