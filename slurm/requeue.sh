# The training scripts source this file before anything else: until the trap below is set, Slurm's USR1 would end the script.
# `run worker train …` runs a job step that can be stopped and continued.
#
# Slurm sends USR1 to this shell some minutes before the time limit (--signal=B:USR1@…). The shell passes it on every second until
# the job step has ended, because srun drops a signal that comes before its tasks have started. Before srun handles signals, USR1 would
# end it; srun therefore starts with the signal ignored (and stops ignoring it by itself). For a task that is still loading the signal
# stays blocked until the task can handle it (`env --block-signal`, if coreutils has it).
#
# `worker requeue` decides whether a job step that ended may start again: within this allocation (at most $RESTARTS times before the job
# is requeued, each time with a newer checkpoint; 3 by default, 0 for never), or after a requeue. It counts restarts in $OUT. After
# scancel this shell has received TERM, and a cancelled job stays cancelled.

near_limit= cancelled= interrupted= pid=
pass_on() { while sleep 1 && kill -USR1 "$pid" 2>/dev/null; do :; done; }
trap 'near_limit=1 interrupted=1; [ -z "$pid" ] || pass_on &' USR1
trap 'cancelled=1 interrupted=1' TERM # the job step receives its own TERM; this shell lives until the step has ended

# Since Slurm 22.05 srun no longer takes the job's --cpus-per-task by itself: without this line a job step has one CPU per task.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# --kill-on-bad-exit would end the remaining ranks before they can log which one they lost; --wait ends a rank that hangs.
# For sites without PMIx: SRUN_MPI names another MPI plugin of srun (`srun --mpi=list` lists them), such as SRUN_MPI=none for GPUs.
step=(srun --mpi="${SRUN_MPI:-pmix}" --kill-on-bad-exit=0 --wait=10)
! env --block-signal=USR1 true 2>/dev/null || step+=(env --block-signal=USR1)

run() {
  local code way
  while :; do
    code=0
    (trap '' USR1 && exec "${step[@]}" "$@") &
    pid=$!
    [ -z "$near_limit" ] || pass_on &
    wait $pid || code=$?
    while [ -n "$interrupted" ]; do # a signal ends `wait`, not the job step
      interrupted= code=0
      wait $pid || code=$?
    done
    [ "$code" != 0 ] && [ -z "$cancelled" ] || exit "$code"
    way=$("$1" requeue --out "$OUT" --code "$code" --within "${RESTARTS:-3}" ${near_limit:+--near-limit}) || exit "$code"
    [ "$way" = here ] || break
    echo "job $SLURM_JOB_ID starts its job step again within this allocation (exit code $code)"
    export REDDINO_RESTARTED=1 # the store has answered before, so an unreachable store is waited for
  done
  echo "${near_limit:+time limit: }job $SLURM_JOB_ID is put back into the queue (requeued; the job step ended with exit code $code)"
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}
