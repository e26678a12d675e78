#!/bin/sh
# Puts the embedded ClickHouse engine's library beside this script, from the pinned npm package, and checks its sha256.
# Quick when it is already there: the checksum is taken once and remembered in node_modules/.verified.
set -eu
cd "$(dirname "$0")"

sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
library=node_modules/@chdb/lib-linux-x64-gnu/libchdb.so
verified=node_modules/.verified

system="$(uname -s) $(uname -m)"
if [ "$system" != "Linux x86_64" ]; then
	echo "libchdb: there is no library for $system; use a ClickHouse server instead" >&2
	exit 1
fi
# The mark names the checksum and is younger than the library, so a changed pin or a changed file is checked again.
if [ -f "$library" ] && [ "$(cat "$verified" 2>/dev/null)" = "$sha256" ] && [ "$verified" -nt "$library" ]; then
	exit 0
fi
if [ ! -f "$library" ]; then
	command -v npm >/dev/null || { echo "libchdb: npm is missing; install Node.js with npm" >&2; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund >&2
fi
if ! echo "$sha256  $library" | sha256sum --check --status; then
	rm -rf node_modules
	echo "libchdb: the library's sha256 is not the pinned one; it was removed, run make libchdb again" >&2
	exit 1
fi
echo "$sha256" >"$verified"
