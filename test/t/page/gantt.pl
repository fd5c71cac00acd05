# The picture of a run over time: its axis goes on to now while the run lives, and the bar of
# an undo ends when the run goes on with something else, not when the run ends.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Utils;

my $node = `node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0;

plan skip_all => 'node is not installed' if $node < 18;

my $dir = PostgreSQL::Test::Utils::tempdir();

# modules by their suffix, which every node understands
for my $module ('dom', 'gantt')
{
	append_to_file("$dir/$module.mjs",
		slurp_file("src/ingress/page/$module.js") =~ s/(\.\/\w+)\.js'/$1.mjs'/gr);
}
append_to_file("$dir/draw.mjs", <<'JS');
const made = [];
const node = n => {
	const a = { n, kids: [] };
	a.setAttribute = (k, v) => { a[k] = v; };
	a.append = (...k) => a.kids.push(...k);
	a.addEventListener = () => {};
	made.push(a);
	return a;
};
globalThis.document = { createElement: node, createElementNS: (_, n) => node(n) };
const { gantt } = await import('./gantt.mjs');
const ago = s => new Date(Date.now() - s * 1000).toISOString();
const step = (n, o) => ({ n, step: 's' + n, kind: 'http', state: 'done', attempts: 1,
	undo_state: 'none', ...o });
const drawn = (run, steps) => {
	made.length = 0;
	gantt(run, steps, []);
	const bars = made.filter(a => a.n === 'rect');
	return {
		axis: made.filter(a => a.n === 'text' && a['text-anchor']).map(a => a.kids.join('')).at(-1),
		ends: bars.map(b => Math.round((+b.x + +b.width - 190) / 7)),
		undo: bars.filter(b => b.class === 'undo').map(b => Math.round(+b.width / 7)),
	};
};
console.log(JSON.stringify({
	waiting: drawn({ started_at: ago(3 * 86400), finished_at: null }, [
		step(1, { started_at: ago(3 * 86400), finished_at: ago(3 * 86400 - 1) }),
		step(2, { kind: 'wait', state: 'waiting', started_at: ago(3 * 86400 - 1) })]),
	undone: drawn({ started_at: ago(60), finished_at: ago(0) }, [
		step(1, { started_at: ago(60), finished_at: ago(59), undo_since: ago(50),
			undo_state: 'undone' }),
		step(2, { started_at: ago(49), finished_at: ago(0) })]),
	undoing: drawn({ started_at: ago(60), finished_at: null }, [
		step(1, { started_at: ago(60), finished_at: ago(59), undo_since: ago(30),
			undo_state: 'sent' })]),
	last: drawn({ started_at: ago(60), finished_at: ago(0) }, [
		step(1, { started_at: ago(60), finished_at: ago(59), undo_since: ago(15),
			undo_state: 'undone' })]),
}));
JS
my ($out, $err);

IPC::Run::run([ 'node', "$dir/draw.mjs" ], '<', \undef, '>', \$out, '2>', \$err)
	or BAIL_OUT("node: $err");
my $drawn = decode_json($out);

is($drawn->{waiting}{axis}, '3 days', 'the axis of a run that has waited for three days says so');
is_deeply($drawn->{waiting}{ends}, [ 0, 100 ], 'and the bar of its wait goes on to now');
is_deeply($drawn->{undone}{undo}, [2], 'an undo ends when the next step begins');
is_deeply($drawn->{undoing}{undo}, [50], 'one that is under way goes on to now');
is_deeply($drawn->{last}{undo}, [25], 'the last one ends with the run');
done_testing();
