# docs/first-run.md: what a newcomer types on a bare system, and sees.
#
# The shell commands are run as they stand, but those that only a bare system may be asked for:
# the packages are compared with those of test/setup.sh, the build is there, and the server is the
# test's own.

use strict;
use warnings;

use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Walk;

my $systems = start_systems();
my $node = new_node('first_run', preload => '', conf => "include_dir 'conf.d'\n", no_start => 1);
my $etc = $node->data_dir;
my $work = PostgreSQL::Test::Utils::tempdir_short();
my %address = map { 8100 + $_->[0] => $systems->url($_->[1]) =~ s{^http://}{}r } [ 2, 'billing' ],
	[ 4, 'email' ];

$address{8480} = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
mkdir "$etc/conf.d";
# where the page's commands for the system go
append_to_file("$work/stubs", <<"SH");
set -e
apt-get() { echo "\$*" >>$work/packages; }
make() { echo "\$*" >>$work/make; }
python3() { echo "\$*" >>$work/systems; }
pg_ctlcluster() {
	pg_ctl -D '$etc' -l '$work/log' -w -s -o '-p ${\ $node->port}' restart </dev/null >&2
}
runuser() { shift 3; "\$@"; }
export PGHOST='${\ $node->host}' PGPORT=${\ $node->port} PGUSER=postgres
SH

sub shell
{
	my ($command) = @_;
	my ($out, $err);

	$command =~ s{/etc/postgresql/15/main}{$etc}g;
	return IPC::Run::run([ 'bash', '-c', ". $work/stubs\n$command\nwait" ],
		'<', \undef, '>', \$out, '2>', \$err) ? $out : "refused: $out$err";
}

my $function;
my $walk = Dataflows::Walk->new(
	node => $node,
	address => \%address,
	shell => \&shell,
	hooks => {
		repair => sub { $_[0]->sql_block($function); }
	},
	blocks => {
		sh => sub { is(shell($_[0]->here($_[1])), '', ($_[1] =~ /^(.*)/)[0]); },
		sql => sub {
			my ($self, $text) = @_;

			$function //= $1 if $text =~ /^(CREATE OR REPLACE FUNCTION try_it.*?^END \$\$;)/ms;
			$self->sql_block($text);
		}
	});

cmp_ok($walk->through('docs/first-run.md'), '>', 20, 'the page has its sessions');

# what was asked of the system
my ($install) = slurp_file("$work/packages") =~ /^install (.*)/m;
my %named = map { $_ => 1 } split ' ', $install =~ s/-\S+ //r;
my $setup = slurp_file('test/setup.sh');
my ($needed) = $setup =~ /^\techo (gcc .*?)\n\tcase/ms;

$needed =~ s/\\\n|"//g;
$needed =~ s/\$v/15/g;
is(join(' ', grep { !$named{$_} } split ' ', $needed), '', 'all packages are named');
like(slurp_file("$work/make"), qr/^-s\n-s install$/m, 'it is built and installed');
ok(-e (slurp_file("$work/systems") =~ /^(\S+) --ports 8101,8102,/)[0], 'the systems are started');
$node->stop;
done_testing();
