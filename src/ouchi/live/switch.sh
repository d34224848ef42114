# Open vSwitch: ouchi's own with its run folder $1 and its socket folder $2, else the package's in $3 and $4; $5 and $6 are
# the folders of their logs.
ask() {
    section "$1"; name=$1; shift
    timeout 4 "$@" 2>&1 || section "$name failed"
}
own=$1; ours=$2; packaged=$3; shared=$4; log=$6
if [ -e "$own/db.sock" ] || [ -e "$own/ovs-vswitchd.pid" ]; then whose=ours; run=$own; folder=$ours; log=$5
elif [ -e "$packaged/db.sock" ] || [ -e "$packaged/ovs-vswitchd.pid" ]; then whose=packaged; run=$packaged; folder=$shared
elif [ -e /etc/systemd/system/multi-user.target.wants/openvswitch-switch.service ]; then
    whose=enabled; run=$packaged; folder=$shared
else section whose; echo none; exit 0; fi
section whose; echo "$whose"
section run; echo "$run"
section sockets; echo "$folder"
section wire; cat "$run/wire.json" 2>/dev/null; echo
pid=$(switch_pid "$run")
section pid; echo "$pid"
section exe; readlink "/proc/$pid/exe"
section alternative; readlink -f /usr/sbin/ovs-vswitchd
section log  # each start, and what DPDK logs when it ends or refuses ports for want of memory
tail -c 65536 "$log/ovs-vswitchd.log" | grep -aE 'DPDK Enabled - initializing|ethdev shared data' | tail -n 20
section connected; grep -oE ' 03 +[0-9]+ /.*' /proc/net/unix
section qemu; id -u libvirt-qemu >/dev/null 2>&1 || echo none
section folder; stat -c '%a %U' "$folder"
ask tables ovs-vsctl "--db=unix:$run/db.sock" --no-wait --timeout=3 --format=json -- \
    --columns=other_config,dpdk_initialized,dpdk_version list Open_vSwitch -- \
    --columns=name,datapath_type,ports list Bridge -- \
    --columns=_uuid,interfaces list Port -- \
    --columns=_uuid,name,type,error,status,statistics,link_state,options,mtu list Interface
{ [ -n "$pid" ] && [ -d "/proc/$pid" ]; } || exit 0
OVS_RUNDIR=$run; export OVS_RUNDIR
target="$run/ovs-vswitchd.$pid.ctl"
# The load of the last five seconds where it can be chosen (3.1), else of the last minute.
ask queues sh -c 'ovs-appctl --timeout=3 -t "$1" dpif-netdev/pmd-rxq-show -secs 5
    status=$?; [ $status = 2 ] || exit $status
    exec ovs-appctl --timeout=3 -t "$1" dpif-netdev/pmd-rxq-show' sh "$target"
ask mempools ovs-appctl --timeout=3 -t "$target" netdev-dpdk/get-mempool-info
