#!/bin/sh
# Install the Debian package $1 if its command ($2, or the package's name) is missing. Needs root; else says what to run.
set -eu
package=$1
command -v "${2:-$package}" >/dev/null 2>&1 && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "$package is missing; install it, on Debian with: sudo apt-get install $package" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
