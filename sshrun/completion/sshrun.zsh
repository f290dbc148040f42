#compdef sshrun
# Completion of sshrun for zsh, made by: sshrun completion zsh
# In ~/.zshrc, after compinit: eval "$(sshrun completion zsh)"

_sshrun() {
    local -a answer shell described
    local line value
    answer=("${(@f)$(command sshrun completion --complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    shell=(${=answer[1]})
    for line in "${(@)answer[2,-1]}"; do
        value=${line%%$'\t'*}
        described+=("${value//:/\\:}:${line#*$'\t'}")
    done
    (( ! $#described )) || _describe -t words word described
    case $shell[1] in
    files | directories)
        compset -P '--*='
        if [[ $shell[1] == directories ]]; then
            _files -/
        elif (( $#shell == 1 )); then
            _files
        else
            _files -g "*.(${(j:|:)shell[2,-1]})"
        fi
        ;;
    program)
        shift $(( shell[2] + 1 )) words
        (( CURRENT -= shell[2] + 1 ))
        _normal
        ;;
    esac
}

# As a file _sshrun in $fpath it is the function; otherwise it is read once, and registers it.
if [[ $funcstack[1] == _sshrun ]]; then
    _sshrun "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _sshrun sshrun
fi
