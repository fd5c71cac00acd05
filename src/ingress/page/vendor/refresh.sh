#!/bin/sh
# Copies the files of uPlot from its npm package, after comparing the package's checksum.
set -eu
version=1.6.32
sha512=KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==

cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "uplot@$version" >/dev/null
is=$(openssl dgst -sha512 -binary "uplot-$version.tgz" | base64 -w 0)
if [ "$is" != "$sha512" ]; then
	echo "uplot-$version.tgz has the checksum $is, not $sha512" >&2
	exit 1
fi
tar -xzf "uplot-$version.tgz"
cp package/dist/uPlot.iife.min.js package/dist/uPlot.min.css "$here"
cp package/LICENSE "$here/uPlot-LICENSE.txt"
cd "$here"
sha256sum uPlot.iife.min.js uPlot.min.css
