# export_setup(): run on an empty server it makes the same setup; setup_fingerprint() says so, and
# says if something is different.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $one = new_node('one', conf => "dataflows.node = 1\n");
my $two = new_node('two', conf => "dataflows.node = 2\n");

create_app($one);
$one->safe_psql('postgres', <<'SQL');
CREATE ROLE "Sal's ""desk""" LOGIN;
CREATE ROLE reads;
CREATE SERVER crm FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://crm.example.com',
  rate_limit '10/s', "header.X-Who" 'it''s "us" \ here');
CREATE SERVER "Big System" FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://big.example.com');
CREATE SERVER bare FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://bare.example.com');
ALTER SERVER bare OWNER TO app;
GRANT USAGE ON FOREIGN SERVER crm TO app, "Sal's ""desk""";
GRANT USAGE ON FOREIGN SERVER "Big System" TO PUBLIC;
CREATE USER MAPPING FOR app SERVER crm OPTIONS (bearer_token 'hush-1', webhook_secret 'hush-2');
CREATE USER MAPPING FOR PUBLIC SERVER "Big System" OPTIONS (username 'hush-3', password 'hush-4');
SELECT dataflows.pause_system('crm', 'only here');
SQL
my $define = <<'SQL';
CREATE OR REPLACE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql
SET timezone = 'UTC' AS $f$
BEGIN
  -- %I $dataflows$ \ 'version'
  RETURN dataflows.wait_for('go');
END $f$;
SELECT dataflows.define_workflow('it''s one', 'app.body', retry => '{"max_attempts": 3}',
  deadline => '1 mon 3 days', notify => 'Heard', undo_on => 'error');
SQL
as_app($one, 'postgres', $define =~ s/version/1/r);
as_app($one, 'postgres', $define =~ s/version/2/r);
as_app($one, 'postgres', $define =~ s/version/3/r);
as_app($one, 'postgres', <<'SQL');
CREATE FUNCTION app.after(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
CREATE TABLE app.only_here (x int);
CREATE TABLE app.rows (payload jsonb);
CREATE FUNCTION app.handler(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE sql
  AS 'SELECT body FROM app.only_here';
SELECT dataflows.define_workflow('two', 'app.body', on_failure => 'app.after');
SELECT dataflows.define_workflow('gone', 'app.body');
SELECT dataflows.drop_workflow('gone');
SELECT dataflows.allow('two', 'reads', 'see', 'signal:a b');
SELECT dataflows.allow('two', 'Sal''s "desk"', 'start');
SELECT dataflows.allow('it''s one', 'public', 'see');
SELECT dataflows.create_webhook('/in', signals => 'two', handler => 'app.handler',
  verify => 'bearer', secret => 'crm', filter => '$.a == "it''s"');
SELECT dataflows.create_webhook('/rows', inserts => 'app.rows');
SELECT dataflows.create_webhook('/start', starts => 'it''s one', key => '$.id');
SQL

sub fingerprint { return $_[0]->safe_psql('postgres', 'SELECT dataflows.setup_fingerprint()') }

sub run_setup
{
	my ($setup) = @_;
	my ($out, $err);

	# as psql reads a file, in one transaction
	my $rc = $two->psql('postgres', $setup, stdout => \$out, stderr => \$err,
		on_error_stop => 1, extra_params => ['-1']);
	return ($rc, $err);
}

my $setup = $one->safe_psql('postgres', 'SELECT dataflows.export_setup()');
unlike($setup, qr/hush/, 'no secret is in it');
unlike($setup, qr/only here|'gone'/, 'nor pauses, nor what was dropped');
like(
	$setup,
	qr/^-- ALTER .* SERVER crm OPTIONS \(ADD bearer_token '...', ADD webhook_secret '...'\);/m,
	'but which secrets to fill in');

my ($rc, $err) = run_setup($setup);
is($rc, 0, 'it runs on an empty server') or diag $err;
is(fingerprint($two), fingerprint($one), 'which has the same fingerprint then');
is($two->safe_psql('postgres', 'SELECT dataflows.export_setup()') =~ s/^--.*\n//mgr,
	$setup =~ s/^--.*\n//mgr, 'and exports the same');
($rc, $err) = run_setup($setup);
is($rc, 0, 'it runs again') or diag $err;
is(fingerprint($two), fingerprint($one), 'and changes nothing');
is($two->safe_psql('postgres', 'SELECT name, max(version) FROM dataflows.workflows GROUP BY 1
	ORDER BY 1'), "it's one|3\ntwo|1", 'each workflow has the version that it has there');
my $rights = 'SELECT workflow, role, "right" FROM dataflows.rights ORDER BY 1, 2, 3';
is($two->safe_psql('postgres', $rights), $one->safe_psql('postgres', $rights), 'rights');
as_app($two, 'postgres', "SELECT dataflows.start('it''s one', '{}', 'k')");
as_app($two, 'postgres', "SELECT dataflows.signal_by_key('it''s one', 'k', 'go')");
ok( wait_until($two, "SELECT state = 'completed' AND node = 2 FROM dataflows.runs WHERE key = 'k'"),
	'a run of it moves');

# ---- what makes a difference

for my $change (
	"ALTER SERVER crm OPTIONS (SET rate_limit '11/s')",
	"SELECT dataflows.allow('two', 'reads', 'start')",
	"SELECT dataflows.drop_webhook('/start')",
	'CREATE USER MAPPING FOR app SERVER bare',
	'GRANT USAGE ON FOREIGN SERVER bare TO reads',
	q{CREATE OR REPLACE FUNCTION app.after(event jsonb) RETURNS jsonb LANGUAGE sql
		AS 'SELECT event || ''{}'''},
	"SELECT dataflows.allow_author('reads')")
{
	my $before = fingerprint($one);
	my $changed = $one->safe_psql('postgres', "BEGIN; $change;
		SELECT 'is ' || dataflows.setup_fingerprint(); ROLLBACK");

	isnt(($changed =~ /is (\w{64})/)[0], $before, $change);
	is(fingerprint($one), $before, 'not without it');
}
$one->safe_psql('postgres', "SELECT dataflows.pause('two')");
is(fingerprint($two), fingerprint($one), 'a pause makes none');

# a body that is replaced without a new version
as_app($one, 'postgres', ($define =~ s/version/3a/r) =~ s/SELECT dataflows\.define_workflow.*//sr);
($rc, $err) = run_setup($one->safe_psql('postgres', 'SELECT dataflows.export_setup()'));
is($rc, 0, 'a body that is replaced alone') or diag $err;
is(fingerprint($two), fingerprint($one), 'is replaced, and the version stays');

# ---- a setup that is old

as_app($two, 'postgres', $define =~ s/version/4/r);
is($two->safe_psql('postgres', q{SELECT max(version) FROM dataflows.workflows
	WHERE name = 'it''s one'}), '4', 'a newer version');
($rc, $err) = run_setup($setup);
like($err, qr/this setup is stale: there is a newer version here of it's one/,
	'a stale setup is refused');
like($two->safe_psql('postgres', q{SELECT prosrc FROM pg_proc WHERE proname = 'body'}),
	qr/'4'/, 'before a function is replaced');
($rc, $err) = run_setup($two->safe_psql('postgres', 'SELECT dataflows.export_setup()'));
is($rc, 0, 'the new one is not') or diag $err;

# ---- who may

for my $function ('export_setup', 'setup_fingerprint')
{
	($rc, my $out, $err) = try_psql($one, 'postgres', "SET ROLE app; SELECT dataflows.$function()");
	like($err, qr/permission denied for function $function/, "$function() is not for everybody");
}

$_->stop for ($one, $two);
done_testing();
