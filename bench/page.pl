# What bench/page.sh measures: page.pl <base> <token> <run of 500 steps> <part of an address>

use strict;
use warnings;

# the modules for tests take the output for their log
BEGIN { open(our $out, ">&", \*STDOUT) or die; select((select($out), $| = 1)[0]); }
use IO::Socket::INET;
use Time::HiRes qw(time usleep);
use Dataflows::Browser;

our $out;
my ($base, $token, $run, $text) = @ARGV;
my ($rounds, $deliveries) = @ENV{qw(ROUNDS DELIVERIES)};
my $browser = Dataflows::Browser->new;
my $page = "$base/page/";

sub of
{
	my ($share, @list) = @_;
	return (sort { $a <=> $b } @list)[ int($share * $#list + 0.5) ];
}

sub row { my ($what, @ms) = @_; printf $out '%-52s' . ' %8.2f' x @ms . "\n", $what, @ms; return; }

# ---- painting ------------------------------------------------------------------------------

# from the beginning of the navigation, and from the press of a link: until it is painted
my $painted = <<'JS';
new Promise(resolve => {
	const main = document.getElementById('main');
	const look = () => main.dataset.at === location.hash
		? requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)))
		: setTimeout(look, 1);
	look();
})
JS

sub cold
{
	my ($hash) = @_;
	my @ms;

	for (1 .. $rounds)
	{
		$browser->go("$page?round=$_$hash");
		push @ms, $browser->await_js($painted =~ s/begun/0/r);
	}
	return of(0.5, @ms);
}

sub warm
{
	my ($hash) = @_;
	my @ms;

	for (1 .. $rounds)
	{
		$browser->js('location.hash = "#/ways"');
		$browser->wait_js('return document.getElementById("main").dataset.at === "#/ways"');
		$browser->js('window.begun = performance.now(); location.hash = arguments[0]', $hash);
		push @ms, $browser->await_js($painted);
	}
	return of(0.5, @ms);
}

$browser->look(1280, 900);
$browser->go($page);
$browser->sees('main h1', qr/Log in/);
$browser->type('input[name=token]', $token);
$browser->press('Log in', 'main');
$browser->sees('main h1', qr/Runs/);
printf $out "%-52s %8s %8s\n", 'painted after, ms (median)', 'opened', 'a link';
row($_->[0], cold($_->[1]), warm($_->[1])) for (
	[ 'the list, newest first', '#/runs' ],
	[ 'the list, those that wait', '#/runs?state=waiting' ],
	[ 'the list, those that were undone', '#/runs?state=rolled_back' ],
	[ 'the list, one workflow', '#/runs?workflow=invoice' ],
	[ 'needs a person, one reason', '#/needs' ],
	[ 'a run of 500 steps', "#/run/$run" ],
	[ 'systems and charts, 1 h', '#/systems' ],
	[ 'systems and charts, 7 days', '#/systems?range=604800' ]);

# ---- finding -------------------------------------------------------------------------------

sub found
{
	my ($what) = @_;
	my @ms;

	for (1 .. 3)
	{
		$browser->js('location.hash = "#/ways"');
		$browser->wait_js('return document.getElementById("main").dataset.at === "#/ways"');
		$browser->js('window.begun = performance.now();'
				. 'location.hash = "#/runs?text=" + arguments[0]', $what);
		push @ms, $browser->await_js(<<'JS');
new Promise(resolve => {
	const main = document.getElementById('main');
	const look = () => main.dataset.at === location.hash && main.querySelector('tbody tr')
		? resolve(performance.now() - begun) : setTimeout(look, 2);
	look();
})
JS
	}
	return of(0.5, @ms);
}

row('found by its key', found('key-77'));
row('by a part of an address, 90,000 runs ago', found($text));

# ---- what looking costs webhooks ------------------------------------------------------------

# each request in one piece: in two, the second would wait for the first one's acknowledgement
sub deliver
{
	my $socket = IO::Socket::INET->new(PeerAddr => $base =~ s{http://}{}r) or die $!;
	my @ms;

	for my $i (1 .. $deliveries)
	{
		my $body = "{\"i\": $i}";
		my $began = time();
		my $said = '';

		syswrite($socket, "POST /take HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
				. 'Content-Length: ' . length($body) . "\r\n\r\n$body");
		sysread($socket, $said, 65536, length $said) or die 'no answer'
			until $said =~ /\r\n\r\n.*}/s;
		die $said unless $said =~ m{^HTTP/1.1 2};
		push @ms, (time() - $began) * 1000;
	}
	return map { of($_, @ms) } 0.5, 0.99, 1;
}

$browser->go('about:blank');
deliver();
printf $out "%-52s %8s %8s %8s\n", 'a webhook is answered after, ms', 'p50', 'p99', 'most';
row('while nobody looks', deliver());
my @streams = map {
	my $socket = IO::Socket::INET->new(PeerAddr => $base =~ s{http://}{}r) or die $!;

	print $socket "GET /page/live?q=attention&q=counts&q=runs HTTP/1.1\r\nHost: x\r\n"
		. "Cookie: dataflows=$token\r\n\r\n";
	$socket
} 1 .. 16;
row('while ' . scalar(@streams) . ' look at the list', deliver());
