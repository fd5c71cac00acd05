# What people read when something goes wrong: the column reason of runs, list_runs() and steps, and
# the timeline, say in words what failed, what the system itself said, and what happens next.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Systems;

my $systems = start_systems();
my $node = new_node('reasons', conf => "dataflows.sweep_interval = '500ms'\n");
my $time = '(?:\d{4}-\d\d-\d\d[ ])?\d\d:\d\d:\d\d';

# a try follows another one late enough to be looked at
my %late = (retry_initial => '1d', retry_max => '1d', retry_for => '10d');

create_systems($node, 'postgres', $systems, workflow => 0,
	options => { %late, breaker_failures => 3, breaker_cooldown => '1h' });
create_server($node, 'slow', $systems->url('crm'), rate_limit => '1/h', %late);
create_server($node, 'nowhere', 'http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port(),
	breaker_failures => 0, %late);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('make', (event->>'system')::name, event->>'path',
    jsonb_build_object('email', event->>'email', 'to', event->>'email'),
    undo => 'DELETE ' || (event->>'path') || '/{id}', retry => event->'retry',
    timeout => (event->>'timeout')::interval, doubt => event->>'doubt',
    answers => event->'answers', probe => event->>'probe', headers => event->'headers');
  IF event ? 'wait' THEN PERFORM dataflows.wait_for(event->>'wait', '1 day'); END IF;
  IF event ? 'fail' THEN PERFORM dataflows.fail(event->>'fail'); END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('one', 'app.one'), dataflows.define_workflow('halted', 'app.one');
SQL

my $number = 0;

sub start_one
{
	my ($system, %input) = @_;
	my $workflow = delete $input{workflow} // 'one';
	my $json = JSON::PP->new->encode({
		system => $system, path => Dataflows::Systems::path_of($system) // '/contacts',
		email => 'r' . ++$number . '@example.com', %input });

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', \$j\$$json\$j\$)");
}

sub of_run
{
	my ($run, $what) = @_;

	return as_app($node, 'postgres', $what =~ s/RUN/'$run'/r);
}

# the run, its step and the timeline say so; step NULL: the run alone does
sub says
{
	my ($run, $pattern, $name, $step_pattern) = @_;
	my $reason = '';

	ok( wait_for(
			$name,
			sub {
				$reason = of_run($run, 'SELECT reason FROM dataflows.runs WHERE run = RUN');
				return $reason =~ $pattern;
			},
			30),
		$name)
		or diag($reason);
	# at one moment: the next attempt may be made meanwhile
	is( of_run(
			$run,
			'SELECT l.reason = r.reason FROM dataflows.list_runs() AS l JOIN dataflows.runs AS r
				USING (run) WHERE run = RUN'
		),
		't',
		'list_runs() says the same');
	my $step = of_run($run,
		"SELECT string_agg(reason, ' ') FROM dataflows.steps WHERE run = RUN AND step = 'make'");

	$step_pattern //= $pattern;
	like($step, $step_pattern, 'so does the step') if $step_pattern ne '';
	my $timeline = of_run($run, 'SELECT * FROM dataflows.timeline(RUN)');

	like($timeline, $step_pattern eq '' ? $pattern : qr/^make: .*$step_pattern/m,
		'and the timeline');
	print STDERR "# $name\n$reason\n$step\n$timeline\n" if $ENV{DF_SHOW};
	return;
}

my %made;

# ---- tried again

my $notice = { error => { message => 'maintenance until 10:00' } };

$systems->fault('billing', status => 503, body => $notice, times => 1);
$made{status} = start_one('billing', retry => { max_attempts => 5 });
says($made{status},
	qr/attempt\ 1\ of\ 5:\ 503\ from\ billing:\ "maintenance\ until\ 10:00";
		\ it\ may\ have\ been\ carried\ out;\ tries\ again\ at\ $time/x,
	'a status, with the words of the system');
$systems->fault('crm', status => 429, body => { message => 'slow down' }, retry_after => 60,
	times => 1);
$made{asked} = start_one('crm');
says($made{asked}, qr/"make": 429 from crm: "slow down"; tries again at $time/,
	'a system that asks for time, which is no attempt', qr/429 from crm: "slow down"/);
$made{behind} = start_one('crm');
says($made{behind}, qr/system "crm" asks to be left alone; tries at $time/,
	'another run, which has to wait with it');
$made{refused_connection} = start_one('nowhere');
says($made{refused_connection}, qr/attempt 1: nowhere: connection refused; tries again at $time/,
	'no connection');
$systems->fault('email', fault => 'hang', times => 1);
$made{timeout} = start_one('email', timeout => '1 s', doubt => 'resend');
says($made{timeout}, qr/attempt 1: email: timed out after 1000 ms.*; tries again at $time/,
	'no answer in time');
$systems->fault('identity', status => 401, body => { message => 'bad token' }, times => 1);
$made{credentials} = start_one('identity');
says($made{credentials}, qr/identity: credentials refused \(401: "bad token"\)/,
	'credentials that are refused');
start_one('slow') for 1, 2;
ok( wait_until(
		$node, q{SELECT count(*) > 0 FROM dataflows.steps WHERE system = 'slow'
			AND reason LIKE 'waits for its turn at system "slow"; tries at %'}),
	'a rate limit of our own');

# ---- held

as_app($node, 'postgres', "SELECT dataflows.pause('halted')");
$made{halted} = start_one('billing', workflow => 'halted');
says($made{halted}, qr/^the workflow is paused$/m, 'a paused workflow', '');
$node->safe_psql('postgres', q(SELECT dataflows.pause_system('billing', 'their "update"')));
$made{paused} = start_one('billing');
says($made{paused}, qr/system "billing" is paused by \w+: their "update"; tries at $time/,
	'a paused system');
$node->safe_psql('postgres', q(SELECT dataflows.resume_system('billing')));
create_server($node, 'down', $systems->url('billing'), %late, breaker_failures => 1,
	breaker_cooldown => '1h');
$systems->fault('billing', status => 502, times => 1);
$made{fails} = start_one('down', path => '/customers', doubt => 'resend');
says($made{fails}, qr/502 from down/, 'a page of a proxy');
$made{breaker} = start_one('down', path => '/customers');
says($made{breaker}, qr/system "down" keeps failing: its breaker is open; tries at $time/,
	'an open breaker');

# ---- done after all, failed, stuck, in doubt

create_server($node, 'fast', $systems->url('crm'), idempotency_header => 'Idempotency-Key',
	retry_initial => '10ms', retry_max => '10ms', breaker_failures => 0);
create_server($node, 'keyless', $systems->url('crm'), retry_initial => '10ms',
	retry_max => '10ms', breaker_failures => 0);
$systems->clear_faults;
$systems->fault('crm', status => 503, body => { detail => 'busy' }, times => 2);
$made{done} = start_one('fast', wait => 'never');
says($made{done}, qr/^step "never": waits for a signal, until $time/, 'one that waits',
	qr/done at attempt 3; before that: 503 from fast: "busy"/);
$systems->fault('crm', status => 409, body => { title => 'taken already' }, times => 1);
$made{failed} = start_one('fast');
says($made{failed}, qr/step "make" failed: 409 from fast: "taken already"/, 'one that failed',
	qr/failed: 409 from fast: "taken already"/);
$systems->fault('crm', status => 425, body => { title => 'not yet' }, times => 2);
$made{limit} = start_one('fast', retry => { max_attempts => 2 });
says($made{limit}, qr/step "make" failed: 425 from fast: "not yet"/, 'by its own limit',
	qr/failed after 2 attempts: 425 from fast: "not yet"/);
$systems->fault('crm', status => 403, body => { message => 'ask sales' }, times => 1);
$made{stuck} = start_one('fast');
says($made{stuck}, qr/step "make" .*system "fast".*status 403: ask sales/, 'one that is stuck',
	qr/403 from fast: "ask sales"/);
is( of_run($made{stuck}, 'SELECT reason FROM dataflows.stuck WHERE run = RUN'),
	of_run($made{stuck}, 'SELECT reason FROM dataflows.runs WHERE run = RUN'),
	'the view stuck says the same');
$systems->fault('crm', status => 500, body => { message => 'oops' }, times => 1);
$made{doubt} = start_one('keyless');
says($made{doubt}, qr/step "make" is in doubt at system "keyless".*oops/, 'one in doubt',
	qr/in doubt: 500 from keyless: "oops"/);
$systems->fault('crm', status => 500, body => { message => 'oops' }, match => { method => 'POST' },
	times => 1);
$systems->fault('crm', status => 400, match => { method => 'GET' }, skip => 1, times => 1);
$made{probe} = start_one('keyless', probe => 'GET /contacts?email={request.email}');
says($made{probe}, qr/in doubt.*the probe was answered with status 400/,
	'one whose probe does not help', qr/in doubt: 500 from keyless: "oops", and the probe/);

# ---- undone

$node->safe_psql('postgres',
	"ALTER SERVER keyless OPTIONS (SET retry_max '1d', SET retry_initial '1d',
		ADD retry_for '10d')");
$node->append_conf('postgresql.conf', "dataflows.undo_for = '10d'\n");
$node->reload;
$systems->clear_faults;
$systems->fault('crm', status => 503, body => { message => 'locked' },
	match => { method => 'DELETE' }, times => 1);
$made{undo} = start_one('keyless', fail => 'the customer has no address');
says($made{undo},
	qr/^the\ customer\ has\ no\ address;\ step\ "make":
		\ undo:\ attempt\ 1:\ 503\ from\ keyless:\ "locked";\ tries\ again\ at\ $time/x,
	'an undo that is tried again', qr/undo: attempt 1: 503 from keyless: "locked"/);
$node->safe_psql('postgres',
	"ALTER SERVER keyless OPTIONS (SET retry_max '10ms', SET retry_initial '10ms')");
$systems->fault('crm', status => 503, body => { message => 'locked' },
	match => { method => 'DELETE' }, times => 2);
$made{undone} = start_one('keyless', fail => 'no');
says($made{undone}, qr/^no$/, 'one that is undone',
	qr/undone at attempt 3; before that: 503 from keyless: "locked"/);
$node->append_conf('postgresql.conf', "dataflows.undo_for = '1s'\n");
$node->reload;
$systems->fault('crm', status => 409, body => { message => 'has open invoices' },
	match => { method => 'DELETE' });
$made{undo_fails} = start_one('keyless', fail => 'no');
says($made{undo_fails}, qr/not everything could be undone/, 'one whose undo fails',
	qr/the undo failed(?: after \d+ attempts)?: 409 from keyless: "has open invoices"/);
# ---- bounded, and without secrets

$systems->clear_faults;
$systems->fault('crm', status => 409, body => { message => 'x' x 100_000 }, times => 1);
$made{long} = start_one('fast');
becomes($node, $made{long}, 'rolled_back', 'a system with many words');
cmp_ok(length(of_run($made{long}, 'SELECT reason FROM dataflows.runs WHERE run = RUN')), '<=', 1000,
	'a reason is not long');
my ($longest) = sort { $b <=> $a }
	map { length } split /\n/, of_run($made{long}, 'SELECT * FROM dataflows.timeline(RUN)');

cmp_ok($longest, '<=', 1007, 'nor is a line of the timeline');
is( $node->safe_psql(
		'postgres', q{SELECT count(*) FROM dataflows.runs r, dataflows.timeline(r.run) t
			WHERE t ~ '[\n\r]'}),
	0,
	'each of which is one line');
$node->safe_psql('postgres',
	"CREATE USER MAPPING FOR app SERVER fast OPTIONS (bearer_token 'the-secret-token')");
$systems->clear_faults;
$systems->fault('crm', status => 409, body => { message => 'no access for the-secret-token' },
	times => 1);
$made{secret} = start_one('fast');
says($made{secret}, qr/409 from fast: "no access for (?!the-secret)/,
	'a system that tells a secret');

$node->stop;
$systems->stop;
done_testing();
