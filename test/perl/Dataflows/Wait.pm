# Waiting for a condition, and what a person would look at first when it does not come.

package Dataflows::Wait;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use Time::HiRes qw(time usleep);
use Dataflows::Sql;

our @EXPORT = qw(wait_until wait_for_runs dump_state);

# Poll until the query says t; the server may be down in between.
sub wait_until
{
	my ($node, $sql, $deadline, $db) = @_;
	my $end = time() + ($deadline // 30);
	my $pause = 20_000;
	my ($rc, $out, $err);

	while (time() < $end)
	{
		($rc, $out, $err) = try_psql($node, $db // 'postgres', $sql);
		return 1 if $rc == 0 && $out eq 't';
		usleep($pause);
		$pause = $pause * 1.3 if $pause < 250_000;
	}
	$out //= '';
	$err //= '';
	diag("not true in time: $sql\nlast answer: $out $err");
	dump_state($node, $db);
	return 0;
}

# Wait until no run is in any state but the given ones.
sub wait_for_runs
{
	my ($node, $states, $deadline, $db) = @_;
	my $list = join(', ', map { "'$_'" } @$states);

	return wait_until($node,
		"SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE state NOT IN ($list))",
		$deadline, $db);
}

# What a person would look at first.
sub dump_state
{
	my ($node, $db) = @_;
	my %looks = (
		'processes' => "SELECT pid, backend_type, usename, state, wait_event FROM pg_stat_activity
				WHERE backend_type LIKE 'dataflows%'",
		'states' => 'SELECT state, waiting_for, count(*) FROM dataflows.runs GROUP BY 1, 2',
		'not finished' =>
			"SELECT run, key, state, step, waiting_for, wake_at - now() AS wakes_in, error,
				(SELECT stuck FROM dataflows.run r WHERE r.run = runs.run) AS stuck
				FROM dataflows.runs WHERE state NOT IN ('completed', 'rolled_back', 'cancelled',
				'waiting') LIMIT 8",
		'their steps' =>
			"SELECT run, n, s.step, s.state, s.attempts, s.status, s.error, undo, undo_state
				FROM dataflows.steps s JOIN dataflows.runs r USING (run)
				WHERE r.state NOT IN ('completed', 'rolled_back', 'cancelled', 'waiting') LIMIT 20",
		'status' => 'SELECT * FROM dataflows.status()');

	for my $look (sort keys %looks)
	{
		my ($rc, $out, $err) =
			try_psql($node, $db // 'postgres', $looks{$look}, extra_params => ['-x']);
		diag("$look: " . ($out // '') . ($err // ''));
	}
	return;
}

1;
