#!/bin/bash
#
# Installs what is missing, builds, and installs the extension.
#
#   test/setup.sh [demo|examples|check|bench|docs]
#
# As root on Debian it installs the missing packages and says so; otherwise it
# names the one line to run.  The extension is installed beside the server that
# PG_CONFIG names, if what is there differs from what was built.  With
# PACKAGES_ONLY=1 it ends after the packages.

set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-check}
pg_config=${PG_CONFIG:-pg_config}

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# The major version: the one of pg_config, else the distribution's own.
pg_major()
{
	local major=

	if command -v "$pg_config" >/dev/null; then
		major=$("$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	elif command -v apt-cache >/dev/null; then
		major=$(apt-cache policy postgresql | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p')
	fi
	echo "${major:-15}"
}

wanted_packages()
{
	local v=$1

	if [ "$purpose" = docs ]; then
		echo mkdocs mkdocs-material
		return
	fi
	echo gcc make libc6-dev libcurl4-openssl-dev libmicrohttpd-dev zlib1g-dev libssl-dev \
		libkrb5-dev python3 \
		"postgresql-$v" "postgresql-server-dev-$v"
	case $purpose in
		examples) echo openssl "postgresql-$v-cron" "postgresql-$v-pgtap" ;;
		check)
			echo clang-format openssl chromium chromium-driver python3-prometheus-client \
				libipc-run-perl "postgresql-plperl-$v" "postgresql-plpython3-$v" \
				"postgresql-$v-cron" "postgresql-$v-plpgsql-check" \
				"postgresql-$v-pgtap" \
				mkdocs mkdocs-material curl pgbouncer python3-psycopg2 node-pg
			;;
		demo) echo curl ;;
		bench) echo nginx-light ;;
	esac
}

is_installed()
{
	[ "$1" = nginx-light ] && command -v nginx >/dev/null && return 0
	# a Node from elsewhere does not go with the packages of Debian's
	[ "$1" = node-pg ] && command -v node >/dev/null && return 0
	dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed'
}

missing_packages()
{
	local package

	for package in $(wanted_packages "$1"); do
		is_installed "$package" || echo "$package"
	done
}

install_packages()
{
	local missing

	if [ "$(id -u)" = 0 ] && ! command -v "$pg_config" >/dev/null &&
		! apt-cache show postgresql >/dev/null 2>&1; then
		say "Reading the package lists (apt-get update)"
		apt-get update -qq
	fi
	missing=$(missing_packages "$(pg_major)" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		die "Some Debian packages are missing. Run this line, then the same command again:
sudo apt-get install -y --no-install-recommends $missing"
	fi
	say "Installing Debian packages: $missing"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing \
		>/dev/null ||
		{ apt-get update -qq &&
			DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing \
				>/dev/null; } ||
		die "The packages could not be installed."
}

check_tools()
{
	local tool

	for tool in "$pg_config" gcc make python3; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing: install PostgreSQL's server and development files, libcurl's," \
				"a C compiler and Python 3."
	done
}

build()
{
	local log

	log=$(mktemp)
	if ! make -s -j"$(nproc)" PG_CONFIG="$pg_config" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		die "The build failed."
	fi
	grep -i 'warning' "$log" >&2 || true
	rm -f "$log"
}

is_current()
{
	local lib ext

	lib=$("$pg_config" --pkglibdir)
	ext=$("$pg_config" --sharedir)/extension
	cmp -s dataflows.so "$lib/dataflows.so" && cmp -s dataflows.control "$ext/dataflows.control" &&
		for sql in dataflows--*.sql src/sql/upgrade/*.sql connectors/*/dataflows_*; do
			cmp -s "$sql" "$ext/$(basename "$sql")" || return 1
		done
}

install_extension()
{
	local lib ext

	is_current && return 0
	lib=$("$pg_config" --pkglibdir)
	ext=$("$pg_config" --sharedir)/extension
	say "Installing the extension in $lib and $ext"
	if [ -w "$lib" ] && [ -w "$ext" ]; then
		make -s install PG_CONFIG="$pg_config" >/dev/null
	elif sudo -n true 2>/dev/null; then
		sudo -n make -s install PG_CONFIG="$pg_config" >/dev/null
	else
		die "The extension must be installed by somebody who may write there.
Run this line, then the same command again:
sudo make install"
	fi
}

if command -v dpkg-query >/dev/null; then
	install_packages
fi
check_tools
[ -z "${PACKAGES_ONLY:-}" ] || exit 0
build
install_extension
