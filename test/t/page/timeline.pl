# The picture of a run over time, as numbers: its axis goes on to now while the run lives, long
# waits are folded, and each attempt, wait and undo has its own time.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Utils;

my $node = `node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0;

plan skip_all => 'node is not installed' if $node < 18;

my $dir = PostgreSQL::Test::Utils::tempdir();

# modules by their suffix, which every node understands
for my $module (qw(dom words timeline))
{
	append_to_file("$dir/$module.mjs",
		slurp_file("src/ingress/page/$module.js") =~ s/(\.\/\w+)\.js'/$1.mjs'/gr);
}
append_to_file("$dir/draw.mjs", <<'JS');
const { picture, ticks } = await import('./timeline.mjs');
const { age } = await import('./words.mjs');
const now = Date.UTC(2026, 10, 27, 12), day = 86400;
const at = s => new Date(now - s * 1000).toISOString();
const step = (n, o) => ({ n, step: 's' + n, kind: 'http', state: 'done', attempts: 1,
	undo_state: 'none', ...o });
/* each bar as kind:from-to, in whole percent of the axis, and the axis */
const drawn = (run, steps, attempts = []) => {
	const d = { run, steps, attempts, last: steps.at(-1).n };
	const { axis, lanes } = picture(d, now);
	return {
		bars: lanes.map(l => l.map(s => s.kind + ':' + Math.round(axis.at(s.from)) + '-'
			+ Math.round(axis.at(s.to))).join(' ')),
		folds: axis.pieces.filter(p => p.fold).map(p => Math.round((p.to - p.from) / 1000)),
		ticks: ticks(axis, 12, !run.finished_at).map(t => t.text),
	};
};
console.log(JSON.stringify({
	ahead: age(new Date(Date.now() + 7 * day * 1000 - 5000).toISOString()),
	waiting: drawn({ started_at: at(3 * day), finished_at: null }, [
		step(1, { started_at: at(3 * day), finished_at: at(3 * day - 1) }),
		step(2, { kind: 'wait', state: 'waiting', started_at: at(3 * day - 1) })]),
	away: drawn({ started_at: at(156), finished_at: null }, [
		step(1, { state: 'failed', started_at: at(156), finished_at: at(155.986) })]),
	between: drawn({ started_at: at(3 * day), finished_at: at(0) }, [
		step(1, { started_at: at(3 * day), finished_at: at(3 * day - 1) }),
		step(2, { kind: 'sleep', started_at: at(3 * day - 1), finished_at: at(1) }),
		step(3, { started_at: at(1), finished_at: at(0) })]),
	short: drawn({ started_at: at(10), finished_at: at(0) }, [
		step(1, { started_at: at(10), finished_at: at(6) }),
		step(2, { kind: 'wait', started_at: at(6), finished_at: at(4) }),
		step(3, { started_at: at(4), finished_at: at(0) })]),
	alone: drawn({ started_at: at(100), finished_at: null }, [
		step(1, { kind: 'wait', state: 'waiting', started_at: at(100) })]),
	retried: drawn({ started_at: at(10), finished_at: at(0) }, [
		step(1, { started_at: at(10), sent_at: at(4), finished_at: at(0), attempts: 3 })], [
		{ n: 1, undo: false, at: at(10), took_ms: 1000 },
		{ n: 1, undo: false, at: at(8), took_ms: 2000 }]),
	refused: drawn({ started_at: at(10), finished_at: at(0) }, [
		step(1, { started_at: at(10), sent_at: at(5), finished_at: at(0), attempts: 2,
			state: 'failed' })], [
		{ n: 1, undo: false, at: at(10), took_ms: 1000 },
		{ n: 1, undo: false, at: at(5), took_ms: 5000 }]),
	pending: drawn({ started_at: at(10), finished_at: null }, [
		step(1, { started_at: at(10), sent_at: at(10), state: 'pending' })], [
		{ n: 1, undo: false, at: at(10), took_ms: 6000 }]),
	undone: drawn({ started_at: at(60), finished_at: at(0) }, [
		step(1, { started_at: at(60), finished_at: at(30), undo_since: at(15),
			undo_state: 'undone' }),
		step(2, { started_at: at(30), finished_at: at(18), undo_since: at(18),
			undo_state: 'undone' }),
		step(3, { started_at: at(12), finished_at: at(0) })]),
	undoing: drawn({ started_at: at(60), finished_at: null }, [
		step(1, { started_at: at(60), finished_at: at(30), undo_since: at(30),
			undo_state: 'sent' })]),
	failed: drawn({ started_at: at(60), finished_at: null }, [
		step(1, { started_at: at(60), finished_at: at(30), undo_since: at(30),
			undo_state: 'undo_failed' })], [{ n: 1, undo: true, at: at(30), took_ms: 15000 }]),
	many: drawn({ started_at: at(20 * day), finished_at: at(0) },
		Array.from({ length: 20 }, (_, i) => step(i + 1,
			{ started_at: at((20 - i) * day), finished_at: at((20 - i) * day - 1) }))),
}));
JS
my ($out, $err);

IPC::Run::run([ 'node', "$dir/draw.mjs" ], '<', \undef, '>', \$out, '2>', \$err)
	or BAIL_OUT("node: $err");
my $drawn = decode_json($out);

is($drawn->{ahead}, 'in 7 days', 'what has just begun to wait for seven days says so');
is( $drawn->{waiting}{ticks}[-1],
	"now \x{b7} 3 d", 'the axis of a run that has waited for three days says so');
is_deeply(
	$drawn->{away}{ticks},
	[ '0', map({ "$_ ms" } 2, 4, 6, 8, 10), "now \x{b7} 2 min 36 s" ],
	'no time stands below the one of now');
is_deeply(
	$drawn->{waiting}{bars},
	[ 'work:0-91', 'wait:91-100' ],
	'work beside the wait is seen, and the wait goes on to now');
is_deeply($drawn->{waiting}{folds}, [ 3 * 86400 - 1 ], 'because it is folded');
is_deeply(
	$drawn->{between}{bars},
	[ 'work:0-46', 'wait:46-55', 'work:55-100' ],
	'so is one between two steps');
is_deeply(
	$drawn->{short}{bars},
	[ 'work:0-40', 'wait:40-60', 'work:60-100' ],
	'a short wait is not');
is_deeply($drawn->{alone}{bars}, ['wait:0-100'], 'nor one beside which there is nothing');
is_deeply(
	$drawn->{retried}{bars},
	['retry:0-10 retry:20-40 work:60-100 pause:10-20 pause:40-60'],
	'each attempt has its time, and the pauses before the next ones');
is_deeply(
	$drawn->{refused}{bars},
	['retry:0-15 fail:24-100 pause:15-24'],
	'the one that failed for good is told apart');
is_deeply($drawn->{pending}{bars}, ['retry:0-91 pause:91-100'], 'a long pause is folded, too');
is_deeply(
	$drawn->{undone}{bars},
	[ 'work:0-50 undo:75-80', 'work:50-70 undo:70-75', 'work:80-100' ],
	'an undo ends when the run goes on with something else, not when the run ends');
is_deeply(
	$drawn->{undoing}{bars},
	['work:0-50 undo:50-100'],
	'one that is under way goes on to now');
like(
	$drawn->{failed}{bars}[0],
	qr/undo:(\d+)-(\d+) fail:\1-\2/,
	'one that failed ends with its last attempt');
is(scalar(@{ $drawn->{many}{folds} }), 20, 'a run with many waits');
like($drawn->{many}{bars}[19], qr/^work:9\d-9\d$/, 'has room for its work');
done_testing();
