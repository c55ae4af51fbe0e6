#!/bin/sh
# The browser tests drive Debian's Chromium. Where it cannot be installed they say so, and fail in CI.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests (once)" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
    echo "Chromium is missing: the browser tests need it (on Debian: apt-get install chromium)." >&2
fi
