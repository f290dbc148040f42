#!/bin/sh
# Usage: docker/base.sh [TAG]
# Makes the bare Debian image that the test hosts are built on, and prints its tag. Does nothing where it is there already.
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
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 130' INT TERM HUP
    say "no image registry answers: making $1 with debootstrap"
    debootstrap --variant=minbase "$SUITE" "$folder/root" >"$folder/log" 2>&1 || {
        tail -n 20 "$folder/log" >&2
        fail "debootstrap failed"
    }
    rm -rf "$folder/root/var/cache/apt/archives" "$folder/root/var/lib/apt/lists"
    mkdir -p "$folder/root/var/cache/apt/archives/partial" "$folder/root/var/lib/apt/lists/partial"
    # Device nodes are docker's to make.
    tar --create --file "$folder/root.tar" --numeric-owner --exclude='./dev/*' --directory "$folder/root" .
    docker import --change 'CMD ["bash"]' "$folder/root.tar" "$1" >/dev/null
}

say() { printf 'base.sh: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

main "$@"
