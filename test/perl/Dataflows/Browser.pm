# A headless Chromium by chromedriver, which speaks WebDriver: JSON over HTTP.
# Elements are named by CSS selectors and found anew each time, for the page
# draws itself anew; everything waits for its condition with a deadline.

package Dataflows::Browser;

use strict;
use warnings;

use Digest::SHA;
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64;
use POSIX       ();
use Time::HiRes qw(time usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
my $DEADLINE = 20;

# params: width, height, dark
sub new
{
	my ($class, %params) = @_;
	my $self = bless {
		port => PostgreSQL::Test::Cluster::get_free_port(),
		http => HTTP::Tiny->new(timeout => 120)
	}, $class;
	my $home = PostgreSQL::Test::Utils::tempdir_short();
	my @switches = (
		'--headless=new', '--no-sandbox',
		'--disable-dev-shm-usage', '--disable-gpu',
		'--no-first-run', '--disable-background-networking',
		'--hide-scrollbars', "--user-data-dir=$home/profile");

	push @switches, '--force-dark-mode' if $params{dark};
	$self->{pid} = fork();
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		setpgrp(0, 0);
		$ENV{HOME} = $home;
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		exec 'chromedriver', "--port=$self->{port}", '--log-level=SEVERE' or POSIX::_exit(127);
	}
	my $end = time() + $DEADLINE;

	usleep(50_000)
		while time() < $end
		&& !$self->{http}->get("http://127.0.0.1:$self->{port}/status")->{success};
	my $made = $self->_call(
		'POST',
		'/session',
		{
			capabilities => {
				alwaysMatch => {
					browserName => 'chrome',
					'goog:chromeOptions' => { args => \@switches },
					'goog:loggingPrefs' => { browser => 'ALL' }
				}
			}
		});

	$self->{session} = "/session/$made->{sessionId}";
	return $self;
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $!, $@);
	return unless $self->{pid};
	eval { $self->_call('DELETE', $self->{session}) } if $self->{session};
	kill('TERM', -$self->{pid});
	waitpid($self->{pid}, 0);
	$self->{pid} = 0;
	return;
}

sub _call
{
	my ($self, $method, $path, $data) = @_;
	my $response = $self->{http}->request(
		$method,
		"http://127.0.0.1:$self->{port}$path",
		$method eq 'POST'
		? {
			content => encode_json($data // {}),
			headers => { 'content-type' => 'application/json' }
			}
		: {});
	my $said = eval { decode_json($response->{content}) };

	die "$method $path: $response->{status} " . substr($response->{content}, 0, 500)
		if !$response->{success};
	return $said->{value};
}

sub _do
{
	my ($self, $method, $path, $data) = @_;
	return $self->_call($method, "$self->{session}$path", $data);
}

sub _element
{
	my ($self, $css) = @_;
	return $self->_do('POST', '/element', { using => 'css selector', value => $css })->{$ELEMENT};
}

# ---- looking -------------------------------------------------------------------------

# what a function's body returns in the page
sub js
{
	my ($self, $script, @args) = @_;
	return $self->_do('POST', '/execute/sync', { script => $script, args => \@args });
}

# the same, of a promise
sub await_js
{
	my ($self, $script) = @_;
	return $self->_do('POST', '/execute/async',
		{ script => "const done = arguments[0]; ($script).then(done)", args => [] });
}

sub text
{
	my ($self, $css) = @_;
	return $self->js(
		'return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join("\n")',
		$css // 'body');
}

sub count
{
	my ($self, $css) = @_;
	return $self->js('return document.querySelectorAll(arguments[0]).length', $css);
}

# true once a script returns something true
sub wait_js
{
	my ($self, $script, @args) = @_;
	my $end = time() + $DEADLINE;

	while (time() < $end)
	{
		return 1 if $self->js($script, @args);
		usleep(50_000);
	}
	main::diag("not true in time: $script\nthe page: " . substr($self->text('body'), 0, 2000));
	return 0;
}

# true once what the selector finds matches
sub sees
{
	my ($self, $css, $pattern) = @_;
	my $end = time() + $DEADLINE;

	while (time() < $end)
	{
		return 1 if $self->text($css) =~ $pattern;
		usleep(50_000);
	}
	main::diag("$css says: " . substr($self->text($css), 0, 2000));
	return 0;
}

# what it is called, to who does not see it
sub name_of
{
	my ($self, $css) = @_;
	return $self->_do('GET', '/element/' . $self->_element($css) . '/computedlabel');
}

sub role_of
{
	my ($self, $css) = @_;
	return $self->_do('GET', '/element/' . $self->_element($css) . '/computedrole');
}

# what the browser complained of since the last time
sub complaints
{
	my ($self) = @_;

	return map { $_->{message} } @{ $self->_do('POST', '/se/log', { type => 'browser' }) };
}

# axe-core, which finds what keeps people from using a page: of the file that DF_AXE names, or
# of its npm package; undef if it cannot be had
sub axe_source
{
	my $version = '4.14.1';
	my $sha512 = '1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73'
		. '4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5';
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $package = "$dir/axe-core-$version.tgz";

	return PostgreSQL::Test::Utils::slurp_file($ENV{DF_AXE}) if $ENV{DF_AXE};
	system("cd '$dir' && timeout 60 npm pack --silent axe-core\@$version >/dev/null 2>&1");
	return unless -e $package;
	die "$package is another one" if Digest::SHA->new(512)->addfile($package)->hexdigest ne $sha512;
	return if system("tar -xzf '$package' -C '$dir'") != 0;
	return PostgreSQL::Test::Utils::slurp_file("$dir/package/axe.min.js");
}

# what it says of the page as it is
sub axe
{
	my ($self, $source) = @_;

	$self->js($source);
	return $self->await_js(
			  'axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => '
			. 'n.target.join(" ")).join(", ")))');
}

# written only if somebody wants to look: DF_SHOTS=directory
sub shot
{
	my ($self, $name) = @_;

	return unless $ENV{DF_SHOTS};
	my $picture = decode_base64($self->_do('GET', '/screenshot'));

	open(my $file, '>:raw', "$ENV{DF_SHOTS}/$name.png") or die "$name.png: $!";
	print $file $picture;
	close $file;
	return;
}

# ---- doing -----------------------------------------------------------------------------

sub go { my ($self, $url) = @_; return $self->_do('POST', '/url', { url => $url }); }

sub url { my ($self) = @_; return $self->_do('GET', '/url'); }

# as a browser on a machine of that kind: light or dark, so wide
sub look
{
	my ($self, $width, $height, $scheme) = @_;

	$self->_do(
		'POST',
		'/goog/cdp/execute',
		{
			cmd => 'Emulation.setDeviceMetricsOverride',
			params => {
				width => $width,
				height => $height,
				deviceScaleFactor => 1,
				mobile => $width < 600 ? JSON::PP::true() : JSON::PP::false()
			}
		});
	$self->_do(
		'POST',
		'/goog/cdp/execute',
		{
			cmd => 'Emulation.setEmulatedMedia',
			params =>
				{ features => [ { name => 'prefers-color-scheme', value => $scheme // 'light' } ] }
		});
	return;
}

# again, if the page drew itself anew in between
sub _again
{
	my ($self, $what) = @_;
	my $end = time() + $DEADLINE;
	my $done;

	until ($done = eval { $what->(); 1 })
	{
		die $@
			if time() > $end || $@ !~ /stale element|no such element|not interactable|intercepted/;
		usleep(50_000);
	}
	return;
}

sub click
{
	my ($self, $css) = @_;
	return $self->_again(sub { $self->_do('POST', '/element/' . $self->_element($css) . '/click') }
	);
}

# a button or link by what it says, in what the selector finds
sub press
{
	my ($self, $label, $within) = @_;

	return $self->_again(
		sub {
			my $found = $self->js(
				'return [...document.querySelectorAll((arguments[1] || "body") + " button," + '
					. '(arguments[1] || "body") + " a")]'
					. '.find(e => e.innerText.trim() === arguments[0])',
				$label, $within);
			die "no such element: $label" unless $found;
			$self->_do('POST', "/element/$found->{$ELEMENT}/click");
		});
}

sub type
{
	my ($self, $css, $text) = @_;

	return $self->_again(
		sub {
			my $element = $self->_element($css);
			$self->_do('POST', "/element/$element/clear") if $text !~ /[\x{E000}-\x{F8FF}]/;
			$self->_do('POST', "/element/$element/value", { text => $text });
		});
}

sub choose { my ($self, $css, $value) = @_; return $self->click(qq($css option[value="$value"])); }

# text to what has the focus
sub keys { my ($self, $text) = @_; $self->key($_) for split //, $text; return; }

# a key to what has the focus
sub key
{
	my ($self, $key) = @_;
	my %keys = (Tab => "\x{E004}", Enter => "\x{E007}", Escape => "\x{E00C}");
	my $code = $keys{$key} // $key;

	return $self->_do(
		'POST',
		'/actions',
		{
			actions => [
				{
					type => 'key',
					id => 'keyboard',
					actions => [
						{ type => 'keyDown', value => $code },
						{ type => 'keyUp', value => $code }
					]
				}
			]
		});
}

1;
