#!/bin/bash
#
# The pages of docs/reference name what the source has, no more and no less, with
# the source's defaults and ranges.
#
#   test/lint/docs.sh [tree]      a line for each thing that is missing or
#                                 differs; exit status 1 if there is any
#
# Functions with their arguments and results, views with their columns, options,
# settings, states and SQLSTATEs are read from src; names that begin with "_" and
# the wrapper's validator are not for users.  Each argument must be explained, and
# each function say its errors.  Links in all documents lead to a file and a
# heading that are there.  Names of the source in documents: names.sh.

set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$(dirname "$0")/../..}"
[ -e docs/reference/README.md ] || { echo "there is no docs/reference"; exit 1; }

exec perl "$self/docs.pl"
