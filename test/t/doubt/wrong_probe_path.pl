# A probe whose path may be wrong: a router says 404 of each path that it does not know, and that
# is no word about the resource.  Believed, it would have the step sent a second time.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('wrong_probe', $systems, settle => '200ms');
my %server = (retry_max => '200ms', settle => '200ms');

$systems->config('crm', idempotency => JSON::PP::false);
create_server($node, 'kept', $systems->url('crm'), %server, answers => '404=kept');
create_server($node, 'said', $systems->url('crm'), %server, answers => '404=fail');
create_server($node, 'keyed', $systems->url('billing'), %server,
	idempotency_header => 'Idempotency-Key');

my %faults = (arrived => 'lost', missed => 'reset_before');
my $number = 0;

# the body of a workflow of one step
sub step_with
{
	my ($probe, %also) = @_;
	my $system = $also{system} // 'crm';
	my $things = $system eq 'keyed' ? 'customers' : 'contacts';
	my $post = "dataflows.post('step', '$system', '/$things', event, "
		. "undo => 'DELETE /$things/{id}', probe => '$probe', probe_found => 'lax \$[*]'"
		. ($also{options} // '') . ')';

	return ($also{then} // '') eq ''
		? "RETURN $post;"
		: "PERFORM $post; $also{then}";
}

# a run whose POST arrives, or not, and gets no response; its address, id, state and books
sub run_of
{
	my ($workflow, $what, %input) = @_;
	my $service = delete $input{service} // 'crm';
	my $email = 'p' . ++$number . '@example.com';
	my $json = JSON::PP->new->encode({ email => $email, %input });

	$systems->clear_faults;
	$systems->fault($service, match => { method => 'POST' }, fault => $faults{$what}, times => 1)
		if $what ne 'sent';
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '$json')");
	my $state = ended_as($node, $run);

	return ($run, "$state " . $systems->made_and_left($service, $email), $email);
}

sub outcome
{
	my ($probe, $what, %also) = @_;

	return run_of(define_steps($node, step_with($probe, %also)),
		$what, service => ($also{system} // '') eq 'keyed' ? 'billing' : 'crm');
}

sub stuck
{
	my ($run, $column) = @_;

	return $node->safe_psql('postgres',
		"SELECT $column FROM dataflows.stuck WHERE run = '$run'");
}

# ---- the path is wrong ---------------------------------------------------------------------------

for my $case (
	[ 'GET /contact?run={run}', 'the name of the collection' ],
	[ 'GET /contacts/x/{run}', 'the end' ],
	[ 'GET /contacts/{run}', 'an id that the system does not know' ],
	[ 'GET /contacts/{request.email}', 'the same, asked before it is sent' ])
{
	my ($probe, $what) = @$case;
	my ($run, $outcome, $email) = outcome($probe, 'arrived');
	my $path = $probe =~ s/\{run\}/$run/r =~ s/\{request.email\}/$email/r =~ s/\@/%40/r;

	is($outcome, 'stuck 1/1', "$what is wrong: it is not sent again");
	like(stuck($run, 'reason'), qr/status 404, but nothing shows that "\Q$path\E" is where/,
		'a person learns why');
	like(stuck($run, 'remedy'), qr/'done'.*'resend'/, 'and the calls to make');
}

my ($run, $outcome) = outcome('GET /contact?run={run}', 'missed');
is($outcome, 'stuck 0/0', 'nor is it if nothing has arrived, which nobody can tell');
as_app($node, 'postgres', "SELECT dataflows.resolve('$run', 'step', 'resend', 'I looked')");
is(ended_as($node, $run), 'completed', 'a person can');

($run, $outcome) = outcome('GET /contact?run={run}', 'arrived', options => ", doubt => 'fail'",
	then => 'RETURN NULL;');
is($outcome, 'stuck 1/1', 'an undo does not believe it either');
like(
	$node->safe_psql('postgres', "SELECT why FROM dataflows.pending_undo WHERE run = '$run'"),
	qr/nothing shows that "GET \/contact\?run=/, 'for that reason');

# ---- before anything is sent ---------------------------------------------------------------------

my $workflow = define_steps($node, step_with('GET /contact?email={request.email}'));
($run, $outcome) = run_of($workflow, 'sent');
is($outcome, 'stuck 0/0', 'asked before the step is sent, a wrong path is found before');
like(stuck($run, 'reason'), qr/was not sent, for .* "GET \/contact\?email=/, 'by its author');
like(stuck($run, 'remedy'), qr/"answers": "404=kept".*retry\('$run'\)/, 'who learns what to do');
as_app($node, 'postgres',
	"CREATE OR REPLACE FUNCTION app.$workflow(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
	BEGIN " . step_with('GET /contacts?email={request.email}') . " END \$f\$");
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is(ended_as($node, $run), 'completed', 'and corrects it');

($run, $outcome) = outcome('GET /contacts/{request.email}', 'sent');
is($outcome, 'completed 1/1', 'nothing is out: below the path of the step it is enough');

# ---- what is believed ----------------------------------------------------------------------------

my %none = (match => { method => 'GET' }, status => 404, body => { error => 'none' });
my $email;

$workflow = define_steps($node, step_with('GET /contacts?run={run}'));
$systems->clear_faults;
$systems->fault('crm', match => { method => 'POST' }, fault => 'reset_before', times => 1);
$systems->fault('crm', %none);
$run = as_app($node, 'postgres',
	"SELECT dataflows.start('$workflow', '{\"email\": \"own\@path\"}')");
is(ended_as($node, $run), 'completed', 'the path of the step: it is not there, and is sent again');

my $ruled = '{"request": "GET /contact?run={run}", "answers": "404=kept"}';
is((outcome($ruled, 'missed'))[1], 'completed 1/1', 'what `answers` of the probe says is believed');
is((outcome('GET /contact?run={run}', 'missed', system => 'kept'))[1],
	'completed 1/1', 'and what those of the system say');
is((outcome('GET /contact?run={run}', 'missed', system => 'said'))[1],
	'stuck 0/0', 'but for a rule that says no such thing');

# ---- what nobody can tell is as the key or `doubt` says ------------------------------------------

is((outcome('GET /customer?run={run}', 'arrived', system => 'keyed'))[1],
	'completed 1/1', 'with a trusted key it is sent again');
is((outcome('GET /contact?run={run}', 'missed', options => ", doubt => 'resend'"))[1],
	'completed 1/1', 'so it is if its author says so');
is((outcome('GET /contact?run={run}', 'arrived', options => ", doubt => 'accept'"))[1],
	'completed 1/1', 'or it is taken for done');

# ---- once it has found something, the path is right ----------------------------------------------

$workflow = define_steps($node, step_with('GET /contacts/{request.like}'));
($run, $outcome) = run_of($workflow, 'missed', like => 'con_none');
is($outcome, 'stuck 0/0', 'a path that has found nothing so far');
(undef, undef, $email) = outcome($ruled, 'sent');
run_of($workflow, 'sent', like => $systems->id_of('crm', $email));
($run, $outcome) = run_of($workflow, 'missed', like => 'con_none');
is($outcome, 'completed 1/1', 'the same path, which has found something meanwhile');

$node->stop;
$systems->stop;
done_testing();
