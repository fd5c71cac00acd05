# Every mistake that docs/when-something-goes-wrong.md shows: what it makes of the run, judged
# against the books of the systems.  The page is the list: each line of its tables is run.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('mistakes', conf => <<'CONF');
dataflows.body_timeout = '1s'
dataflows.query_timeout = '1s'
dataflows.sweep_interval = '1s'
CONF

create_systems($node, 'postgres', $systems, workflow => 0, untrusted => 1);
my %port = map { $_ => $systems->url($_) } qw(crm billing);

$node->safe_psql('postgres', <<"SQL");
CREATE SERVER down FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:9',
  allow_private 'true', retry_max_attempts '2', retry_initial '10ms', breaker_failures '1000');
CREATE SERVER private FOREIGN DATA WRAPPER dataflows OPTIONS (url '$port{crm}');
CREATE SERVER silent FOREIGN DATA WRAPPER dataflows OPTIONS (url '$port{billing}',
  allow_private 'true');
CREATE SERVER strangers FOREIGN DATA WRAPPER dataflows OPTIONS (url '$port{crm}',
  allow_private 'true');
GRANT USAGE ON FOREIGN SERVER down, private, silent TO app;
CREATE TABLE public.secrets (x int);
SET ROLE app;
CREATE DOMAIN app.address AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN app.required AS text NOT NULL;
CREATE TABLE app.prices (item text, price int CHECK (price >= 0));
CREATE FUNCTION app.again(n int) RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN RETURN app.again(n + 1); END \$\$;
CREATE FUNCTION app.one_row() RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE n int; BEGIN SELECT 1 INTO STRICT n WHERE false; RETURN n; END \$\$;
CREATE FUNCTION app.says_no() RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN RAISE EXCEPTION 'not for sale'; END \$\$;
CREATE FUNCTION app.fails() RETURNS jsonb LANGUAGE sql AS
  \$\$ SELECT dataflows.fail('never confirmed') \$\$;
SQL
$systems->fault('billing', fault => 'lost');

# ---- the page -------------------------------------------------------------------

# section, what, code, state, sqlstate of each line
my @mistakes;
my $section = '';
my $tables = 0;

for my $line (split /\n/, slurp_file('docs/when-something-goes-wrong.md'))
{
	$section = $1 if $line =~ /^##+ (.*)/;
	$tables ||= $line eq '## Mistakes, and what becomes of the run';
	next if !$tables || $line !~ /^\|/ || $line =~ /^\|---|\| SQLSTATE \|$/;
	if ($line =~ /^\| (.*?) \| `(.*)` \| (stuck|rolled back) \| ([0-9A-Z]{5}) \|$/)
	{
		push @mistakes, [ $section, $1, $2, $3, $4 ];
	}
	else { fail("a line of the page can be run: $line"); }
}
cmp_ok(scalar @mistakes, '>=', 100, 'the page has a hundred mistakes');

# ---- how each is run ------------------------------------------------------------

my $account = q{dataflows.post('account', 'identity', '/users', jsonb_build_object('email', email),
    undo => 'DELETE /users/{id}')};

sub plpgsql
{
	my ($name, $code) = @_;

	return <<"SQL";
CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
DECLARE
  email text := event->>'email';
  account jsonb;
  answer jsonb;
  n int := 7;
  day date;
  short varchar(3);
  address app.address;
  required app.required := '';
BEGIN
  account := $account;
  $code
  RETURN NULL;
END \$body\$;
SQL
}

# the body, which has an account made and fails; and what is called then
sub on_failure
{
	my ($name, $code) = @_;

	return plpgsql($name,
		"RAISE EXCEPTION 'no';") . plpgsql("${name}_failed", $code) =~ s/account := .*?\);//sr;
}

sub python
{
	my ($name, $code) = @_;

	return <<"SQL";
CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS \$body\$
import json
email = json.loads(event)["email"]
user = json.dumps({"email": email})
plpy.execute("SELECT dataflows.post('account', 'identity', '/users', '%s',"
             " undo => 'DELETE /users/{id}')" % user)
$code
return None
\$body\$;
SQL
}

sub perl
{
	my ($name, $code) = @_;

	return <<"SQL";
CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plperl AS \$body\$
my (\$email) = \$_[0] =~ /"email": "([^"]*)"/;
my \$user = qq({"email": "\$email"});
spi_exec_query("SELECT dataflows.post('account', 'identity', '/users', '\$user',
  undo => 'DELETE /users/{id}')");
$code
return undef;
\$body\$;
SQL
}

sub email { return "m$_[0]\@example.com" }

sub start
{
	my ($i, $name, $options) = @_;

	$options = $options ? ", $options" : '';
	return as_app($node, 'postgres',
		"SELECT dataflows.define_workflow('$name', 'app.$name'$options) \\gset
		SELECT dataflows.start('$name', '{\"email\": \"" . email($i) . "\"}')");
}

# what is to be seen of it once the run rests
sub judge
{
	my ($i, $run, $mistake) = @_;
	my (undef, $what, $code, $state, $sqlstate) = @$mistake;
	my $name = "$mistake->[0]: $what";

	wait_until($node,
		"SELECT state IN ('stuck', 'rolled_back', 'completed') FROM dataflows.runs
			WHERE run = '$run'") or return fail($name);
	my ($came, $said, $remedy, $context, $reason) = split /\|/,
		$node->safe_psql(
		'postgres',
		"SELECT state, coalesce(stuck, error)->>'sqlstate', stuck->>'remedy',
			translate(coalesce(stuck->>'context', ''), E'|\\n', '/ '),
			translate(coalesce(stuck->>'reason', error->>'message'), E'|\\n', '/ ')
			FROM dataflows.runs WHERE run = '$run'");
	my $account = (split m{/}, $systems->live(email($i)))[0];
	my $left = $state eq 'stuck' && $mistake->[0] ne 'In on_failure' ? 1 : 0;

	is( "$came $said, accounts: $account",
		($state =~ s/ /_/r) . " $sqlstate, accounts: $left", $name) or diag("$code\n$reason");
	return if $state ne 'stuck';
	like($remedy, qr/dataflows\.(retry|resolve)\(/, "$name: what to do");
	# function and line, if an error left the body
	like($context, qr/function (app\.)?"?\w+"?/, "$name: where")
		if $reason =~ /^the body raised/;
	# the languages that have no RAISE are told how to fail
	like(
		$node->safe_psql(
			'postgres', "SELECT stuck->>'hint' FROM dataflows.runs WHERE run = '$run'"),
		qr/dataflows\.fail\(.*\Q$mistake->[0]\E/,
		"$name: how to fail on purpose")
		if $mistake->[0] =~ /Python|Perl/ && $sqlstate =~ /38000|XX000/;
	return;
}

# ---- mistakes in a body ---------------------------------------------------------

my %language = (
	'PL/pgSQL' => \&plpgsql,
	'Arguments' => \&plpgsql,
	'Queries' => \&plpgsql,
	'Systems' => \&plpgsql,
	'On purpose' => \&plpgsql,
	'Options of the workflow' => \&plpgsql,
	'In on_failure' => \&on_failure,
	'PL/Python' => \&python,
	'PL/Perl' => \&perl);
my %missing;

for (['PL/Python', 'plpython3u'], ['PL/Perl', 'plperl'])
{
	my ($rc) = $node->psql('postgres', "CREATE EXTENSION $_->[1]");

	$missing{ $_->[0] } = $_->[1] if $rc != 0;
}

my @runs;

for my $i (0 .. $#mistakes)
{
	my ($in, $what, $code) = @{ $mistakes[$i] };
	my $function = $language{$in} or next;
	my $sql;

	next if $missing{$in};
	$sql = $function->("m$i", $code);
	if ($in eq 'PL/Python') { $node->safe_psql('postgres', $sql); }
	else                    { as_app($node, 'postgres', $sql); }
	$runs[$i] = start($i, "m$i",
		$in eq 'Options of the workflow' ? $what =~ s/`//gr
		: $in eq 'In on_failure'         ? "on_failure => 'app.m${i}_failed'"
		:                                  '');
}
for my $i (0 .. $#mistakes)
{
	my $in = $mistakes[$i][0];

SKIP:
	{
		skip "$missing{$in} is not installed", 1 if $missing{$in};
		judge($i, $runs[$i], $mistakes[$i]) if $language{$in};
	}
}

# ---- what others do meanwhile ---------------------------------------------------

# it may change what a catalog holds
$node->safe_psql('postgres', 'ALTER ROLE postgres SET allow_system_table_mods = on');

my $waiting = plpgsql('waiting', <<'SQL');
PERFORM dataflows.wait_for('go');
  PERFORM price FROM app.prices;
  PERFORM app.helper(email);
SQL
my $setup = <<'SQL';
CREATE FUNCTION app.helper(email text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT dataflows.post('contact', 'crm', '/contacts', jsonb_build_object('email', email)) $$;
SQL

# each mistake is undone by the same list backwards, so that the next begins as the first did
my %mend = (
	DROP => '',
	'ALTER FUNCTION app.waiting(jsonb) RENAME' =>
		'ALTER FUNCTION app.gone(jsonb) RENAME TO waiting',
	'REVOKE EXECUTE' => 'GRANT EXECUTE ON FUNCTION app.waiting(jsonb) TO PUBLIC, app',
	'ALTER FUNCTION app.waiting(jsonb) SECURITY' =>
		'ALTER FUNCTION app.waiting(jsonb) SECURITY INVOKER',
	'ALTER SERVER' => 'ALTER SERVER contacts RENAME TO crm',
	'REVOKE USAGE' => 'GRANT USAGE ON FOREIGN SERVER crm TO app',
	'UPDATE' => "ALTER SERVER crm OPTIONS (SET url '$port{crm}', ADD allow_private 'true')");

as_app($node, 'postgres', "$setup $waiting");
for my $i (0 .. $#mistakes)
{
	my ($in, $what, $code) = @{ $mistakes[$i] };
	my $run;
	my ($mend) = grep { index($code, $_) == 0 } sort { length $b <=> length $a } keys %mend;

	next if $in ne 'While a run waits';
	$run = start($i, 'waiting');
	wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'")
		or fail("$what: the run waits");
	$node->safe_psql('postgres', $code);
	as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
	judge($i, $run, $mistakes[$i]);
	$node->safe_psql('postgres', $mend{$mend}) if $mend{$mend};
	as_app($node, 'postgres', $setup) if $code =~ /DROP FUNCTION/;
	as_app($node, 'postgres', 'CREATE TABLE app.prices (item text, price int)')
		if $code =~ /DROP TABLE/;
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	becomes($node, $run, 'completed', "$what: it goes on after the repair");
	is($systems->live(email($i)), '1/0/1/0', 'with the account, once');
}

nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
