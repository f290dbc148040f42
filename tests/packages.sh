#!/bin/sh
# Usage: tests/packages.sh venv|demo|test|lint|base|ci
# Sees to it that the programs which a make target needs are there: installs them with apt-get as root, and says what to
# type otherwise. PYTHON names the interpreter that makes the virtual environments.
set -eu

PYTHON=${PYTHON:-python3}
# sshd lives where the PATH of an ordinary user does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

main() {
    kind=${1-}
    missing=
    wanted=
    case $kind in
    venv) venv ;;
    demo) venv && servers ;;
    test) venv && servers && shells && hosts ;;
    lint) venv && need shellcheck shellcheck ;;
    base) need debootstrap debootstrap ;;
    ci) need make make && need python3 python3 && need docker docker.io && compose ;;
    *) fail "usage: $0 venv|demo|test|lint|base|ci" ;;
    esac
    [ -z "$missing$wanted" ] || install_missing
}

venv() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "sshrun needs Python 3.11 or later, and $PYTHON is not that; name another one: make PYTHON=python3.12 ..."
    # Debian keeps ensurepip in a package of its own, named after the version.
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        missing="$missing $("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

servers() {
    need ssh openssh-client
    need sshd openssh-server
    need rsync rsync
}

shells() {
    need bash bash
    need dash dash
    need busybox busybox
    need ps procps
    need strace strace
    need tmux tmux
    need git git
    # Not every system has these, and their tests are skipped there.
    command -v ksh93 >/dev/null 2>&1 || wanted="$wanted ksh93u+m"
    command -v zsh >/dev/null 2>&1 || wanted="$wanted zsh"
    command -v fish >/dev/null 2>&1 || wanted="$wanted fish"
    # A language that writes a decimal comma, for localedef to make.
    [ -e /usr/share/i18n/locales/de_DE ] || missing="$missing locales"
}

# Where no engine answers they are skipped; where one does, nothing of them is.
hosts() {
    ! docker info >/dev/null 2>&1 || compose
}

compose() {
    docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
}

need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

# Where $wanted alone is not there, it is no reason to bother anybody.
install_missing() {
    [ -n "$missing" ] || { command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; } || return 0
    # $missing is a list of words.
    # shellcheck disable=SC2086
    set -- $missing
    command -v apt-get >/dev/null 2>&1 || fail "please install: $*"
    # Not apt-get itself: that would start an sshd.
    [ "$(id -u)" -eq 0 ] || fail "missing are $*; please type: sudo PYTHON=$PYTHON tests/packages.sh $kind"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || [ -z "$missing" ]
    for package in $wanted; do
        ! apt-cache show "$package" >/dev/null 2>&1 || set -- "$@" "$package"
    done
    [ $# -gt 0 ] || return 0
    printf 'packages.sh: installing %s\n' "$*" >&2
    forbid_daemons
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    case " $* " in *" openssh-server "*) disable_sshd ;; esac
}

# The tests start servers of their own: installing a package must open no port of this machine.
forbid_daemons() {
    policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

# policy-rc.d speaks for today only; the next boot would start it.
disable_sshd() {
    command -v systemctl >/dev/null 2>&1 || return 0
    systemctl disable --quiet ssh.service ssh.socket >/dev/null 2>&1 || :
}

fail() {
    printf 'packages.sh: %s\n' "$*" >&2
    exit 1
}

main "$@"
