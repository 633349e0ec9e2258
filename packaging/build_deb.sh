#!/usr/bin/env bash
# Builds dist/reactor_VERSION_ARCH.deb: the one-folder build in /opt/reactor, `reactor` on the path,
# the systemd unit, and settings and flows in /etc/reactor. Needs dpkg-deb, which Debian has.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v dpkg-deb >/dev/null || { echo "make deb: no dpkg-deb here: apt install dpkg" >&2; exit 69; }
packaging/build_binary.sh

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' reactor/__init__.py)
architecture=$(dpkg --print-architecture)
glibc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2) # older ones lack what this build calls
tree=$(mktemp -d -p build)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

install -d "$tree"/{DEBIAN,opt,usr/bin,usr/lib/systemd/system,etc/reactor/flows,usr/share/doc/reactor}
cp -R dist/reactor-dir "$tree/opt/reactor"
ln -s /opt/reactor/reactor "$tree/usr/bin/reactor"
install -m 644 packaging/reactor.service "$tree/usr/lib/systemd/system/"
install -m 644 packaging/reactor.yaml "$tree/etc/reactor/"
install -m 644 LICENSE "$tree/usr/share/doc/reactor/copyright"
install -m 644 packaging/CHANGELOG.md "$tree/usr/share/doc/reactor/"

cat >"$tree/DEBIAN/control" <<END
Package: reactor
Version: $version
Architecture: $architecture
Maintainer: The Reactor authors
Section: admin
Priority: optional
Depends: libc6 (>= $glibc)
Description: when X happens, do Y, then Z, unless A, and only if B
 A daemon that takes events (webhooks, files, schedules, Kafka, NATS, Redis, MQTT,
 databases), and runs flows written in YAML. Nothing that was accepted is lost.
END
echo /etc/reactor/reactor.yaml >"$tree/DEBIAN/conffiles"

# Whoever installs it enables it when its flows are there; an upgrade goes on with the new program.
cat >"$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl try-restart reactor.service
END
cat >"$tree/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
[ "$1" = remove ] && [ -d /run/systemd/system ] || exit 0
systemctl disable --now reactor.service
END
cat >"$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
END
chmod 755 "$tree"/DEBIAN/{postinst,prerm,postrm}

dpkg-deb --root-owner-group -Zxz -z3 --build "$tree" "dist/reactor_${version}_$architecture.deb"
