#!/bin/sh
# Usage: keeper.sh keep DIRECTORY ENTRY PORT SSHD   starts the server of a sandbox; stdin is its owner's pipe
#        keeper.sh end DIRECTORY ENTRY [LISTENER]   ends what outlived a keeper that was killed
# The owner may die without notice, even by SIGKILL: then the pipe ends, and with it the server, every session and
# every process of their jobs, and the directory. DIRECTORY holds the cookie that all of them carry in their
# environment; ENTRY is the link by which others find a sandbox, which is removed if it is ours.

main() {
    mode=$1 directory=$2 entry=$3
    shift 3
    "$mode" "$@"
}

# This process becomes sshd: started with `&`, sshd and all that runs under it would ignore SIGINT and SIGQUIT.
keep() {
    # Whoever can open it for writing without waiting knows that the watch is alive.
    exec 3<&0 4<>"$directory/alive"
    watch "$$" <&3 3<&- &
    exec </dev/null >/dev/null 2>>"$directory/log" 3<&- 4<&-
    for key in host_key user_key; do
        ssh-keygen -q -t ed25519 -N '' -C sshrun-sandbox -f "$directory/$key" || exit
    done
    cp "$directory/user_key.pub" "$directory/authorized_keys" &&
        printf '[127.0.0.1]:%s %s\n' "$1" "$(cat "$directory/host_key.pub")" >"$directory/known_hosts" &&
        exec "$2" -D -f "$directory/sshd_config" -E "$directory/log"
}

watch() {
    trap '' HUP INT QUIT TERM
    # Nothing is ever sent. It is no `cat`, which would outlive the watch with its pipes.
    read -r _
    end "$1"
}

end() {
    listener=${1-}
    cookie=$(cat "$directory/cookie") && [ -n "$cookie" ] || return
    sessions=' ' groups=' '
    # Stopped and not ended, for as long as its sessions are to be known by their parent.
    signal STOP "$listener"
    end_members
    signal KILL "$listener"
    if [ "$(cat "$entry/cookie" 2>/dev/null)" = "$cookie" ]; then
        rm -f "$entry"
    fi
    tries=0
    until rm -rf "$directory" 2>/dev/null || [ "$tries" -ge 20 ]; do
        chmod -R u+rwX "$directory" 2>/dev/null
        tries=$((tries + 1))
        pause
    done
}

end_members() {
    find_members
    signal TERM "$groups $members"
    signal CONT "$groups $members"
    tries=0
    while [ -n "$members" ] && [ "$tries" -lt 10 ]; do
        tries=$((tries + 1))
        pause
        find_members
    done
    # Who forks and ends at once seems to have gone when it is missed between two lives: three empty listings in a row
    # are believed. That is no proof: a chain whose links live for a few milliseconds each can slip through all of them.
    tries=0 empty=0
    while [ "$empty" -lt 3 ] && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1)) empty=$((empty + 1))
        signal KILL "$groups $members"
        find_members
        [ -z "$members" ] || empty=0
    done
}

# Sets `members`: who carries the cookie, the server's sessions, what they have started, and who is in the same session
# (setsid(2)) as one of them, so that a program that cleared its environment is found also when its parent has gone.
# Adds their process groups to `groups`, as `-GROUP`: a signal to a group misses nobody who was forked a moment ago.
find_members() {
    members=' '
    found=-1
    while [ "${#members}" -gt "$found" ]; do
        found=${#members}
        while read -r word its_parent its_group its_session; do
            if [ "$word" != carrier ]; then
                pid=$word parent=$its_parent group=$its_group session=$its_session
                is_related || continue
            fi
            add_member
        done <<EOF_PROCESSES
$(processes)
EOF_PROCESSES
    done
    members=${members# }
}

is_related() {
    case "$members$listener " in *" $parent "*) return ;; esac
    case "$sessions" in *" $session "*) return ;; esac
    return 1
}

add_member() {
    # The server itself and the watch; and 0 is the session of what came from outside of this container.
    case $session in "$listener" | 0) return ;; esac
    case "$members" in *" $pid "*) return ;; esac
    members="$members$pid "
    case "$sessions" in *" $session "*) ;; *) sessions="$sessions$session " ;; esac
    case "$groups" in *" -$group "*) ;; *) groups="$groups-$group " ;; esac
}

# For everyone who lives a line of pid, parent, group and session, and after it the line "carrier" if it is one.
processes() {
    if [ -r /proc/self/stat ]; then
        files=
        for process in /proc/[0-9]*; do
            files="$files $process/stat $process/environ"
        done
        # One program that reads both in one go: who lives for milliseconds has gone by the second one.
        # proc(5): pid (name) state parent group session. Who is dead, or has a line end in its name, is 0.
        # shellcheck disable=SC2086
        LC_ALL=C sed -n -e 's/^\([0-9]*\) (.*) [^ZX] \([0-9]*\) \([0-9]*\) \([0-9]*\) .*/\1 \2 \3 \4/p; t' \
            -e 's/^[0-9]* (.*/0 0 0 0/p; t' -e "s/.*SSHRUN_SANDBOX=$cookie.*/carrier/p" $files 2>/dev/null
    else
        # The group stands for the session. The cookie is in no word of awk's, which ps would show.
        ps axeww -o pid= -o ppid= -o pgid= -o stat= -o command= | awk '
            NR == FNR { cookie = "SSHRUN_SANDBOX=" $1; next }
            $4 !~ /^Z/ { print $1, $2, $3, $3; if (index($0, cookie)) print "carrier" }' "$directory/cookie" -
    fi
}

# signal NAME MEMBERS: none is no error
signal() {
    name=$1
    # shellcheck disable=SC2086
    set -- $2
    [ $# -eq 0 ] || kill "-$name" "$@" 2>/dev/null
}

pause() {
    sleep 0.1 2>/dev/null || sleep 1
}

main "$@"
