#!/bin/sh
# Installs the servers that tests talk to, if they are missing and we may; starts none of them.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
missing=
want() {  # a program, its Debian package
    command -v "$1" >/dev/null || missing="$missing $2"
}
want redis-server redis-server
want nats-server nats-server
want mosquitto mosquitto
want mariadbd mariadb-server
want mvn maven
want java default-jre-headless
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
test -n "$missing" || exit 0

if test "$(id -u)" != 0 || ! command -v apt-get >/dev/null; then
    echo "tests against real servers need:$missing" >&2
    echo "install them as root (apt-get install$missing), or those tests are skipped" >&2
    exit 0
fi

# Debian's word for "install, but start nothing": 101 from policy-rc.d.
policy=/usr/sbin/policy-rc.d
if test ! -e "$policy"; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
echo "installing for the tests:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 -- one word a package
apt-get -qqy -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null
