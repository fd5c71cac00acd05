# Shared by the benchmarks: a throwaway server, and the systems that are called, four ports of an
# nginx.  Sourced by bash; $work is the directory of the run.

fail() { printf '%s\n' "$*" >&2; tail -n 30 "$work/server.log" >&2 2>/dev/null; exit 1; }

# start_server <settings>: with them beside those that every benchmark has
start_server()
{
	initdb -D "$work/data" -U postgres -A trust -E UTF8 --no-locale >"$work/initdb.log"
	cat >>"$work/data/postgresql.conf" <<-CONF
	shared_preload_libraries = 'dataflows'
	listen_addresses = ''
	unix_socket_directories = '$work/tmp'
	max_wal_size = 8GB
	$1
	CONF
	pg_ctl -D "$work/data" -l "$work/server.log" -w start >/dev/null
	export PGHOST=$work/tmp PGPORT=5432 PGDATABASE=postgres PGUSER=postgres
}

# and in it a database and a role that owns workflows; later commands are for that database
create_bench()
{
	psql -X -q -c 'CREATE DATABASE bench' -c 'CREATE ROLE app LOGIN'
	export PGDATABASE=bench
}

free_ports()
{
	python3 -c '
import socket
held = [socket.socket() for _ in range(4)]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])'
}

# sets ports and nginx_pid
start_systems()
{
	local nginx

	# two workers keep more connections than the usual 1024
	ulimit -n 8192 2>/dev/null || ulimit -n "$(ulimit -Hn)"
	nginx=$(command -v nginx || echo /usr/sbin/nginx)
	read -r -a ports < <(free_ports)
	sed -e "s|@WORK@|$work|" -e "s/@PORT1@/${ports[0]}/" -e "s/@PORT2@/${ports[1]}/" \
		-e "s/@PORT3@/${ports[2]}/" -e "s/@PORT4@/${ports[3]}/" bench/nginx.conf >"$work/nginx.conf"
	"$nginx" -c "$work/nginx.conf" -e "$work/nginx.log" || fail "nginx does not start"
	# shellcheck disable=SC2034
	nginx_pid=$(pgrep -P "$(cat "$work/nginx.pid")")
}

stop_all()
{
	pg_ctl -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
	[ ! -s "$work/nginx.pid" ] || kill "$(cat "$work/nginx.pid")" 2>/dev/null || true
}
