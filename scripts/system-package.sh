#!/bin/sh
# Install one Debian package if its command is missing. Needs root; without it, says what to run.
set -eu
package=$1
command -v "$package" >/dev/null 2>&1 && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "$package is missing; install it, on Debian with: sudo apt-get install $package" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
