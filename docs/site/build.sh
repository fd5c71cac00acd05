#!/bin/bash
#
# Builds the documentation as a site: docs/site/build.sh [directory]
#
# mkdocs reads one directory, so the pages are copied side by side as they lie in the tree; links
# between them stay as they are.  A broken link or anchor is an error.  The site opens from the
# file system; the search needs a web server: python3 -m http.server -d build/site

set -euo pipefail
cd "$(dirname "$0")/../.."
site=$(realpath -m "${1:-build/site}")

if ! command -v mkdocs >/dev/null; then
	PACKAGES_ONLY=1 test/setup.sh docs
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/pages"
find . -type d \( -name .git -o -name node_modules -o -path ./build -o -path ./docs/site \) -prune \
	-o -type f \( -name '*.md' -o -name LICENSE -o -path './docs/*' -o -path './examples/*' \) \
	-print |
	while read -r file; do
		install -D -m 644 "$file" "$stage/pages/$file"
	done
sed "s|^docs_dir:.*|docs_dir: $stage/pages|; s|^site_dir:.*|site_dir: $site|" docs/site/mkdocs.yml \
	>"$stage/mkdocs.yml"
mkdocs build --quiet --strict --config-file "$stage/mkdocs.yml"
echo "The site is in $site: open index.html."
