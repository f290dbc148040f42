#!/bin/sh
# Usage: docker/base.sh [TAG]
# Makes the bare Debian image that the test hosts are built on, unless it exists, and prints its tag.
# It is pulled where an image registry answers, else made from Debian's packages (about a minute, 120 MB).
set -eu

SUITE=${SUITE:-bookworm}

main() {
    tag=${1:-sshrun-base:$SUITE}
    command -v docker >/dev/null 2>&1 || fail "docker is missing: apt-get install docker.io"
    if ! docker image inspect "$tag" >/dev/null 2>&1; then
        pull "$tag" || bootstrap "$tag"
    fi
    printf '%s\n' "$tag"
}

pull() {
    image=debian:$SUITE-slim
    # A firewall that drops packets must not cost docker's own two minutes and more.
    timeout 60 docker pull --quiet "$image" >/dev/null 2>&1 || return 1
    say "pulled $image"
    docker tag "$image" "$1"
}

bootstrap() {
    [ "$(id -u)" -eq 0 ] || fail "no image registry answers, and debootstrap needs root: sudo docker/base.sh $1"
    "$(dirname "$0")/../tests/packages.sh" base
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    trap 'exit 130' INT TERM HUP
    say "no image registry answers: making $1 with debootstrap"
    debootstrap --variant=minbase "$SUITE" "$directory/root" >"$directory/log" 2>&1 || {
        tail -n 20 "$directory/log" >&2
        fail "debootstrap failed"
    }
    rm -rf "$directory/root/var/cache/apt/archives" "$directory/root/var/lib/apt/lists"
    mkdir -p "$directory/root/var/cache/apt/archives/partial" "$directory/root/var/lib/apt/lists/partial"
    # Device nodes are docker's to make.
    tar --create --file "$directory/root.tar" --numeric-owner --exclude='./dev/*' --directory "$directory/root" .
    docker import --change 'CMD ["bash"]' "$directory/root.tar" "$1" >/dev/null
}

say() { printf 'base.sh: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

main "$@"
