#!/bin/sh
# Writes the files of variables for machines with a NATS server and a replica each:
#
#   ./make-env.sh SECRETS FOLDER MACHINE...
#
# SECRETS is what ../make-secrets.sh wrote. For each machine, by the name or address
# at which the others reach it, there are FOLDER/MACHINE/nats.env for /etc/nats and
# FOLDER/MACHINE/pluginhost.env for /etc/pluginhost.
set -eu
if [ $# -lt 3 ]; then
	echo "usage: make-env.sh SECRETS FOLDER MACHINE..." >&2
	exit 2
fi
secrets=$1 folder=$2
shift 2
case $secrets in */*) ;; *) secrets=./$secrets ;; esac
. "$secrets"
umask 077
routes='' urls=''
for machine in "$@"; do
	routes="$routes${routes:+, }\"nats://route:${NATS_ROUTE_PASSWORD:?}@$machine:6222\""
	urls="$urls${urls:+,}nats://host:${NATS_HOST_PASSWORD:?}@$machine:4222"
done
for machine in "$@"; do
	mkdir -p "$folder/$machine"
	cat >"$folder/$machine/nats.env" <<END
NATS_SERVER_NAME=$machine
NATS_ROUTES='[$routes]'
NATS_ROUTE_PASSWORD=${NATS_ROUTE_PASSWORD:?}
NATS_HOST_PASSWORD=${NATS_HOST_PASSWORD:?}
NATS_NAVIDROME_PASSWORD=${NATS_NAVIDROME_PASSWORD:?}
NATS_OPERATOR_PASSWORD=${NATS_OPERATOR_PASSWORD:?}
NATS_SYSTEM_PASSWORD=${NATS_SYSTEM_PASSWORD:?}
END
	echo "PLUGINHOST_NATS=$urls" >"$folder/$machine/pluginhost.env"
done
