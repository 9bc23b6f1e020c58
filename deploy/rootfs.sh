#!/usr/bin/env bash
# Makes the image's root file system from a binary, with or without Docker: the Dockerfile and the tests run this.
#
#   deploy/rootfs.sh BINARY FOLDER
#
# The same binary and libraries give the same files, times and owners (SOURCE_DATE_EPOCH, default 0).
set -euo pipefail
binary=${1:?the binary} root=${2:?a folder that does not exist yet}
[ ! -e "$root" ] || { echo "$root is there already" >&2; exit 1; }
certificates=/etc/ssl/certs/ca-certificates.crt
[ -e "$certificates" ] || { echo "there are no certificates in $certificates: install ca-certificates" >&2; exit 1; }

install -d "$root"/{etc/ssl/certs,etc/icewright,usr/local/bin,spill,tmp,proc,dev}
install -m 0755 "$binary" "$root/usr/local/bin/icewright"
# What the loader will look for, where it will look: each library by the path that ldd names, links resolved.
ldd "$binary" | grep -o '/[^ ]*' | sort -u | while read -r library; do
  install -D -m 0755 "$(readlink -f "$library")" "$root$library"
done
install -m 0644 "$certificates" "$root$certificates"
printf 'root:x:0:0:root:/:/sbin/nologin\nicewright:x:65532:65532:icewright:/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nicewright:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
# Places that a container runtime puts its own files over.
touch "$root/etc/hosts" "$root/etc/hostname" "$root/etc/resolv.conf"
chmod 1777 "$root/tmp" "$root/spill"
find "$root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
