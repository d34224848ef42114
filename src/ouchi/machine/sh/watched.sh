# Runs one program. The last line on stderr is $mark, then "status N" or "signal N", or why it did not start.
# Output before the line $mark, on stdout and stderr, is from the login shell: some print a greeting.
#
# Standard input first has $size bytes for the program, then stays open while ouchi waits for it. When it is closed, because
# ouchi ended or the connection was lost, this whole process group is killed. With "keep" instead of "watch" the program
# runs on, with its output in files, since there may be no reader for it.
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

# The program's output goes to file descriptors 4 and 5. A shell gives exit status 137 both for exit(137) and for signal 9,
# but prints a message for a signal (dash; not for SIGINT and SIGPIPE). exec: a program of this name, not a shell builtin.
run() {
    printed=$({ (exec "$@" >&4 2>&5 3<&- 4>&- 5>&-); echo $?; } 2>&1)
    status=${printed##*[!0-9]}
    if [ "$status" = "$printed" ]; then how="status $status"; else how="signal $((status - 128))"; fi
}

is_program() {
    case $1 in
        */*) [ -f "$1" ] && [ -x "$1" ] ;;
        *) (
            IFS=:
            set -f
            for folder in $PATH; do
                [ -f "$folder/$1" ] && [ -x "$folder/$1" ] && exit 0
            done
            exit 1
        ) ;;
    esac
}

if [ "$size" -gt 0 ]; then
    input=$(mktemp -p /dev/shm ouchi-XXXXXXXX 2>/dev/null || mktemp) || end 'no space for its input'
    head -c "$size" <&3 >"$input" || { rm -f -- "$input"; end 'no space for its input'; }
    # Cut off on the way: a program must not be given a part of its input.
    [ "$(wc -c <"$input")" -eq "$size" ] || { rm -f -- "$input"; exit 1; }
    exec <"$input"
    rm -f -- "$input"
fi
if [ "$folder" ] && ! cd -- "$folder"; then end "there is no folder $folder"; fi
is_program "$1" || end 'there is no such program'

if [ "$mode" = keep ]; then
    output=$(mktemp) && errors=$(mktemp) || end 'no space for its output'
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
