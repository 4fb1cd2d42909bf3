#!/bin/sh
# Writes a file with new random passwords for NATS: ./make-secrets.sh FILE
# A file that is there stays as it is.
set -eu
if [ $# -ne 1 ]; then
	echo "usage: make-secrets.sh FILE" >&2
	exit 2
fi
if [ -s "$1" ]; then
	for name in HOST NAVIDROME OPERATOR SYSTEM ROUTE; do
		if ! grep -q "^NATS_${name}_PASSWORD=p" "$1"; then
			echo "$1 has no NATS_${name}_PASSWORD: remove the file to have it made anew" >&2
			exit 1
		fi
	done
	echo "$1 has passwords already, which stay" >&2
	exit 0
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
	echo "$1 was made meanwhile, and stays as it is" >&2
	exit 1
fi
