# make demo: the story ends as it says, and DF_LOOK leaves the page there with what it names.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($out, $err) = ('', '');
my $work = PostgreSQL::Test::Utils::tempdir_short();

plan skip_all => 'curl is not installed' if system('command -v curl >/dev/null 2>&1') != 0;
mkdir "$work/tmp";
local $ENV{DF_WORK} = $work;
local $ENV{DF_LOOK} = 1;
# a server of its own, not the one of a test
delete @ENV{ grep { /^PG(?!_CONFIG)/ } keys %ENV };

ok(IPC::Run::run([ 'test/demo.sh' ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(300)),
	'the demo ends well')
	or diag($out, $err);
unlike($out, qr/ERROR/, 'without an error');
is(join(' ', $out =~ /^== (\d)\./mg), '1 2 3 4', 'with its four signups');
like($out, qr{^ +http://127\.0\.0\.1:\d+/page/$}m, 'the address of the page');
like($out, qr/^ +[0-9a-f]{64}$/m, 'a token for it');
like($out, qr/Finn\s+\(key 5\) needs a person/, 'and what to do there');
is($err, '', 'nothing else is said');
done_testing();
