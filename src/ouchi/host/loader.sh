# Which boot loader starts this machine, and with which words: lines as those of surroundings.sh, which comes before.
# OUCHI_ROOT is empty but for tests.
root=${OUCHI_ROOT-}

# The loader that has started the machine leaves its name with the firmware: UTF-16 after 4 bytes of attributes.
# Others' names, and none, as with BIOS and older GRUBs, leave it to the files.
started=$(tail -c +5 "$root/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" 2>/dev/null | tr -d '\0')
loader=
if [ -r "$root/etc/default/grub" ] && command -v update-grub >/dev/null; then loader=grub; fi
case $started in
    'systemd-boot '*) loader=systemd-boot ;;
    GRUB*) ;;
    *) for place in /efi /boot /boot/efi; do
           if [ -z "$loader" ] && [ -d "$root$place/loader/entries" ]; then loader=systemd-boot; fi
       done ;;
esac
if [ "$loader" = systemd-boot ] && ! command -v kernel-install >/dev/null; then loader=; fi
say loader "$loader"

case $loader in
    grub) # Ours is the last of the files that update-grub reads; what the others say is the user's.
        say words "$(
            { . "$root/etc/default/grub"
              for file in "$root"/etc/default/grub.d/*.cfg; do
                  case $file in */90-ouchi.cfg) ;; *) if [ -e "$file" ]; then . "$file"; fi ;; esac
              done
            } >/dev/null 2>&1
            printf '%s' "${GRUB_CMDLINE_LINUX-} ${GRUB_CMDLINE_LINUX_DEFAULT-}" | tr '\n\t' '  '
        )" ;;
    systemd-boot) # The first of the files that kernel-install reads, and what it has made for this system's kernels.
        for file in /etc/kernel/cmdline /usr/lib/kernel/cmdline; do
            if [ -r "$root$file" ]; then
                while read -r line || [ -n "$line" ]; do say cmdline "$line"; done <"$root$file"
                break
            fi
        done
        for modules in "$root"/lib/modules/*; do
            for place in /efi /boot /boot/efi; do
                for entry in "$root$place/loader/entries"/*"-${modules##*/}.conf" "$root$place/loader/entries"/*"-${modules##*/}+"*.conf; do
                    if [ -r "$entry" ]; then say entry "${entry#"$root"} $(sed -n 's/^options[[:space:]]*//p' "$entry" | tr '\n\t' '  ')"; fi
                done
            done
        done ;;
esac
exit 0
