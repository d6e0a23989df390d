#!/bin/sh
# Lays out the file system of the container image in the directory $1: the binary,
# its configuration, an empty queue volume, and nothing else.
set -eu
root=$1
cd "$(dirname "$0")/../.."

mkdir -p "$root/usr/sbin" "$root/etc/aliasmx" "$root/etc/ssl/certs" "$root/var/spool/aliasmx" "$root/var/lib/aliasmx" "$root/tmp"
chmod 1777 "$root/tmp"
CGO_ENABLED=0 go build -trimpath -ldflags=-s -o "$root/usr/sbin/aliasmx" ./cmd/aliasmx
for name in sendmail mailq postconf postmap postqueue postsuper postcat; do
	ln -sf aliasmx "$root/usr/sbin/$name"
done
cp configs/container/main.cf configs/container/master.cf configs/container/virtual "$root/etc/aliasmx/"
echo 'aliasmx:x:65532:65532:aliasmx:/var/spool/aliasmx:/usr/sbin/aliasmx' >"$root/etc/passwd"
echo 'aliasmx:x:65532:' >"$root/etc/group"
# Certificate authorities, for next hops whose certificate is to be verified.
if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
	cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
