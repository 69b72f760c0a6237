#!/bin/sh
# Tries the packages beside this script in a new minimal Debian: try_package.sh none|2.6|3.0, the Kea that is there
# before. The system is thrown away afterwards. devtools/package_check.py runs this.
set -eu
kea=$1
packages=$(dirname "$(realpath "$0")")
daemon=/usr/libexec/kea-dhcp-ddns
config=/etc/kea/kea-dhcp-ddns.conf
export DEBIAN_FRONTEND=noninteractive
cd "$packages"

say() { echo; echo "== $*"; }
fail() { echo "FAILED: $*"; exit 1; }
install() { apt-get install --yes --no-install-recommends "$@"; }
as_kea="setpriv --reuid=_kea --regid=_kea --clear-groups --inh-caps=-all"
same() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }

# All files but those that apt and dpkg keep for themselves, and those of users, logs and caches that no package owns.
# The purging of any AppArmor profile removes apparmor.d/disable if it is empty; the check of the unit writes the last.
files() {
    find / -xdev -path /root -prune -o -path /proc -prune -o -path /sys -prune -o -path /dev -prune \
        -o -path /tmp -prune -o -path /var/lib/apt -prune -o -path /var/lib/dpkg -prune -o -path /var/cache -prune \
        -o -path /var/log/apt -prune -o -print \
        | grep -v -e '^/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-\?$' -e '^/etc/ld.so.cache$' \
            -e '^/var/log/\(dpkg\|alternatives\).log$' -e '^/etc/.pwd.lock$' -e '^/etc/apparmor.d/disable$' \
            -e '^/run/systemd/systemd-units-load$' -e '^/run/adduser$' | sort
}

# Makes what systemd makes for the unit of Kea, and for that of pyd2.
directories() {
    mkdir -p -m 0750 /run/kea /run/lock/kea /var/log/kea /var/lib/kea
    chown _kea:_kea /run/kea /run/lock/kea /var/log/kea /var/lib/kea
}

# Starts the packaged daemon as the unit does, and waits until it answers.
start() {
    directories
    $as_kea env KEA_LOCKFILE_DIR=/run/lock/kea "$daemon" -c "$config" >"$packages/daemon.log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        if pyd2ctl ping >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    cat "$packages/daemon.log"
    fail "the daemon does not answer"
}

stop() {
    kill "$pid"
    wait "$pid" || fail "the daemon ended with status $?"
}

say "Kea before: $kea"
apt-get update
install systemd apparmor man-db adduser # for their checks; adduser would stay
case $kea in
    2.6) install kea-dhcp-ddns-server ;;
    3.0) install --target-release trixie-backports kea-dhcp-ddns-server ;;
esac
version=none
if [ "$kea" != none ]; then
    version=$(kea-dhcp-ddns -v)
    echo "installed: Kea $version"
    directories
    $as_kea touch /run/lock/kea/logger_lockfile
fi
files >"$packages/before"

say "install"
install "$packages"/pyd2_*.deb
same "$(stat --format=%U:%G:%a /etc/kea)" _kea:_kea:750
for page in man8/pyd2.8 man1/pyd2ctl.1 man3/pyd2_hook.h.3; do
    [ -s "/usr/share/man/$page.gz" ] || fail "no man page $page"
done
systemd-analyze verify pyd2.service
apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/pyd2
[ ! -e /etc/systemd/system/multi-user.target.wants/pyd2.service ] || fail "the service would start by itself"
echo "pyd2: $(pyd2 -V | head -1)"
same "$($daemon -v)" "$(pyd2 -v)"
$daemon -W | grep 'wire' || fail "a compiled part is missing"
if [ "$kea" != none ]; then
    same "$(kea-dhcp-ddns -v)" "$version"
    same "$(pyd2 -v)" "$version"
fi

say "the demo, with the packaged daemon"
$as_kea pyd2ctl demo --daemon $daemon

say "the daemon"
if [ "$kea" = none ]; then
    cat >$config <<'END'
{ "DhcpDdns": { "ip-address": "127.0.0.1", "port": 53001,
  "control-socket": { "socket-type": "unix", "socket-name": "kea-ddns-ctrl-socket" },
  "user-context": { "pyd2": { "queue": { "type": "durable", "directory": "/var/lib/kea" } } },
  "loggers": [ { "name": "kea-dhcp-ddns", "severity": "INFO",
                 "output-options": [ { "output": "/var/log/kea/kea-ddns.log" } ] } ] } }
END
    chown _kea:_kea $config
fi
$as_kea env KEA_LOCKFILE_DIR=none $daemon -t $config
start
same "$(cat /proc/$pid/comm)" kea-dhcp-ddns
same "$(readlink /proc/$pid/exe)" $daemon
same "$(tr '\0' ' ' </proc/$pid/cmdline)" "$daemon -c $config "

say "upgrade, while it runs"
echo "$(pyd2 -v)" >/etc/pyd2/kea-version # as the operator would
mkdir newer
for package in pyd2_*.deb; do
    dpkg-deb --raw-extract "$package" newer/tree
    sed -i 's/^Version: .*/&+newer/' newer/tree/DEBIAN/control
    dpkg-deb --build newer/tree newer/ >/dev/null
    rm -r newer/tree
done
install ./newer/pyd2_*.deb
dpkg-query --show pyd2 | grep '+newer$'
[ -s /etc/pyd2/kea-version ] || fail "the upgrade has removed what the operator wrote"
pyd2ctl ping
stop
start
stop

if [ "$kea" = 2.6 ]; then
    say "the bridge"
    install "$packages"/pyd2-kea-bridge_*.deb
    pyd2ctl bridge status
fi

say "in the place of Kea's program"
install "$packages"/pyd2-replace-kea_*.deb
/usr/sbin/kea-dhcp-ddns -V | grep pyd2
if [ "$kea" != none ]; then
    same "$(/usr/sbin/kea-dhcp-ddns.kea -v)" "$version"
    install --reinstall kea-dhcp-ddns-server/now
    /usr/sbin/kea-dhcp-ddns -V | grep pyd2
fi
apt-get remove --yes pyd2-replace-kea
[ "$kea" = none ] || same "$(/usr/sbin/kea-dhcp-ddns -v)" "$version"
! kea-dhcp-ddns -V 2>/dev/null | grep pyd2 || fail "pyd2 is still there"

say "remove"
apt-get remove --yes pyd2
[ ! -e $daemon ] || fail "$daemon is still there"
[ -s /etc/pyd2/kea-version ] || fail "removing has purged"
[ -e $config ] || fail "removing has taken the configuration"

say "purge"
[ "$kea" != none ] || rm $config # the operator made it
apt-get purge --yes 'pyd2*'
apt-get autoremove --yes --purge
files >"$packages/after"
diff "$packages/before" "$packages/after" || fail "these files differ"
[ "$kea" = none ] || same "$(kea-dhcp-ddns -v)" "$version"
[ -z "$(dpkg-divert --list '*kea-dhcp-ddns*')" ] || fail "a diversion is left"
echo
echo "Kea before: $version; no file is left"
