# Sourced by the training scripts. `run srun …` runs a step that can stop and go on: worker train ends with code 85 after
# it was asked to stop and has written its checkpoint.
#
# Slurm sends USR1 to this shell some minutes before the time limit (--signal=B:USR1@…). It is passed on to the step; a step
# that then ends with 85 puts the job back into the queue, and the same script goes on from the checkpoint. After scancel there
# was no USR1, so a cancelled job stays cancelled.

# Since 22.05 srun no longer takes the job's --cpus-per-task by itself: without this a step has one CPU a task.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

run() {
  local code=0 near_limit= interrupted=
  "$@" &
  local step=$!
  trap 'near_limit=1 interrupted=1; kill -USR1 $step 2>/dev/null' USR1
  trap 'interrupted=1' TERM # the step has its own; this shell lives until it has ended
  wait $step || code=$?
  while [ "$code" -gt 128 ] && [ -n "$interrupted" ]; do # a signal ends `wait`, not the step
    interrupted= code=0
    wait $step || code=$?
  done
  if [ "$code" = 85 ] && [ -n "$near_limit" ]; then
    echo "time limit: job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
  fi
  exit "$code"
}
