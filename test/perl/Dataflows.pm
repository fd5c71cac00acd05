# Helpers of the TAP tests: a preloaded server, the four systems, the onboarding
# workflow, and the proof from the systems' books.

package Dataflows;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time usleep);

use DataflowsProgram;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(try_psql new_node start_systems start_collector create_systems onboarding_sql wait_until wait_for_runs
  reconcile most_together rate_of pids_of is_there kill_process kill_postmaster retry_killed restart_hard dump_state as_app number_of);

# A server with the extension preloaded, sockets only, durable.
sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $preload = $params{preload} // 'dataflows';

	$node->init;
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = '$preload'
max_worker_processes = 32
fsync = on
restart_after_crash = on
log_statement = none
log_line_prefix = '%m [%p] %b %d '
max_wal_size = 256MB
checkpoint_timeout = 30min
max_prepared_transactions = 4
CONF
	$node->append_conf('postgresql.conf', $params{conf}) if $params{conf};
	$node->start unless $params{no_start};
	return $node;
}

sub start_systems
{
	return Dataflows::Systems->new(@_);
}

sub start_collector
{
	return Dataflows::Collector->new;
}

# The most of these requests that a system had without an answer at a time.
sub most_together
{
	my (@requests) = @_;

	return max(0, map { $_->{together} } @requests);
}

# How many requests a second came at most, in the mean over all of these but those that may come ahead: a slow machine
# makes the way longer for some of them, and so the mean of many tells more than the most of any second.
sub rate_of
{
	my ($ahead, @requests) = @_;
	my @at = sort { $a <=> $b } map { $_->{at} } @requests;

	return (@at - 1 - $ahead) / ($at[-1] - $at[0]);
}

# The options that make the tests quick: short back-offs, short settling.
sub _server_sql
{
	my ($systems, $name, %params) = @_;
	my %options = (
		url => $systems->url($name),
		allow_private => 'true',
		timeout => '5s',
		retry_initial => '50ms',
		retry_max => '500ms',
		settle => '100ms',
		breaker_failures => 1000,
		%{ $params{options} || {} });
	my $list;

	$options{idempotency_header} //= 'Idempotency-Key' unless $params{untrusted};
	$list = join(', ', map { "$_ '$options{$_}'" } sort keys %options);
	return "CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);\n"
	  . "GRANT USAGE ON FOREIGN SERVER $name TO app;\n";
}

sub onboarding_sql
{
	return <<'SQL';
CREATE FUNCTION app.customer_onboarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  account  jsonb;
  customer jsonb;
BEGIN
  account := dataflows.post('create-account', 'identity', '/users',
               jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
  customer := dataflows.post('create-billing', 'billing', '/customers',
               jsonb_build_object('email', event->>'email', 'metadata', jsonb_build_object('account', account->>'id')),
               undo => 'DELETE /customers/{id}');
  PERFORM dataflows.post('create-crm-contact', 'crm', '/contacts',
               jsonb_build_object('name', event->>'name', 'email', event->>'email', 'customer', customer->>'id'),
               undo => 'DELETE /contacts/{id}');
  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
    RAISE EXCEPTION 'address never confirmed';
  END IF;
  PERFORM dataflows.post('send-welcome', 'email', '/send', jsonb_build_object('to', event->>'email', 'template', 'welcome'),
               doubt => 'accept');
  RETURN jsonb_build_object('accountId', account->'id', 'customerId', customer->'id');
END $$;
CREATE TABLE app.signups (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, name text);
SELECT dataflows.define_workflow('customer-onboarding', 'app.customer_onboarding');
CREATE TRIGGER onboard AFTER INSERT ON app.signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
SQL
}

# Extension, role app, the four servers and (unless workflow => 0) the onboarding.
sub create_systems
{
	my ($node, $db, $systems, %params) = @_;
	my $sql = "CREATE EXTENSION dataflows;\n";

	$sql .= "DO \$\$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;\n";
	$sql .= "CREATE SCHEMA app AUTHORIZATION app;\n";
	$sql .= "GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;\n";
	$sql .= _server_sql($systems, $_, %params) for qw(identity billing crm email);
	$node->safe_psql($db, $sql);
	as_app($node, $db, onboarding_sql()) unless exists $params{workflow} && !$params{workflow};
	return;
}

sub as_app
{
	my ($node, $db, $sql) = @_;

	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'app' ]);
}

# psql that may fail, even before it has read its input (the server being down).
sub try_psql
{
	my ($node, $db, $sql, %params) = @_;
	my @answer = eval { $node->psql($db, $sql, %params) };

	return @answer ? @answer : (2, '', $@);
}

sub number_of
{
	my ($node, $sql, $db) = @_;

	return 0 + $node->safe_psql($db // 'postgres', $sql);
}

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

	return wait_until($node, "SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE state NOT IN ($list))", $deadline, $db);
}

# Runs in whose bodies the test has killed a process three times are stuck, as if they had crashed it.  Who knows
# better lets them go on.
sub retry_killed
{
	my ($node) = @_;

	try_psql($node, 'postgres', "SELECT dataflows.retry(run, 'killed by the test') FROM dataflows.runs WHERE state = 'stuck' AND stuck->>'sqlstate' = '57P02'");
	return;
}

# What a person would look at first.
sub dump_state
{
	my ($node, $db) = @_;
	my %looks = (
		'processes' => "SELECT pid, backend_type, usename, state, wait_event FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'",
		'states' => 'SELECT state, waiting_for, count(*) FROM dataflows.runs GROUP BY 1, 2',
		'not finished' => "SELECT run, key, state, step, waiting_for, wake_at - now() AS wakes_in, error, (SELECT stuck FROM dataflows.run r WHERE r.run = runs.run) AS stuck FROM dataflows.runs WHERE state NOT IN ('completed', 'rolled_back', 'cancelled', 'waiting') LIMIT 8",
		'their steps' => "SELECT run, n, s.step, s.state, s.attempts, s.status, s.error, undo, undo_state FROM dataflows.steps s JOIN dataflows.runs r USING (run) WHERE r.state NOT IN ('completed', 'rolled_back', 'cancelled', 'waiting') LIMIT 20",
		'status' => 'SELECT * FROM dataflows.status()');

	for my $look (sort keys %looks)
	{
		my ($rc, $out, $err) = try_psql($node, $db // 'postgres', $looks{$look}, extra_params => ['-x']);
		diag("$look: " . ($out // '') . ($err // ''));
	}
	return;
}

# ---- killing -----------------------------------------------------------------

# kind: launcher, coordinator, worker
sub pids_of
{
	my ($node, $kind) = @_;
	my ($rc, $out) = try_psql($node, 'postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%$kind%' ORDER BY random()");

	return $rc == 0 ? split(/\n/, $out) : ();
}

sub kill_process
{
	my ($signal, $pid) = @_;

	return kill($signal, $pid);
}

sub _children
{
	my ($pid) = @_;
	my @children;

	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open(my $file, '<', $stat) or next;
		my $line = <$file> // '';
		close $file;
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+)/ && $2 == $pid;
	}
	return @children;
}

# a process that runs; one that has ended may wait for somebody to ask how
sub is_there
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $line = <$file> // '';
	close $file;
	return $line =~ /^\d+ \(.*\) [^ZX] /;
}

# kill -9 of the postmaster.  Every child, ours too, must notice and end by
# itself: the seconds until the last one has.
sub kill_postmaster
{
	my ($node) = @_;
	my ($pid) = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = _children($pid);
	my $begun = time();
	my $took;

	$node->kill9;
	usleep(10_000) while (time() < $begun + 20 && grep { is_there($_) } @children);
	$took = time() - $begun;
	@children = grep { is_there($_) } @children;
	if (@children)
	{
		kill('KILL', @children);
		die "left by the postmaster: @children";
	}
	# a new one is not started as long as there is any process of that number
	usleep(10_000) while (time() < $begun + 60 && kill(0, $pid));
	return $took;
}

# kill -9 of the postmaster or an immediate shutdown, then a start
sub restart_hard
{
	my ($node, $how) = @_;

	if ($how eq 'kill')
	{
		kill_postmaster($node);
	}
	else
	{
		$node->stop('immediate');
	}
	$node->start;
	return;
}

# ---- the proof from the books ----------------------------------------------------

# Compares every run with what the systems' books say; returns the discrepancies.
# params: db, prefix (only addresses that begin so), table (each row of it has a run)
sub reconcile
{
	my ($node, $systems, %params) = @_;
	my $db = $params{db} // 'postgres';
	my $rows = $node->safe_psql($db,
		"SELECT run || ' ' || state || ' ' || (input->>'email') FROM dataflows.runs WHERE workflow = 'customer-onboarding'");
	my %books = map { $_ => $systems->summary($_) } Dataflows::Systems::names();
	my (%known, @wrong);

	for my $row (split /\n/, $rows)
	{
		my ($run, $state, $email) = split / /, $row, 3;

		push @wrong, "two runs for $email" if $known{$email}++;
		push @wrong, _compare($run, $state, $email, \%books);
	}
	for my $name (sort keys %books)
	{
		push @wrong, map { "$name: $_ belongs to no run" } grep { !$known{$_} } sort keys %{ $books{$name} };
	}
	push @wrong, _without_run($node, $db, $params{table} // 'app.signups');
	return @wrong;
}

sub _compare
{
	my ($run, $state, $email, $books) = @_;
	my @wrong;

	for my $name (sort keys %$books)
	{
		my ($ever, $live) = @{ $books->{$name}{$email} // [ 0, 0 ] };
		my $said = "run $run ($state) of $email: $name has $live live of $ever";

		if ($state eq 'completed')
		{
			push @wrong, $said if $live != 1 || $ever != 1;
		}
		elsif ($state eq 'rolled_back' || $state eq 'cancelled')
		{
			push @wrong, $said if $ever > 1 || ($live > 0 && $name ne 'email');
		}
		else
		{
			push @wrong, $said;
		}
	}
	return @wrong;
}

sub _without_run
{
	my ($node, $db, $table) = @_;
	my $lost = $node->safe_psql($db,
		"SELECT id FROM $table s WHERE NOT EXISTS (SELECT FROM dataflows.runs r WHERE r.key = s.id::text)");

	return map { "row $_ of $table has no run" } split /\n/, $lost;
}

# ---- the four systems -----------------------------------------------------------

package Dataflows::Systems;

use strict;
use warnings;
use parent -norequire, 'DataflowsProgram';

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;

sub names
{
	return qw(identity billing crm email);
}

# params: seed, ledger
sub new
{
	my ($class, %params) = @_;
	my $self = bless {
		seed => $params{seed} // 1,
		ledger => $params{ledger} // PostgreSQL::Test::Utils::tempdir_short() . '/books',
		http => HTTP::Tiny->new(timeout => 60),
	}, $class;

	$self->start;
	return $self;
}

# again after a stop: with the same ports and books
sub start
{
	my ($self) = @_;

	$self->{urls} = $self->launch('systems.py', '--books', $self->{ledger}, '--seed', $self->{seed},
		$self->{ports} ? ('--ports', $self->{ports}) : ());
	$self->{ports} = join(',', map { $self->{urls}{$_} =~ /:(\d+)$/ } (names(), 'control'));
	return;
}

sub url
{
	my ($self, $name) = @_;

	return $self->{urls}{$name};
}

sub command
{
	my ($self, $name, $method, $path, $data) = @_;
	my %options = defined $data ? (content => encode_json($data)) : ();
	my $answer = $self->{http}->request($method, "$self->{urls}{control}/$name/$path", \%options);

	die "$name $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return decode_json($answer->{content});
}

# every record ever, and counts of requests
sub books { my ($self, $name) = @_; return $self->command($name, 'GET', '_books'); }

# {address => [ever, live]}
sub summary { my ($self, $name) = @_; return $self->command($name, 'GET', '_summary'); }

# the requests: method, target, email, key, status, fault
sub requests { my ($self, $name) = @_; return $self->command($name, 'GET', '_log'); }

sub fault { my ($self, $name, %rule) = @_; return $self->command($name, 'POST', '_faults', \%rule); }

sub config { my ($self, $name, %switches) = @_; return $self->command($name, 'POST', '_config', \%switches); }

# the authorization server, POST /token on each: sets switches; {asked, refused, issued}
sub tokens { my ($self, %switches) = @_; return $self->command('identity', 'POST', '_tokens', \%switches); }

sub down { my ($self, $name) = @_; return $self->command($name, 'POST', '_down'); }

sub up { my ($self, $name) = @_; return $self->command($name, 'POST', '_up'); }

sub clear_faults
{
	my ($self, @names) = @_;

	$self->command($_, 'DELETE', '_faults') for (@names ? @names : names());
	return;
}

sub reset
{
	my ($self) = @_;

	$self->command($_, 'POST', '_reset') for names();
	return;
}

# "identity/billing/crm/email" numbers of live records of an address
sub live
{
	my ($self, $email) = @_;

	return join('/', map { ($self->summary($_)->{$email} // [ 0, 0 ])->[1] } names());
}

# the same, of records ever made
sub ever
{
	my ($self, $email) = @_;

	return join('/', map { ($self->summary($_)->{$email} // [ 0, 0 ])->[0] } names());
}

# ---- a collector of traces --------------------------------------------------------

package Dataflows::Collector;

use strict;
use warnings;
use parent -norequire, 'DataflowsProgram';

use HTTP::Tiny;
use JSON::PP;

sub new
{
	my ($class) = @_;
	my $self = bless { http => HTTP::Tiny->new(timeout => 60) }, $class;

	$self->{url} = $self->launch('collector.py')->{url};
	return $self;
}

sub url { my ($self) = @_; return $self->{url}; }

# all spans that it took
sub spans { my ($self) = @_; return @{ decode_json($self->{http}->get("$self->{url}/_spans")->{content}) }; }

# how it answers from now on: status, delay
sub mode { my ($self, %mode) = @_; return $self->{http}->request('POST', "$self->{url}/_mode", { content => encode_json(\%mode) }); }

1;
