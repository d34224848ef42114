# The beginning of every script. They change nothing, and need only what every Debian has.
LC_ALL=C; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL PATH; exec 2>/dev/null
section() { printf '@@ %s\n' "$1"; }
values() { xargs -r grep -sH ''; }
# The process of the ovs-vswitchd of a run folder. Its pid file may be root's alone: the control socket is named by it too.
switch_pid() {
    cat "$1/ovs-vswitchd.pid" && return
    [ -e "$1/ovs-vswitchd.pid" ] && for control in "$1"/ovs-vswitchd.*.ctl; do
        control=${control%.ctl}; control=${control##*.}
        [ "$(cat "/proc/$control/comm")" = ovs-vswitchd ] && echo "$control" && return
    done
}
section self; echo $$
