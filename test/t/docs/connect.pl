# docs/connect-a-system.md: what it shows has been run, and came out like that.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Walk;

my $systems = start_systems();
my $node = new_node('connect');
my %address = (8102 => $systems->url('billing') =~ s{^http://}{}r);

# what the tutorial has left
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', <<"SQL");
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
GRANT CREATE ON SCHEMA public TO app;
SELECT dataflows.allow_author('app');
CREATE SERVER email FOREIGN DATA WRAPPER dataflows OPTIONS (url '${\ $systems->url('email')}',
	allow_private 'true', idempotency_header 'Idempotency-Key');
GRANT USAGE ON FOREIGN SERVER email TO app;
SQL

my $walk = Dataflows::Walk->new(node => $node, address => \%address, blocks => { text => sub { } });

cmp_ok($walk->through('docs/connect-a-system.md'), '>', 5, 'the page has its sessions');
$node->stop;
done_testing();
