# Waiting for a condition, and what a person would look at first when it does not come.

package Dataflows::Wait;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Dataflows::Sql;

our @EXPORT = qw(wait_until wait_for_runs becomes wait_for log_says let_pass dump_state
	process_waits_for has_wait_event comes_to_rest nothing_crashed);

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

# A test by itself: a run comes to a state.
sub becomes
{
	my ($node, $run, $state, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		wait_until(
			$node, "SELECT state = '$state' FROM dataflows.runs WHERE run = '$run'", 120),
		$name);
}

# Wait until a run has ended or is stuck: the state that it is in then.
sub comes_to_rest
{
	my ($node, $run) = @_;

	wait_until($node, "SELECT state IN ('completed', 'rolled_back', 'cancelled', 'stuck')
		FROM dataflows.runs WHERE run = '$run'", 120);
	return $node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'");
}

# A test by itself: the server's log tells of no process that crashed.
sub nothing_crashed
{
	my ($node) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/,
		'nothing crashed');
}

# A condition: a process of the engine waits for this, as status() says.
sub process_waits_for
{
	my ($process, $what) = @_;

	return "SELECT count(*) > 0 FROM dataflows.status() WHERE process = '$process'
			AND waits_for = '$what'";
}

# The same by a column of pg_stat_activity, wait_event or wait_event_type.
sub has_wait_event
{
	my ($process, $column, $event) = @_;

	return "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'dataflows $process'
			AND $column = '$event'";
}

# As wait_until(), for a condition in Perl: its true value, or nothing.
sub wait_for
{
	my ($what, $condition, $deadline) = @_;
	my $end = time() + ($deadline // 60);

	while (1)
	{
		my $value = $condition->();

		return $value if $value;
		last if time() >= $end;
		usleep(50_000);
	}
	diag("not in time: $what");
	return;
}

# Wait until the server's log, from an offset on, says so; what is new in it if it does not.
sub log_says
{
	my ($node, $pattern, $offset, $deadline) = @_;
	my $said = sub { slurp_file($node->logfile, $offset // 0) =~ $pattern };

	return 1 if wait_for("the log says $pattern", $said, $deadline);
	diag(log_end($node));
	return 0;
}

# Nothing to wait for: that something does not happen shows in some time without it.
sub let_pass
{
	my ($seconds) = @_;

	usleep($seconds * 1_000_000);
	return;
}

# ---- what a person would look at first ---------------------------------------------------------

# the last lines of the log, without those that only count and measure
sub log_end
{
	my ($node, $lines) = @_;
	my @log = grep { !/ LOG:  (?:checkpoint|redo|connection)/ } split /\n/,
		slurp_file($node->logfile);

	$lines //= 30;
	@log = @log[ -$lines .. -1 ] if @log > $lines;
	return join("\n", "the end of the log of $node->{_name}:", @log);
}

# the story of the runs that have not ended, each as timeline() tells it
sub show_timelines
{
	my ($node, $db) = @_;
	my ($rc, $runs) = try_psql($node, $db,
		"SELECT run FROM dataflows.runs WHERE finished_at IS NULL ORDER BY started_at DESC LIMIT 4"
	);

	for my $run ($rc == 0 ? split(/\n/, $runs) : ())
	{
		my (undef, $told) =
			try_psql($node, $db, "SELECT * FROM dataflows.timeline('$run')",
			extra_params => ['-X']);
		diag("timeline of $run:\n" . ($told // ''));
	}
	return;
}

sub dump_state
{
	my ($node, $db) = @_;

	$db //= 'postgres';
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
			try_psql($node, $db, $looks{$look}, extra_params => ['-x']);
		diag("$look: " . ($out // '') . ($err // ''));
	}
	show_timelines($node, $db);
	diag(log_end($node));
	return;
}

1;
