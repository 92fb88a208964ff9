#!/usr/bin/env bash
# Stops the cluster that start.sh started in FOLDER: its jobs, its daemons, its networks; nothing else.
#   tests/slurm/stop.sh FOLDER
set -u
folder=$(cd "${1:?usage: stop.sh FOLDER}" && pwd -P) || exit 1
export SLURM_CONF=$folder/etc/slurm.conf PATH=$PATH:/usr/sbin
timeout 5 scancel --user="$(id -un)" 2>/dev/null
# Everything of a job has our SLURM_CONF in its environment.
ours() { grep -lzF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep -vx "$$"; }
daemons=$(tac "$folder/run/processes" 2>/dev/null | cut -d' ' -f1)
for process in $daemons; do kill -TERM "$process" 2>/dev/null; done
alive() { for process in $daemons; do [ -d "/proc/$process" ] && return 0; done; return 1; }
for _ in $(seq 60); do alive || break; sleep 0.05; done
for process in $daemons $(ours); do kill -KILL "$process" 2>/dev/null; done
if [ -f "$folder/run/networks" ]; then
  read -r prefix nodes <"$folder/run/networks"
  for i in $(seq "$nodes"); do ip netns del "$prefix-n$i" 2>/dev/null; done
  ip netns del "$prefix-switch" 2>/dev/null
  ip link del "v${prefix#reddino}" 2>/dev/null
fi
[ -f "$folder/run/claim" ] && rm -f "$(cat "$folder/run/claim")"
rm -f "$folder/run/processes" "$folder/run/networks" "$folder/run/claim"
exit 0
