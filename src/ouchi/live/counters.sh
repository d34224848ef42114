# Counters of Open vSwitch's datapath and of its packet sockets, in the run folder $2 or $3.
for run in "$2" "$3"; do [ -e "$run/ovs-vswitchd.pid" ] && break; done
pid=$(switch_pid "$run")
running() { [ -n "$pid" ] && [ -d "/proc/$pid" ]; }
# One that did not answer is not asked again: its error stands for all of them.
answer() {
    section "$1"; name=$1; shift
    if [ -z "$error" ]; then
        answer=$(timeout 4 ovs-appctl --timeout=3 -t "$run/ovs-vswitchd.$pid.ctl" "$@" 2>&1) && echo "$answer" && return
        error=${answer:-Alarm clock}
    fi
    echo "$error"; section "$name failed"
}
packets() {
    running || return
    answer "datapath $1" dpctl/show -s
    case $answer in *netdev@ovs-netdev:*) datapath=netdev@ovs-netdev ;; esac  # the name is needed where there are several
    answer "pmd cycles $1" dpif-netdev/pmd-stats-show
    section "sockets $1"; ss -0 -m -e -n
}
once() {
    running || return
    answer coverage coverage/show
    if [ -n "$datapath$error" ]; then  # the kernel's datapath does not count them this way
        answer connections dpctl/ct-get-nconns "$datapath"
        answer "most connections" dpctl/ct-get-maxconns "$datapath"
    fi
    section "socket files"; find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n'
}
