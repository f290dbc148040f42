echo "Willkommen bei fish, "(whoami)"!"
echo 'fish warns you' >&2
printf '\033]0;a title\007last login: never'
