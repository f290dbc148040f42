# Completion of sshrun for fish, made by: sshrun completion fish
# Once: sshrun completion fish >~/.config/fish/completions/sshrun.fish

function __sshrun_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (command sshrun completion --complete $before[2..-1] "$current" 2>/dev/null)
    set -q answer[1]; or return
    set -l shell (string split ' ' -- $answer[1])
    set -q answer[2]; and printf '%s\n' $answer[2..-1]
    # --identity-file=PATH is one word to fish.
    set -l option (string match -r -- '^--[^=]*=' $current)
    set -l path (string replace -- "$option" '' $current)
    switch $shell[1]
        case files
            set -l found (__fish_complete_path $path | string replace -r '\t.*' '')
            if set -q shell[2]
                set -l wanted (string join '|' -- $shell[2..-1] | string replace -a . '\\.')
                set found (string match -r -- "^.*(?:/|\.(?:$wanted))\$" $found)
            end
            set -q found[1]; and printf "$option%s\n" $found
        case directories
            set -l found (__fish_complete_directories $path | string replace -r '\t.*' '')
            set -q found[1]; and printf "$option%s\n" $found
        case program
            set -l first (math $shell[2] + 2)
            set -l program (string escape -- $before[$first..-1])
            complete -C (string join ' ' -- $program $current)
    end
end

complete -c sshrun -f -a '(__sshrun_complete)'
