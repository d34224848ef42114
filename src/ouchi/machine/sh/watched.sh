# Runs one program and says how it ended, as the last line on stderr: $mark, then "status N" or "signal N", or why it
# did not start.
# What stands before the line $mark, in both outputs, is the login shell's: some greet whoever comes in.
#
# Standard input first brings $size bytes for the program, then stays open for as long as somebody waits for it. Its
# end is the end of this whole process group, be it that ouchi was stopped or that the connection broke. "keep" in
# place of "watch": the program goes on then, its output in files so that it writes to nobody's absence.
size=$1 mark=$2 mode=$3 folder=$4
shift 4
exec 3<&0 </dev/null
printf '\n%s\n' "$mark"
printf '\n%s\n' "$mark" >&2

end() {
    printf '\n%s %s\n' "$mark" "$1" >&2
    [ -z "${watcher-}" ] || kill "$watcher" 2>/dev/null
    exit 0
}

# Its output goes to 4 and 5. To a shell an exit status of 137 and the end by signal 9 are one number, but of a signal
# it has a word to say (dash; not of SIGINT and SIGPIPE). exec: a program of this name, not what the shell has built in.
run() {
    told=$({ (exec "$@" >&4 2>&5 3<&- 4>&- 5>&-); echo $?; } 2>&1)
    status=${told##*[!0-9]}
    if [ "$status" = "$told" ]; then how="status $status"; else how="signal $((status - 128))"; fi
}

there() {
    case $1 in
        */*) [ -f "$1" ] && [ -x "$1" ] ;;
        *) (
            IFS=:
            set -f
            for place in $PATH; do
                [ -f "$place/$1" ] && [ -x "$place/$1" ] && exit 0
            done
            exit 1
        ) ;;
    esac
}

if [ "$size" -gt 0 ]; then
    input=$(mktemp -p /dev/shm ouchi-XXXXXXXX 2>/dev/null || mktemp) || end 'no room for what it is to read'
    head -c "$size" <&3 >"$input" || { rm -f -- "$input"; end 'no room for what it is to read'; }
    # Cut off on its way: a program that gets half of its input may do harm with it.
    [ "$(wc -c <"$input")" -eq "$size" ] || { rm -f -- "$input"; exit 1; }
    exec <"$input"
    rm -f -- "$input"
fi
if [ "$folder" ] && ! cd -- "$folder"; then end "there is no folder $folder"; fi
there "$1" || end 'there is no such program'

if [ "$mode" = keep ]; then
    output=$(mktemp) && errors=$(mktemp) || end 'no room for what it says'
    run "$@" 4>"$output" 5>"$errors"
    cat -- "$output"
    cat -- "$errors" >&2
    rm -f -- "$output" "$errors"
else
    { cat <&3; kill -KILL 0; } >/dev/null 2>&1 &
    watcher=$!
    run "$@" 4>&1 5>&2
fi
end "$how"
