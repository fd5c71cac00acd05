# A page of the documentation that is walked through as a reader would: what it shows is run, and
# must come out as it says.
#
# Blocks marked sql are run as they stand.  In blocks without a mark each line behind a prompt is
# run, and what stands below it is compared: a SELECT without effects until it says so, all else
# once.  Ids, times and the widths of columns may differ.  <!-- test: name --> calls a hook of the
# test, for what happens to the reader meanwhile.  With DF_PAGES=directory the page is written
# there with what came out.

package Dataflows::Walk;

use strict;
use warnings;

use File::Basename qw(basename);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Dataflows::Pages;

my $EFFECTS = join '|', qw(signal start retry cancel resolve abandon adopt forget define schedule
	await create_webhook pause resume undo allow);

# node; database (shop); address: what to put for 127.0.0.1:<port> of the page; shell: runs what
# is behind $, and returns what it prints; hooks: by name; blocks: by their mark, instead of
# running them as SQL; patience: seconds until a SELECT must say what the page says
sub new
{
	my ($class, %params) = @_;

	return bless {
		database => 'shop',
		address => {},
		hooks => {},
		blocks => {},
		patience => 20,
		ours => {},
		%params
	}, $class;
}

# what the page says, with this test's addresses and runs in it
sub here
{
	my ($self, $text) = @_;

	$text =~ s{127\.0\.0\.1:(8\d\d\d)}{$self->{address}{$1} // "127.0.0.1:$1"}ge;
	$text =~ s/($UUID|$LINK)/$self->{ours}{$1} || $1/ge;
	return $text;
}

sub run_sql
{
	my ($self, $role, $sql) = @_;
	my ($out, $err);
	my @command = (
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-U', $role, '-d',
		$self->{node}->connstr($self->{database}));

	IPC::Run::run(\@command, '<', \$sql, '>', \$out, '2>', \$err)
		or return $out . ($err =~ s/^psql:<stdin>:\d+: //mgr);
	return $out . ($err =~ s/^(?:psql:<stdin>:\d+: )?(?=NOTICE|WARNING)//mgr);
}

sub has_effects
{
	return $_[0] !~ /^SELECT/ || $_[0] =~ /dataflows\.(?:$EFFECTS)\w*\(|pg_reload_conf/;
}

# one line behind a prompt and what is said to come of it; what came of it
sub _step
{
	my ($self, $prompt, $command, $expected) = @_;
	my $until = time() + ($ENV{DF_PAGES} ? 5 : $self->{patience});
	my $once = $prompt eq '$' ? plain($expected) eq '' : has_effects($command);
	my $found;

	$command = $self->here($command);
	do
	{
		$found =
			$prompt eq '$'
			? $self->{shell}->($command)
			: $self->run_sql($prompt =~ /#$/ ? 'postgres' : 'app', $command);
	} until (plain($found) eq plain($expected) || $once || time() > $until || usleep(100_000) < 0);
	# most statements with effects are shown without what they print
	if ($once && $prompt ne '$' && plain($expected) eq '' && $found !~ /^ERROR/m)
	{
		pass($command);
		return '';
	}
	is(plain($found), plain($expected), $command) or diag("the page must say:\n$found");
	my @said = $expected =~ /($UUID|$LINK)/g;
	@{ $self->{ours} }{@said} = $found =~ /($UUID|$LINK)/g if @said;
	return $found;
}

# the lines of a block, and what came of each
sub _session
{
	my ($self, $text) = @_;
	my @steps;

	for my $line (split /\n/, $text)
	{
		if    ($line =~ /^(shop=[>#]|\$) (.*)/) { push @steps, [ $1, $2, '' ]; }
		elsif ($line =~ /^shop-[>#] (.*)/)      { $steps[-1][1] .= "\n$1"; }
		elsif (@steps)                          { $steps[-1][2] .= "$line\n"; }
	}
	$self->{steps} += @steps;
	return $text unless @steps;
	return join "\n", map {
		my ($prompt, $command) = @$_;
		my $found = $self->_step(@$_) =~ s/ +$//mgr =~ s/\n*\z/\n/r =~ s/^\n\z//r;
		"$prompt " . ($command =~ s/\n/\nshop-> /gr) . "\n$found";
	} @steps;
}

sub sql_block
{
	my ($self, $text) = @_;
	my $role = $text =~ /CREATE (?:EXTENSION|SERVER|LANGUAGE)/ ? 'postgres' : 'app';

	unlike($self->run_sql($role, $self->here($text)),
		qr/^ERROR/m, 'the block: ' . ($text =~ /^(.*)/)[0]);
	return;
}

# walks through a page; returns how many lines behind prompts it had
sub through
{
	my ($self, $file) = @_;
	my $page = slurp_file($file);

	note($file);
	$self->{steps} = 0;
	$page =~ s{^```(\w*)\n(.*?)^```$|^<!-- test: (\w+) -->$}
		{$self->_part($file, $1, $2, $3) // $&}msge;
	append_to_file("$ENV{DF_PAGES}/" . basename($file), $page) if $ENV{DF_PAGES};
	return $self->{steps};
}

# a block, or a hook; the block as it would be now, if it is a session
sub _part
{
	my ($self, $file, $mark, $text, $hook) = @_;

	if (defined $hook)
	{
		die "$file: what is $hook?" unless $self->{hooks}{$hook};
		$self->{hooks}{$hook}->($self);
	}
	elsif ($mark eq '')            { return "```\n" . $self->_session($text) . '```'; }
	elsif ($self->{blocks}{$mark}) { $self->{blocks}{$mark}->($self, $text); }
	elsif ($mark eq 'sql')         { $self->sql_block($text); }
	return;
}

1;
