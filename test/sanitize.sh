#!/bin/bash
#
# Runs the tests on a server that is built to find faults; not part of make check.
#
#   PG_CONFIG=<of that server> test/sanitize.sh [stage ...]     with TESTS and JOBS as check.sh
#
# The server is PostgreSQL's own source, configured with
#   --enable-cassert --enable-debug --enable-tap-tests --with-openssl --with-perl --with-python
# and, for the address sanitizer, made and installed with
#   make COPT=-fsanitize=address
# -DRELCACHE_FORCE_RELEASE in its CFLAGS finds what is used after its relation is
# closed.  The address sanitizer sees memory of palloc() only if the macros of
# src/include/utils/memdebug.h that are made for valgrind are made for it instead:
# VALGRIND_MAKE_MEM_NOACCESS is ASAN_POISON_MEMORY_REGION, _DEFINED, _UNDEFINED,
# VALGRIND_MEMPOOL_ALLOC and _CHANGE (of the new pointer) ASAN_UNPOISON_MEMORY_REGION,
# all others nothing.
#
# The extension, and the unit tests, are built with the address and undefined-behaviour
# sanitizers if the server has the former.  A report of a sanitizer fails the run,
# whatever the tests say; assertions and leaks in the logs of the servers are found
# by check.sh itself.  TEMP_CONFIG is a file of settings for all servers:
# debug_discard_caches = 1 finds what is kept of a cache too long, and takes hours.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PG_CONFIG=${PG_CONFIG:-pg_config}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
reports=$work/reports
mkdir -m 1777 "$reports"
chmod 755 "$work"
# what a process has when it ends is no leak: it goes with the process
export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:log_path=$reports/address"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=0:log_path=$reports/undefined"

if ! grep -q 'define USE_ASSERT_CHECKING 1' "$("$PG_CONFIG" --includedir-server)/pg_config.h"; then
	echo "the server of $PG_CONFIG is built without --enable-cassert" >&2
	exit 2
fi
COPT='-O1 -g -fno-omit-frame-pointer'
if grep -q __asan_init "$("$PG_CONFIG" --bindir)/postgres"; then
	COPT="$COPT -fsanitize=address,undefined"
fi
export COPT
# everything is slower by a factor of three to ten
export DF_TAP_TIMEOUT=${DF_TAP_TIMEOUT:-1800} DF_REGRESS_TIMEOUT=${DF_REGRESS_TIMEOUT:-1800} \
	JOBS=${JOBS:-1}

# a copy, because objects that are compiled in another way are not compiled anew
mkdir "$work/tree"
tar -c --exclude=./.git --exclude='*.o' --exclude='*.so' . | tar -x -C "$work/tree"
cd "$work/tree" || exit 1
test/check.sh "$@"
rc=$?
found=$(find "$reports" -type f | wc -l)
find "$reports" -type f | head -n 10 | xargs -r head -n 60
echo "$found reports of sanitizers"
[ "$rc" = 0 ] && [ "$found" = 0 ]
