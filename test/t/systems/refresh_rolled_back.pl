# A refresh token that is valid once, and turns whose transaction fails: what was claimed in such
# a turn is not sent, and what came is written by a later one.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('refresh_rolled_back');

create_systems($node, 'postgres', $systems, workflow => 0);

my ($url, $auth) = ($systems->url('billing'), $systems->url('crm'));

# the first transaction that claims a token fails at its commit, and the first one that has what
# came for it
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER refreshing FOREIGN DATA WRAPPER dataflows OPTIONS (url '$url', allow_private 'true',
  private_origins '$auth', timeout '5s', retry_initial '50ms', retry_max '300ms');
GRANT USAGE ON FOREIGN SERVER refreshing TO app;
CREATE USER MAPPING FOR app SERVER refreshing OPTIONS ("grant" 'refresh_token', client_id 'client',
  client_secret 'hush', refresh_token 'refresh-first', oauth_token_url '$auth/token');
CREATE SEQUENCE public.claims;
CREATE SEQUENCE public.answers;
CREATE FUNCTION public.fail_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN
  IF nextval(TG_ARGV[0]) = 1 THEN
    RAISE EXCEPTION 'the first one fails' USING ERRCODE = 'serialization_failure';
  END IF;
  RETURN NULL;
END \$\$;
CREATE CONSTRAINT TRIGGER claimed AFTER UPDATE ON dataflows.refresh_token
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.claim IS NOT NULL) EXECUTE FUNCTION public.fail_first('public.claims');
CREATE CONSTRAINT TRIGGER answered AFTER UPDATE ON dataflows.refresh_token
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.access_token IS NOT NULL) EXECUTE FUNCTION public.fail_first('public.answers');
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.calling(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'refreshing', '/customers', event, undo => 'none');
END $$;
SELECT dataflows.define_workflow('calling', 'app.calling');
SQL
$systems->config('billing', oauth => JSON::PP::true());
$systems->tokens(
	grant => 'refresh_token',
	client_id => 'client',
	client_secret => 'hush',
	refresh_token => 'refresh-first');

my $run = as_app($node, 'postgres',
	q(SELECT dataflows.start('calling', '{"email": "ada@example.com"}')));

becomes($node, $run, 'completed', 'a run whose token is claimed and recorded at the second try');
for my $what (qw(claims answers))
{
	ok( wait_until($node, "SELECT last_value > 1 FROM public.$what"),
		"the first transaction with $what has failed, and another one came");
}
is($systems->tokens->{spent}, 1, 'one token was sent');
is($systems->tokens->{reused}, 0, 'and not twice');
is($node->safe_psql('postgres', 'SELECT token FROM dataflows.refresh_token WHERE claim IS NULL'),
	$systems->tokens->{refresh_token}, 'the table has the one that is valid');

$node->stop;
done_testing();
