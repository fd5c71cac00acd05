# A request of a step that began at one system, in one account, goes to no other without a person's
# word: undos, and what is in doubt. The books of a second system show what arrived there.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $others = start_systems();
my $node = start_undo_node('elsewhere', $systems, settle => '200ms', timeout => '1s');
my %crm = (retry_max => '200ms', settle => '200ms', timeout => '1s');
my $here = $systems->url('crm');
my $there = $others->url('crm');

# the same system by another name of its host
(my $moved = $here) =~ s/127\.0\.0\.1/localhost/ or die "url of the crm: $here";

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub arrived { return scalar @{ $others->requests('crm') }; }
sub left { return $systems->made_and_left('crm', "$_[0]\@example.com"); }

# the run of a step that makes a contact at a system of this name, and waits
sub made
{
	my ($system) = @_;
	my $run = start_steps($node, <<"SQL");
PERFORM dataflows.post('step', '$system', '/contacts', '{"email": "$system\@example.com"}',
	undo => 'DELETE /contacts/{id}');
PERFORM dataflows.wait_for('never');
SQL

	wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'")
		or fail("$system: it is made");
	return $run;
}

sub cancelled
{
	my ($run) = @_;

	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
	return ended_as($node, $run);
}

# a contact is made, that happens, and the run is cancelled
sub after
{
	my ($system, $change) = @_;
	my $run = made($system);

	sql($change);
	return ($run, cancelled($run) . ' ' . left($system));
}

sub stays
{
	my ($system, $change, $what, $words) = @_;
	my ($run, $outcome) = after($system, $change);

	is($outcome, 'stuck 1/1', "$what: it is not undone elsewhere");
	like(sql("SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
		qr/step "step" at system "$system": the undo was not sent: $words/,
		"$what: which is said");
	like(
		sql("SELECT concat_ws(' ', why, remedy) FROM dataflows.pending_undo WHERE run = '$run'"),
		qr/$words has changed since.*SELECT dataflows\.retry\('$run'\)/,
		"$what: with what to do");
	return $run;
}

sub goes
{
	my ($system, $change, $what) = @_;
	my ($run, $outcome) = after($system, $change);

	is($outcome, 'cancelled 1/0', "$what: it is undone");
	return;
}

my ($url, $account) = ('the url of the system', 'the account of the system');

create_server($node, $_, $here, %crm)
	for
	qw(staged moving former recreated renamed socket rotated dropped anew named renewed taken);

# ---- undos: where the system is ------------------------------------------------------------------

stays('staged', "ALTER SERVER staged OPTIONS (SET url '$there')", 'another url', $url);

my $run = made('renamed');

sql('ALTER SERVER renamed RENAME TO earlier');
create_server($node, 'renamed', $there, %crm);
is(cancelled($run) . ' ' . left('renamed'),
	'stuck 1/1', 'a server that took the name of another: it is not undone there');
$run = made('recreated');
sql('DROP SERVER recreated CASCADE');
create_server($node, 'recreated', $here, %crm);
is(cancelled($run) . ' ' . left('recreated'),
	'cancelled 1/0', 'a server that was made again as it was: it is undone');
stays('socket', "ALTER SERVER socket OPTIONS (ADD unix_socket '/nowhere/x.sock')",
	'another way', $url);
is(arrived(), 0, 'nothing arrived at the other system');

# the person knows that it is the same one
$run = stays('moving', "ALTER SERVER moving OPTIONS (SET url '$moved')", 'another host', $url);
as_app($node, 'postgres', <<"SQL");
SELECT dataflows.retry(run, 'the crm has moved') FROM dataflows.stuck
WHERE reason LIKE '%system "moving"%url of the system has changed%'
SQL
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'"),
	'retry() says that it is the same system');
is(left('moving'), '1/0', 'where it is undone then');
goes('former', "ALTER SERVER former OPTIONS (SET url '$moved', ADD formerly 'http://x:1 $here')",
	'formerly');
like(
	(
		$node->psql('postgres',
			"ALTER SERVER former OPTIONS (SET formerly 'http://x:1 ftp://y')"))[2] // '',
	qr/invalid value for option "formerly"/,
	'what is no url is refused');

# ---- undos: in whose account ---------------------------------------------------------------------

sub mapping
{
	my ($system, $options) = @_;

	sql("CREATE USER MAPPING FOR app SERVER $system OPTIONS ($options)");
	return;
}

mapping($_, "bearer_token 'first'") for qw(rotated dropped anew taken);
mapping($_, "username 'first', password 'x'") for qw(named renewed);
goes('rotated', "ALTER USER MAPPING FOR app SERVER rotated OPTIONS (SET bearer_token 'second')",
	'a rotated token');
stays('dropped', 'DROP USER MAPPING FOR app SERVER dropped', 'no credentials', $account);
$run = stays(
	'anew',
	"DROP USER MAPPING FOR app SERVER anew;
	CREATE USER MAPPING FOR app SERVER anew OPTIONS (bearer_token 'of-another')",
	'another mapping', $account);
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'"),
	'retry() says that it is the same account');
is(left('anew'), '1/0', 'in which it is undone then');
stays('named', "ALTER USER MAPPING FOR app SERVER named OPTIONS (SET username 'second')",
	'another user', $account);
goes(
	'renewed',
	"DROP USER MAPPING FOR app SERVER renewed;
	CREATE USER MAPPING FOR app SERVER renewed OPTIONS (username 'first', password 'y')",
	'the same user with another password');

# another role goes on with the workflow, by its own credentials
$run = made('taken');
sql(<<"SQL");
CREATE ROLE other LOGIN;
GRANT USAGE ON FOREIGN SERVER taken TO other;
GRANT USAGE, CREATE ON SCHEMA app TO other;
SELECT dataflows.allow_author('other');
CREATE USER MAPPING FOR other SERVER taken OPTIONS (bearer_token 'of-other');
DO \$\$
DECLARE f regprocedure;
BEGIN
  SELECT 'app.' || workflow || '(jsonb)' FROM dataflows.runs WHERE run = '$run' INTO f;
  EXECUTE format('ALTER FUNCTION %s OWNER TO other', f);
END \$\$;
SELECT dataflows.set_owner(workflow, 'other') FROM dataflows.runs WHERE run = '$run';
SELECT dataflows.cancel('$run', 'enough');
SQL
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'"),
	'set_owner(): it waits for a person');
is(left('taken'), '1/1', 'and is not undone in the account of the new owner');

# ---- in doubt ------------------------------------------------------------------------------------

# a request whose answers are lost, and that then; the run
sub doubted
{
	my ($system, $call, $change) = @_;
	my $run;

	create_server($node, $system, $here, %crm, idempotency_header => 'Idempotency-Key');
	mapping($system, "bearer_token 'first'");
	$systems->fault('crm', match => { email => "^$system\@" }, fault => 'lost', times => 1000);
	$run = start_steps($node, "RETURN $call;");
	wait_until($node, "SELECT state = 'in_doubt' FROM dataflows.steps WHERE run = '$run'")
		or fail("$system: it is in doubt");
	sql($change);
	is(ended_as($node, $run), 'stuck', "$system: it waits for a person");
	like(
		sql("SELECT concat_ws(' ', reason, remedy) FROM dataflows.stuck WHERE run = '$run'"),
		qr/system "$system".*of the system has changed.*SELECT dataflows\.retry\('$run'\)/,
		"$system: who is told what to do");
	$systems->clear_faults('crm');
	return $run;
}

sub body_of { return qq('{"email": "$_[0]\@example.com"}'); }

$run = doubted(
	'trusting',
	"dataflows.post('step', 'trusting', '/contacts', " . body_of('trusting') . ")",
	"DROP USER MAPPING FOR app SERVER trusting;
	CREATE USER MAPPING FOR app SERVER trusting OPTIONS (bearer_token 'of-another')");
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is(ended_as($node, $run), 'completed', 'after retry() it is sent with its key');
is(left('trusting'), '1/1', 'which makes no second one');
doubted(
	'probing',
	"dataflows.post('step', 'probing', '/contacts', "
		. body_of('probing')
		. ", undo => 'DELETE /contacts/{id}', doubt => 'resend',
		probe => 'GET /contacts?email={request.email}&by={run}')",
	"ALTER SERVER probing OPTIONS (SET url '$there')");
doubted(
	'putting',
	"dataflows.put('step', 'putting', '/contacts/7', " . body_of('putting') . ")",
	"ALTER SERVER putting OPTIONS (SET url '$there')");
is(arrived(), 0, 'nothing arrived at the other system');

# ---- what is nowhere yet -------------------------------------------------------------------------

create_server($node, 'closed', 'http://127.0.0.1:1', %crm);
$run = start_steps($node, <<'SQL');
PERFORM dataflows.post('step', 'closed', '/contacts', '{"email": "closed@example.com"}',
	undo => 'DELETE /contacts/{id}');
PERFORM dataflows.wait_for('never');
SQL
ok(wait_until($node, "SELECT attempts > 1 FROM dataflows.steps WHERE run = '$run'"),
	'a step that was never carried out');
sql("ALTER SERVER closed OPTIONS (SET url '$here')");
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
	'goes where its system is now');
is(cancelled($run) . ' ' . left('closed'), 'cancelled 1/0', 'where it is undone, too');

$node->stop;
$systems->stop;
$others->stop;
done_testing();
