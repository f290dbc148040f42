# Prints on both streams, with and without a newline at the end, also where nobody is at a terminal.
echo "Willkommen auf $(uname -n)! Heute ist $(date +%A)."
echo 'NOTICE: disk quota 97 %, \n not a newline, \033[31m not red' >&2
printf 'ready %s 1\n' "$HOME"
printf '\033]0;a title\007last login: never'
