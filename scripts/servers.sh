#!/bin/sh
# Installs the real servers that the integration tests start: Kafka, a schema registry, Prometheus, Alertmanager, Chromium.
#
# Idempotent: installs only what is missing, from the system's package manager and, for the jars of Kafka and of the
# registry, from Maven's configured repository. Says in one line what cannot be had and exits 1. SKIP_SERVERS=1 does
# without them all.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
pom="$root/tests/servers/kafka/pom.xml"
# tests/servers/registry.py reads this line too.
registry_version=3.0.9
log="$root/.cache/servers.log"

fail() {
    echo "scripts/servers.sh: $1 (details: $log; SKIP_SERVERS=1 runs the tests that need no servers)" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -n "$@"
    else
        echo "neither root nor sudo" >>"$log"
        return 1
    fi
}

missing_packages() {
    command -v java >/dev/null 2>&1 || printf ' default-jre-headless'
    command -v mvn >/dev/null 2>&1 || printf ' maven'
    command -v prometheus >/dev/null 2>&1 || printf ' prometheus'
    command -v prometheus-alertmanager >/dev/null 2>&1 || command -v alertmanager >/dev/null 2>&1 ||
        printf ' prometheus-alertmanager'
    command -v chromium >/dev/null 2>&1 || printf ' chromium'
    command -v chromedriver >/dev/null 2>&1 || printf ' chromium-driver'
}

install_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null 2>&1 || fail "missing:$packages, and there is no apt-get to install them with"
    echo "installing$packages" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >>"$log" 2>&1 || fail "apt-get update failed, missing:$packages"
    # shellcheck disable=SC2086  # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >>"$log" 2>&1 ||
        fail "apt-get could not install$packages"
    packages=$(missing_packages)
    [ -z "$packages" ] || fail "installed, but still not found:$packages"
}

kafka_version() {
    sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom"
}

install_kafka() {
    libs="$root/.cache/kafka-libs/$(kafka_version)"
    [ ! -e "$libs/.complete" ] || return 0
    echo "fetching Kafka $(kafka_version) with Maven" >&2
    rm -rf "$libs"
    mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$libs" >>"$log" 2>&1 ||
        fail "Maven could not fetch Kafka $(kafka_version)"
    : >"$libs/.complete"
}

install_registry() {
    home="$root/.cache/schema-registry/$registry_version"
    [ ! -e "$home/.complete" ] || return 0
    echo "fetching Apicurio Registry $registry_version with Maven" >&2
    rm -rf "$home"
    mkdir -p "$home"
    artifact="io.apicurio:apicurio-registry-app:$registry_version:tar.gz:all"
    mvn -q -B dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$home" \
        >>"$log" 2>&1 || fail "Maven could not fetch Apicurio Registry $registry_version"
    tar -xzf "$home"/*.tar.gz -C "$home" >>"$log" 2>&1 || fail "Apicurio Registry $registry_version cannot be unpacked"
    rm -f "$home"/*.tar.gz
    : >"$home/.complete"
}

if [ "${SKIP_SERVERS:-}" = 1 ]; then
    echo "scripts/servers.sh: SKIP_SERVERS=1, nothing installed" >&2
    exit 0
fi
mkdir -p "$root/.cache"
: >"$log"
install_packages
install_kafka
install_registry
