#!/bin/bash
#
# Makes the pictures of the page in docs/: of test/t/page/looks.pl, which fills a database for
# them, in Chromium.  Look at them before they are committed.

set -euo pipefail
cd "$(dirname "$0")/.."
shots=$(mktemp -d)
trap 'rm -rf "$shots"' EXIT
chmod 777 "$shots"

DF_SHOTS=$shots TESTS=page/looks test/check.sh tap
mkdir -p docs/pictures
cp "$shots/run-waits.png" docs/page.png
for name in runs run-undone needs systems phone-runs phone-run; do
	cp "$shots/$name.png" docs/pictures/
done
ls -l docs/page.png docs/pictures
