# QEMU's processes; libvirt's state files below ouchi's state folder $1 have their servers' names, $2 is its socket.
section guests; cd /proc
pids=$(grep -lsE '^qemu-system-' [0-9]*/comm)
for file in $pids; do
    file=/proc/${file%comm}cmdline; printf '%s:' "$file"; tr '\0\n' '  ' <"$file"; echo
done
section 'guest memory'
for file in $pids; do
    file=/proc/${file%comm}smaps; [ -e "${file}_rollup" ] && file=${file}_rollup
    grep -sHE '^(Shared|Private)_Hugetlb:' "$file"
done
section servers; grep -sHoE -m1 '<nova:name>[^<]*' "$1"/libvirt/run/qemu/*.xml
section states; grep -sHoE -m1 '<domstatus [^>]*' "$1"/libvirt/run/qemu/*.xml
section libvirt; [ -S "$2" ] && echo up
section qemu; qemu-system-x86_64 --version || qemu-system-aarch64 --version
