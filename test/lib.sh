# Shared by check.sh, demo.sh and others: a throwaway directory, an unprivileged
# user, and nothing left behind.  Sourced by bash, from the top of the tree.

say() { printf '%s\n' "$*"; }

unprivileged_user()
{
	if getent passwd postgres >/dev/null; then echo postgres; else echo nobody; fi
}

# Ends what runs in $work (servers by their pid files, the child's process
# group) and removes it.
clean_up()
{
	local pidfile

	trap '' INT TERM
	[ -n "${child:-}" ] && kill -TERM -- "-$child" 2>/dev/null
	find "$work" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		kill -QUIT "$(head -n 1 "$pidfile")" 2>/dev/null
	done
	rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
}

# run_aside <script> [arguments]: copies the tree to a temporary directory and
# runs the script there, as an unprivileged user if called by root, with DF_WORK
# set; removes it all and exits with the script's code.
run_aside()
{
	local script=$1 rc=0 user
	local -a become=()

	shift
	work=$(mktemp -d "${TMPDIR:-/tmp}/dataflows.XXXXXX")
	trap clean_up EXIT
	trap 'exit 130' INT TERM
	mkdir "$work/tree" "$work/tmp"
	tar -c --exclude=./.git --exclude='*.o' --exclude='*.so' . | tar -x -C "$work/tree"
	if [ "$(id -u)" = 0 ]; then
		user=$(unprivileged_user)
		chown -R "$user" "$work"
		become=(runuser -u "$user" --)
	fi
	# in a process group of its own, so that clean_up can end all of it
	set -m
	"${become[@]}" env DF_WORK="$work" HOME="$work" TMPDIR="$work/tmp" "$work/tree/$script" "$@" \
		</dev/null &
	child=$!
	set +m
	wait "$child" || rc=$?
	child=
	exit "$rc"
}
