#!/bin/sh
# Usage: packages.sh PACKAGE…
# Installs them with the lists of an earlier layer; where these have grown too old, with new ones.
set -eu
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@" </dev/null; }
if [ -n "$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ]; then
    install "$@" || { apt-get update -qq && install "$@"; }
else
    apt-get update -qq && install "$@"
fi
rm -rf /var/cache/apt/archives/*.deb
