#!/bin/sh
# The first process of every host: takes the keys from /keys, where only root may be able to read them or only their
# owner, and becomes the server.
set -eu
mkdir -p /run/host /run/sshd
cp /keys/host_key /keys/authorized_keys /run/host/
chown -R root:root /run/host
chmod 755 /run/host /run/sshd
chmod 600 /run/host/host_key
chmod 644 /run/host/authorized_keys
if command -v dropbearconvert >/dev/null 2>&1; then
    dropbearconvert openssh dropbear /run/host/host_key /run/host/dropbear_key 2>/dev/null
    # dropbear knows no other place.
    mkdir -p /home/joe/.ssh
    cp /run/host/authorized_keys /home/joe/.ssh/authorized_keys
    chown -R joe: /home/joe/.ssh
    chmod 700 /home/joe/.ssh
fi
# Without a command: the usual server.
[ $# -gt 0 ] || set -- /usr/sbin/sshd -D -e
exec "$@"
