#!/usr/bin/env bash
# A throw-away Slurm cluster of virtual nodes on one machine, for tests: own folder, ports, munge key; nothing outside the
# folder is touched, except, with NETNS=1, network namespaces named after the port.
#   tests/slurm/start.sh FOLDER     writes FOLDER/env.sh and returns when all nodes are idle; stop it with stop.sh FOLDER
#   NODES=4 CPUS=4                  how many nodes, and what each pretends to have
#   NETNS=1                         (root) each node has its own network, address and host name
#   ACCOUNTING=1                    slurmdbd on a MariaDB of its own, so that sacct answers
set -euo pipefail
folder=${1:?usage: start.sh FOLDER}
nodes=${NODES:-4} cpus=${CPUS:-4} netns=${NETNS:-0} accounting=${ACCOUNTING:-0}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin
mkdir -p "$folder"
folder=$(cd "$folder" && pwd -P)
[ ${#folder} -le 70 ] || { echo "start.sh: $folder is too long a path for Unix sockets; use a shorter one" >&2; exit 2; }
for program in munged slurmctld slurmd sinfo; do
  command -v "$program" >/dev/null || { echo "start.sh: $program is not installed; run scripts/setup-slurm.sh" >&2; exit 3; }
done
mkdir -p "$folder"/{etc,run,log,munge,state,spool,tmp}
chmod 700 "$folder/munge"
user=$(id -un)
host=$(hostname -s)
fail() { echo "start.sh: $*" >&2; tail -n 5 "$folder"/log/*.log >&2 || true; "$here/stop.sh" "$folder" || true; exit 1; }

# Ports: controller, slurmdbd, database, nodes from +10, srun from +40. Each try takes another hundred. Clusters that start
# in the same moment see each other's ports free, so a hundred is claimed by a file that only one can create; a claim whose
# cluster's folder is gone is void.
busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
claims=/tmp/reddino-slurm-$(id -u)
mkdir -p "$claims"
claim() { # BASE
  local holder
  holder=$(cat "$claims/$1" 2>/dev/null) && [ -n "$holder" ] && [ ! -d "$holder" ] && rm -f "$claims/$1"
  (set -o noclobber && echo "$folder" >"$claims/$1") 2>/dev/null
}
base=
for _ in $(seq 40); do
  try=$((20000 + RANDOM % 120 * 100))
  for port in $(seq "$try" $((try + 15))); do busy "$port" && continue 2; done
  [ -e "/run/netns/reddino$try-switch" ] || ! claim "$try" || { base=$try && break; }
done
[ -n "$base" ] || fail "no free range of ports was found"
echo "$claims/$base" >"$folder/run/claim"
controller=127.0.0.1 prefix=reddino$base

launch() { # NAME COMMAND...: in a session of its own, its process noted for stop.sh
  local name=$1
  shift
  setsid "$@" >>"$folder/log/$name.out" 2>&1 </dev/null &
  echo "$! $name" >>"$folder/run/processes"
}
until_true() { # WHAT COMMAND...
  local what=$1 end=$((SECONDS + 90))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what did not come up"
    sleep 0.05
  done
}

if [ "$netns" = 1 ]; then
  net=10.$((base / 100 % 250 + 1)).0
  controller=$net.254
  ip netns add "$prefix-switch" || fail "network namespaces need root"
  echo "$prefix $nodes" >"$folder/run/networks"
  ip -n "$prefix-switch" link add bridge type bridge
  ip -n "$prefix-switch" link set bridge up
  ip link add "v$base" type veth peer name uplink netns "$prefix-switch"
  ip -n "$prefix-switch" link set uplink master bridge up
  ip addr add "$controller/24" dev "v$base"
  ip link set "v$base" up
  { echo "127.0.0.1 localhost"; echo "$controller $host"; } >"$folder/etc/hosts"
  for i in $(seq "$nodes"); do
    echo "$net.$i n$i" >>"$folder/etc/hosts"
    ip netns add "$prefix-n$i"
    ip -n "$prefix-n$i" link set lo up
    ip link add eth0 netns "$prefix-n$i" type veth peer name "port$i" netns "$prefix-switch"
    ip -n "$prefix-switch" link set "port$i" master bridge up
    ip -n "$prefix-n$i" addr add "$net.$i/24" dev eth0
    ip -n "$prefix-n$i" link set eth0 up
  done
fi

head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
socket=$folder/run/munge.sock
launch munged "$(command -v munged)" --foreground --force --key-file="$folder/munge/key" --socket="$socket" \
  --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"

# What surprises: TmpFS per node, since the PMIx plugin puts a folder there that virtual nodes would share; cred_expire,
# since a requeued job waits for it (120 s by default); no cgroups and no systemd.
{
  cat <<CONF
ClusterName=reddino
SlurmctldHost=$host($controller)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=$base
SrunPortRange=$((base + 40))-$((base + 99))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
TmpFS=$folder/tmp/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,bf_interval=2,bf_resolution=1,sched_min_interval=100000,requeue_delay=1
JobRequeue=1
ReturnToService=2
SlurmdTimeout=6
MessageTimeout=5
InactiveLimit=0
KillWait=15
CompleteWait=0
MinJobAge=600
LaunchParameters=disable_send_gids
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/finished
CONF
  if [ "$accounting" = 1 ]; then
    # Without AccountingStoragePass the clients look for munge's default socket: AuthInfo is not asked there.
    printf 'AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=%s\nAccountingStoragePort=%s\nAccountingStoragePass=%s\n' \
      "$controller" $((base + 1)) "$socket"
  else
    echo "AccountingStorageType=accounting_storage/none"
  fi
  for i in $(seq "$nodes"); do
    mkdir -p "$folder/spool/n$i" "$folder/tmp/n$i"
    if [ "$netns" = 1 ]; then where="NodeHostname=n$i NodeAddr=$net.$i Port=$((base + 10))"
    else where="NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 9 + i))"; fi
    echo "NodeName=n$i $where CPUs=$cpus RealMemory=16000 State=UNKNOWN"
  done
  echo "PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=30 State=UP"
} >"$folder/etc/slurm.conf"
export SLURM_CONF=$folder/etc/slurm.conf
printf 'export SLURM_CONF=%q\nexport PATH=$PATH:/usr/sbin\n' "$SLURM_CONF" >"$folder/env.sh"
until_true munge test -S "$socket"

if [ "$accounting" = 1 ]; then
  command -v slurmdbd mariadbd >/dev/null || fail "slurmdbd or mariadbd is not installed; run scripts/setup-slurm.sh"
  mkdir -p "$folder/database"
  launch mariadbd "$(command -v mariadbd)" --no-defaults --user="$user" --datadir="$folder/database" --socket="$folder/run/database.sock" \
    --pid-file="$folder/run/mariadbd.pid" --bind-address=127.0.0.1 --port=$((base + 2)) --skip-grant-tables --skip-log-bin \
    --innodb-buffer-pool-size=32M --innodb-log-file-size=8M --innodb-flush-log-at-trx-commit=0 --log-error="$folder/log/mariadbd.log"
  cat >"$folder/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$socket
DbdHost=$host
DbdAddr=$controller
DbdPort=$((base + 1))
SlurmUser=$user
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((base + 2))
StorageUser=root
StoragePass=none
StorageLoc=accounting
CONF
  chmod 600 "$folder/etc/slurmdbd.conf"
  until_true MariaDB busy $((base + 2))
  launch slurmdbd "$(command -v slurmdbd)" -D
  until_true slurmdbd sacctmgr -n show cluster
  sacctmgr -i add cluster reddino >/dev/null 2>&1 || true
  sacctmgr -i add account tests Cluster=reddino >/dev/null 2>&1 || true
  sacctmgr -i add user "$user" Account=tests >/dev/null 2>&1 || true
fi

launch slurmctld "$(command -v slurmctld)" -D -i
until_true slurmctld scontrol ping
slurmd=$(command -v slurmd)
for i in $(seq "$nodes"); do
  if [ "$netns" = 1 ]; then
    # Not `ip netns exec`: it remounts /sys, and slurmd wants the cgroup file system there.
    launch "slurmd-n$i" nsenter --net="/run/netns/$prefix-n$i" unshare --uts --mount \
      sh -c "hostname n$i && mount --bind '$folder/etc/hosts' /etc/hosts && exec '$slurmd' -D -N n$i"
  else
    launch "slurmd-n$i" "$slurmd" -D -N "n$i"
  fi
done
idle() { [ "$(sinfo -h -N -o %T | grep -c '^idle$')" -eq "$nodes" ]; }
until_true "$nodes idle nodes" idle
