#!/bin/sh
# Writes a file with new random passwords for NATS: ./make-secrets.sh FILE
set -eu
if [ $# -ne 1 ]; then
	echo "usage: make-secrets.sh FILE" >&2
	exit 2
fi
umask 077
new=$(mktemp "$1.XXXXXX")
trap 'rm -f "$new"' EXIT
for name in HOST NAVIDROME OPERATOR SYSTEM ROUTE; do
	# A letter first: nats-server would take digits for a number.
	secret=p$(od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n')
	if [ ${#secret} -ne 49 ]; then
		echo "no random numbers from /dev/urandom" >&2
		exit 1
	fi
	echo "NATS_${name}_PASSWORD=$secret" >>"$new"
done
if ! ln "$new" "$1"; then # never over a file that is in use
	echo "$1 stays as it is" >&2
	exit 1
fi
