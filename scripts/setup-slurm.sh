#!/usr/bin/env bash
# Installs what the Slurm tests start by themselves: Slurm, munge, MariaDB for sacct. Running it again does nothing. No service is started or enabled, and no configuration in /etc is written.
set -euo pipefail
PATH=$PATH:/usr/sbin
have() { command -v "$1" >/dev/null; }
have slurmctld && have slurmd && have munged && have slurmdbd && have mariadbd && have ip && { echo "setup-slurm: Slurm is installed"; exit 0; }
packages=(slurm-wlm slurm-client slurmctld slurmd munge slurm-wlm-basic-plugins slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core iproute2)
if [ "$(id -u)" != 0 ] || ! have apt-get; then
  echo "setup-slurm: install these packages (Debian/Ubuntu: sudo apt-get install ${packages[*]}) and run this again" >&2
  exit 1
fi
# Package scripts would start daemons; a policy that says no keeps them from it, and is taken away again.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -q -y --no-install-recommends "${packages[@]}"
