# Completion of sshrun for bash, made by: sshrun completion bash
# In ~/.bashrc: eval "$(sshrun completion bash)"

_sshrun() {
    local line=${COMP_LINE:0:COMP_POINT} words=() starts=() count=0 i word gap
    # bash splits words also at = : and @; what no space separates is put together again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        gap=${line%%[![:space:]]*}
        line=${line#"$gap"}
        word=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || word=$line
        if [[ $count -eq 0 || -n $gap ]]; then
            starts[count]=$i
            words[count++]=$word
        else
            words[count - 1]+=$word
        fi
        line=${line#"$word"}
    done

    local current=${words[count - 1]} shell value description suffix
    local kept=${current%"$2"} # what stands before the last = : or @ is kept as it is
    COMPREPLY=()
    {
        read -r -a shell
        while IFS=$'\t' read -r value description; do
            [[ $value != "$current"* ]] || COMPREPLY+=("${value#"$kept"}")
        done
    } < <(command sshrun completion --complete "${words[@]:1}" 2>/dev/null)

    case ${shell[0]} in
    files)
        compopt -o filenames 2>/dev/null
        if [[ ${#shell[@]} -eq 1 ]]; then
            _sshrun_add -f "$2"
        else
            _sshrun_add -d "$2"
            for suffix in "${shell[@]:1}"; do
                _sshrun_add -f -X "!*.$suffix" "$2"
            done
        fi
        ;;
    directories)
        compopt -o filenames 2>/dev/null
        _sshrun_add -d "$2"
        ;;
    program)
        i=$((shell[1] + 1))
        if declare -F _command_offset >/dev/null; then
            _command_offset "${starts[i]}" # of the package bash-completion
        elif [[ $((count - 1)) -eq $i && $current != */* ]]; then
            _sshrun_add -c "$2"
        else
            compopt -o filenames 2>/dev/null
            _sshrun_add -f "$2"
        fi
        ;;
    *)
        for i in "${!COMPREPLY[@]}"; do
            printf -v value %q "${COMPREPLY[i]}"
            COMPREPLY[i]=$value
        done
        ;;
    esac
}

# What compgen finds, options of it and the word.
_sshrun_add() {
    local found
    while IFS= read -r found; do
        COMPREPLY+=("$found")
    done < <(compgen "${@:1:$#-1}" -- "${!#}")
}

complete -F _sshrun sshrun
