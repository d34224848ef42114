# The boot loader and its kernel parameters, in lines as those of survey.sh, which comes before.
# OUCHI_ROOT is empty but for tests.
root=${OUCHI_ROOT-}

# A boot loader leaves its name in a variable of the firmware: UTF-16 after 4 bytes of attributes. Without one (BIOS,
# older GRUB) and with another name the files decide.
started=$(tail -c +5 "$root/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" 2>/dev/null | tr -d '\0')
loader=
if [ -r "$root/etc/default/grub" ] && command -v update-grub >/dev/null; then loader=grub; fi
case $started in
    'systemd-boot '*) loader=systemd-boot ;;
    GRUB*) ;;
    *) for folder in /efi /boot /boot/efi; do
           if [ -z "$loader" ] && [ -d "$root$folder/loader/entries" ]; then loader=systemd-boot; fi
       done ;;
esac
if [ "$loader" = systemd-boot ] && ! command -v kernel-install >/dev/null; then loader=; fi
put loader "$loader"

case $loader in
    grub) # Ours is the last of the files that update-grub reads; what the others put is the user's.
        put params "$(
            { . "$root/etc/default/grub"
              for file in "$root"/etc/default/grub.d/*.cfg; do
                  case $file in */90-ouchi.cfg) ;; *) if [ -e "$file" ]; then . "$file"; fi ;; esac
              done
            } >/dev/null 2>&1
            printf '%s' "${GRUB_CMDLINE_LINUX-} ${GRUB_CMDLINE_LINUX_DEFAULT-}" | tr '\n\t' '  '
        )" ;;
    systemd-boot) # The first of the files that kernel-install reads, and the entries that it made for this system's kernels.
        for file in /etc/kernel/cmdline /usr/lib/kernel/cmdline; do
            if [ -r "$root$file" ]; then
                while read -r line || [ -n "$line" ]; do put cmdline "$line"; done <"$root$file"
                break
            fi
        done
        for modules in "$root"/lib/modules/*; do
            for folder in /efi /boot /boot/efi; do
                for entry in "$root$folder/loader/entries"/*"-${modules##*/}.conf" "$root$folder/loader/entries"/*"-${modules##*/}+"*.conf; do
                    if [ -r "$entry" ]; then put entry "${entry#"$root"} $(sed -n 's/^options[[:space:]]*//p' "$entry" | tr '\n\t' '  ')"; fi
                done
            done
        done ;;
esac
exit 0
