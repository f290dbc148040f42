#!/bin/sh
# Usage: minimal.sh DIRECTORY
# Fills DIRECTORY with what an SSH server with busybox is made of. Left out are the applets that many a busybox lacks.
set -eu

main() {
    root=$1
    mkdir -p "$root/bin" "$root/usr/bin" "$root/usr/sbin" "$root/dev" "$root/etc/ssh" "$root/proc" "$root/root" \
        "$root/run" "$root/sys" "$root/var/empty" "$root/home/joe"
    mkdir -m 1777 "$root/tmp" "$root/var/tmp"
    copy_program "$(command -v busybox)" /bin/busybox
    for applet in $(busybox --list); do
        case $applet in
        busybox | nohup | setsid | start-stop-daemon | flock | pgrep | pkill | rpm | dpkg) ;;
        *) ln -s /bin/busybox "$root/bin/$applet" ;;
        esac
    done
    copy_program /usr/sbin/sshd /usr/sbin/sshd
    grep -E '^(root|joe|sshd|nobody):' /etc/passwd | sed 's|/bin/bash$|/bin/sh|' >"$root/etc/passwd"
    grep -E '^(root|joe|nogroup):' /etc/group >"$root/etc/group"
    grep -E '^(root|joe|sshd|nobody):' /etc/shadow >"$root/etc/shadow"
    chmod 640 "$root/etc/shadow"
    chown joe: "$root/home/joe"
    cp -R /host "$root/host"
    ln -s /host/sshd_config "$root/etc/ssh/"
}

# With every library that it is linked with, the loader too.
copy_program() { # PROGRAM NAME
    mkdir -p "$root${2%/*}"
    cp "$1" "$root$2"
    for library in $(ldd "$1" | grep -o '/[^ ]*'); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
}

main "$@"
