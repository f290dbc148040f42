#!/bin/sh
# systemd as the first process of a container: it must be able to write to its own group, which docker mounts read-only
# (the one for names with cgroup v1, all of it with v2).
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
    ! mountpoint -q "$hierarchy" || mount -o remount,bind,rw "$hierarchy" || exit
done
exec /lib/systemd/systemd
