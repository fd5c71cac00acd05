#!/bin/bash
#
# The state diagrams of docs/reference/states.md, out of the arrays of src/flow.
#
#   test/lint/state_diagram.sh                  prints them
#   test/lint/state_diagram.sh --write [tree]   puts them between the markers
#   test/lint/state_diagram.sh --check [tree]   exit status 1 if the page has others
#
# The markers are lines of their own:
#   <!-- state-machine:begin -->
#   <!-- state-machine:end -->

set -euo pipefail
mode=${1:---print}
cd "${2:-$(dirname "$0")/../..}"

page=docs/reference/states.md
pg_config=${PG_CONFIG:-pg_config}
begin='<!-- state-machine:begin -->'
end='<!-- state-machine:end -->'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip()
{
	echo "state_diagram.sh: skipped, $1"
	exit 0
}

library_dirs()
{
	printf -- '-L%s -L%s -L%s/../lib' "$($pg_config --libdir)" "$($pg_config --pkglibdir)" \
		"$($pg_config --pkglibdir)"
}

print_diagrams()
{
	# shellcheck disable=SC2046
	${CC:-cc} -std=gnu99 -I src -isystem "$($pg_config --includedir-server)" \
		-o "$work/state_diagram" test/lint/state_diagram.c src/flow/run_state.c \
		src/flow/step_state.c $(library_dirs) -lpgport -lpgcommon -lm
	"$work/state_diagram"
}

# the page with the diagrams in $work/diagrams between its markers
page_with_diagrams()
{
	awk -v begin="$begin" -v end="$end" -v diagrams="$work/diagrams" '
		$0 == end { inside = 0 }
		!inside { print }
		$0 == begin {
			inside = 1
			while ((getline line < diagrams) > 0)
				print line
		}' "$page"
}

check_markers()
{
	if [ "$(grep -cFx -e "$begin" "$page")" != 1 ] ||
		[ "$(grep -cFx -e "$end" "$page")" != 1 ]; then
		echo "$page needs one line \"$begin\" and one \"$end\""
		exit 1
	fi
}

case $mode in
--print)
	print_diagrams
	exit
	;;
--write | --check) ;;
*)
	echo "usage: $0 [--write | --check] [tree]"
	exit 2
	;;
esac

[ -e "$page" ] || skip "there is no $page"
command -v "$pg_config" >/dev/null || skip "there is no pg_config"
check_markers
print_diagrams >"$work/diagrams"
page_with_diagrams >"$work/page"
if [ "$mode" = --write ]; then
	cat "$work/page" >"$page"
elif ! cmp -s "$work/page" "$page"; then
	diff "$page" "$work/page" || true
	echo "the diagrams differ from src/flow; run test/lint/state_diagram.sh --write"
	exit 1
fi
