# Mail: what arrives, what is tried again, what is in doubt, and who may see what.

use strict;
use warnings;
use utf8;

use Encode;
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Mail;

my $mail = Dataflows::Mail->new;
my $node =
	new_node('mail', conf => "dataflows.sweep_interval = '1s'\ndataflows.max_body = '16MB'\n");
my $certificate = $mail->certificate;
my %port = map { $_ => $mail->port($_) } qw(smtp auth login smtps plain odd closed);
my $quick =
	  "allow_private 'true', retry_initial '20ms', retry_max '200ms', breaker_failures '1000', "
	. "breaker_cooldown '100ms'";
my $json = JSON::PP->new->canonical;

sub server
{
	my ($name, $url, $options) = @_;

	return
		  "CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url '$url', $quick"
		. ($options ? ", $options" : '') . ");\n"
		. "GRANT USAGE ON FOREIGN SERVER $name TO app;\n";
}

sub login_as
{
	my ($name, $user, $password) = @_;

	return "CREATE USER MAPPING FOR app SERVER $name OPTIONS (username '$user', password "
		. "'$password');\n";
}

my $tls = "ca_file '$certificate'";

create_app($node);
$node->safe_psql(
	'postgres',
	server('starttls', "smtp://127.0.0.1:$port{smtp}", $tls)
		. server('auth', "smtp://localhost:$port{auth}/", $tls)
		. login_as('auth', 'shop', 'hunter2')
		. server('login', "SMTP://127.0.0.1:$port{login}", $tls)
		. login_as('login', 'shop', 'hunter2')
		. server('smtps', "smtps://127.0.0.1:$port{smtps}", $tls)
		. login_as('smtps', 'shop', 'hunter2')
		. server('clear', "smtp://127.0.0.1:$port{plain}", "starttls 'off'")
		. server('clear_login', "smtp://127.0.0.1:$port{plain}", "starttls 'off'")
		. login_as('clear_login', 'shop', 'hunter2')
		. server('no_starttls', "smtp://127.0.0.1:$port{plain}", "$tls, retry_max_attempts '2'")
		. login_as('no_starttls', 'shop', 'hunter2')
		. server('no_ca', "smtp://127.0.0.1:$port{smtp}", "retry_max_attempts '2'")
		. server('closed', "smtp://127.0.0.1:$port{closed}", $tls)
		. server('impatient', "smtp://127.0.0.1:$port{smtp}", "$tls, timeout '4s'")
		. server('down', 'smtp://127.0.0.1:1', "retry_max_attempts '3'")
		. server('wrong_login', "smtp://127.0.0.1:$port{auth}", $tls)
		. login_as('wrong_login', 'shop', 'wrong-secret')
		. server('moody', "smtp://127.0.0.1:$port{auth}", "$tls, retry_max_attempts '2'")
		. login_as('moody', 'moody', 'hunter2')
		. server('odd', "smtp://127.0.0.1:$port{odd}", $tls)
		. login_as('odd', 'shop', 'wrong-secret')
		. <<"SQL");
CREATE SERVER private FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://127.0.0.1:$port{smtp}',
  $tls);
GRANT USAGE ON FOREIGN SERVER private TO app;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.mailing(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.send_mail('send', (event->>'system')::name, event->'message');
END $$;
SELECT dataflows.define_workflow('mailing', 'app.mailing', retry => '{"for": "10s"}');
SQL

# ---- helpers -------------------------------------------------------------------

my %case;

# starts a run; what it comes to is asked later
sub mail_by
{
	my ($name, $system, $to, %more) = @_;
	my $message = {
		from => 'Shop <shop@example.org>',
		to => $to,
		subject => $name,
		text => "Hello\n",
		%more
	};
	my $input = encode('UTF-8', $json->encode({ system => $system, message => $message }));
	my $quoted = $input =~ s/'/''/gr;

	$case{$name} =
		as_app($node, 'postgres', "SELECT dataflows.start('mailing', '$quoted', '$name')");
	return;
}

# "run state|step state|attempts|status"
sub came_to
{
	my ($name) = @_;

	return $node->safe_psql('postgres',
			  "SELECT concat_ws('|', r.state, s.state, s.attempts, s.status)"
			. " FROM dataflows.runs r JOIN dataflows.steps s USING (run) WHERE run = "
			. "'$case{$name}'");
}

sub field
{
	my ($name, $what) = @_;

	return $node->safe_psql(
		'postgres',
		"SELECT $what FROM dataflows.runs r JOIN dataflows.steps s USING (run)
			WHERE run = '$case{$name}'"
	);
}

# ---- many cases at once -----------------------------------------------------------

mail_by('simple', 'starttls', 'ada@example.com');
mail_by('by auth', 'auth', 'ada@example.com');
mail_by('by login', 'login', 'ada@example.com');
mail_by('by smtps', 'smtps', 'ada@example.com');
mail_by('in clear', 'clear', 'ada@example.com');
mail_by('login in clear', 'clear_login', 'ada@example.com');
mail_by(
	'rich', 'auth',
	[ '"Lovelace, Ada" <ada@example.com>', 'Grüße Müller <gm@example.com>' ],
	from => 'Ünïcode Shop "1" <shop@example.org>' =~ s/ "1"//r,
	cc => 'carl@example.com',
	bcc => [ 'secret@example.com', 'Hidden <hidden@example.com>' ],
	subject => 'Grüße aus dem Süden: dein Konto ist bereit, und dieser Betreff ist lang '
		. 'genug, um '
		. 'gefaltet zu werden ✓ =?UTF-8?B?eA==?=',
	text => "Hallo Ada,\n.\n..two dots\nFrom here: schöne Grüße = " . ('x' x 200) . " \nend",
	html => '<p>Hallo <b>Ada</b>, ' . ('äöüß' x 100) . "</p>\n.\n",
	headers => {
		'Reply-To' => 'Hilfe für alle <help@example.org>',
		'X-Campaign' => 'w1',
		'List-Unsubscribe' => '<https://example.org/u?' . ('a' x 120) . '>'
	});
mail_by('html alone', 'starttls', 'ada@example.com', text => undef, html => '<p>Ελληνικά</p>');
mail_by(
	'bcc alone', 'starttls', [],
	bcc => 'secret@example.com',
	headers => { 'auto-submitted' => 'no' });
mail_by(
	'long', 'starttls',
	'ada@example.com', text => join("\n", map { "line $_ " . ('.' x ($_ % 70)) } 1 .. 9000));
my $bytes = join('', map { chr } 0 .. 255) x 40 . "\r\n.\r\n=_";
my $file = {
	filename => 'report.pdf',
	content_type => 'application/pdf',
	base64 => encode_base64($bytes, "\n")
};

mail_by(
	'files',
	'clear',
	'later1-x@example.com',
	html => '<p>see the files</p>',
	attachments => [
		$file,
		{ filename => "Grüße \"1\".txt", content_type => 'text/plain', base64 => 'aGk=' },
		{ filename => 'a "b" \\c.bin', base64 => '' },
		{ base64 => 'AAA=', content_type => 'text/csv; charset=utf-8' }
	]);
mail_by('one file', 'starttls', 'ada@example.com', attachments => [$file]);
mail_by('busy twice', 'starttls', 'busy2-a@example.com');
mail_by('later twice', 'starttls', 'later2-b@example.com');
mail_by('closing once', 'starttls', 'closing1-c@example.com');
# more than the buffers on the way take, so that it is known that the dot had not left
mail_by('cut twice', 'clear', 'cut2-d@example.com', text => scalar(("y" x 70 . "\n") x 90000));
mail_by('cut late', 'starttls', 'cut-d@example.com');
mail_by('one is nobody',
	'starttls', [ 'ada@example.com', 'nobody-e@example.com', 'bob@example.com' ]);
mail_by('spam', 'starttls', 'spam-f@example.com');
mail_by(
	'early', 'starttls',
	'early-g@example.com', text => 'x' x 500 . "\n" . ("y" x 70 . "\n") x 10000);
mail_by('busy for ever', 'starttls', 'busy-h@example.com');
mail_by('lost', 'starttls', 'lost-i@example.com');
mail_by('lost, fail', 'starttls', 'lost-r@example.com', doubt => 'fail');
mail_by('dropped', 'starttls', 'dropped-j@example.com');
mail_by('lost, accept', 'starttls', 'lost-k@example.com', doubt => 'accept');
mail_by('lost, resend', 'starttls', 'lost1-l@example.com', doubt => 'resend');
mail_by('dropped, resend', 'starttls', 'dropped2-m@example.com', doubt => 'resend');
mail_by(
	'lost then spam',
	'starttls',
	[ 'lost1-n@example.com', 'spam-n@example.com' ],
	doubt => 'resend');
mail_by('hang', 'impatient', 'hang-o@example.com');
mail_by('slow', 'starttls', 'slow-p@example.com');
mail_by('garbled', 'starttls', 'garbled-q@example.com');
mail_by('server is down', 'down', 'ada@example.com');
mail_by('server takes none', 'closed', 'ada@example.com');
mail_by('without STARTTLS', 'no_starttls', 'ada@example.com');
mail_by('unknown authority', 'no_ca', 'ada@example.com');
mail_by('private address', 'private', 'ada@example.com');
mail_by('login comes later', 'moody', 'ada@example.com');

ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck' ], 40), 'all have come to rest');

my @book = $mail->book;
my %mails;    # by subject or by the first recipient

push @{ $mails{ $_->{recipients}[0] } }, $_ for grep { $_->{event} eq 'accepted' } @book;

sub copies
{
	my ($first) = @_;

	return scalar @{ $mails{$first} // [] };
}

my ($rich) = grep {
	$_->{event} eq 'accepted' && $_->{recipients}[1] && $_->{recipients}[1] eq 'gm@example.com'
} @book;
my %by_subject =
	map { ($_->{headers}{Subject} // '') => $_ } grep { $_->{event} eq 'accepted' } @book;

# ---- ways in -------------------------------------------------------------------------

is(came_to($_), 'completed|done|1|250', $_)
	for ('simple', 'by auth', 'by login', 'by smtps', 'in clear', 'login in clear');

# "TLS" or "clear", and who logged in
sub way_of
{
	my ($mail) = $by_subject{ $_[0] };

	return ($mail->{tls} ? 'TLS' : 'clear') . ', ' . ($mail->{user} // 'nobody');
}

is(way_of('simple'), 'TLS, nobody', 'STARTTLS, without credentials');
is(way_of('by auth'), 'TLS, shop', 'STARTTLS, then AUTH');
is(way_of('by login'), 'TLS, shop', 'AUTH LOGIN, where there is nothing else');
is(way_of('by smtps'), 'TLS, shop', 'TLS from the first byte, then AUTH');
like(way_of('in clear'), qr/^clear/, 'in clear, as a superuser has said');
is(way_of('login in clear'), 'clear, shop', 'with credentials too: it is a private network');
my $output = $json->decode(field('simple', 'output'));
is($output->{message_id}, $by_subject{simple}{message_id}, 'the output has the Message-ID');
is($output->{message_id}, '<' . field('simple', 'idempotency_key') . '@example.org>',
	'which is made of the step\'s key');
is($output->{reply}, '250 2.0.0 queued as 7', 'and the reply');
is(field('simple', 's.request'), 'MAIL ada@example.com', 'what is shown as the request');
is(field('simple', "s.body::jsonb->>'subject'"), 'simple', 'the message is recorded');

# ---- what arrives ---------------------------------------------------------------------

is( $rich->{headers}{Subject},
	'Grüße aus dem Süden: dein Konto ist bereit, und dieser Betreff ist lang genug, um gefaltet '
		. 'zu werden ✓ =?UTF-8?B?eA==?=',
	'a subject in UTF-8, what looks encoded included');
is($rich->{headers}{From}, 'Ünïcode Shop <shop@example.org>', 'the name of the sender');
is( $rich->{headers}{To},
	'"Lovelace, Ada" <ada@example.com>, Grüße Müller <gm@example.com>',
	'the names of the recipients');
is($rich->{headers}{Cc}, 'carl@example.com', 'Cc');
is( $rich->{headers}{'Reply-To'},
	'Hilfe für alle <help@example.org>',
	'a header with a name in UTF-8');
is($rich->{headers}{'X-Campaign'}, 'w1', 'a header');
is(length $rich->{headers}{'List-Unsubscribe'}, 144, 'a header with a long word');
is($rich->{headers}{'Auto-Submitted'}, 'auto-generated', 'Auto-Submitted');
like($rich->{headers}{Date}, qr/^\w{3}, \d+ \w{3} 20\d\d \d\d:\d\d:\d\d \+0000$/, 'Date');
is_deeply(
	$rich->{recipients},
	[ map { "$_\@example.com" } qw(ada gm carl secret hidden) ],
	'all recipients are in the envelope');
unlike($rich->{raw}, qr/secret|hidden/i, 'Bcc is not in the message');
is($rich->{type}, 'multipart/alternative', 'text and HTML are alternatives');
is_deeply([ map { $_->[0] } @{ $rich->{parts} } ], [ 'text/plain', 'text/html' ], 'the text first');
is( $rich->{parts}[0][1],
	"Hallo Ada,\n.\n..two dots\nFrom here: schöne Grüße = " . ('x' x 200) . " \nend\n",
	'the text, dots and all');
is($rich->{parts}[1][1], '<p>Hallo <b>Ada</b>, ' . ('äöüß' x 100) . "</p>\n.\n", 'the HTML');
is($by_subject{'html alone'}{type}, 'text/html', 'HTML alone is no multipart');
is($by_subject{'html alone'}{parts}[0][1], "<p>Ελληνικά</p>\n", 'nor is it anything else');
is_deeply($by_subject{'bcc alone'}{recipients}, ['secret@example.com'], 'Bcc alone');
is($by_subject{'bcc alone'}{headers}{To}, 'undisclosed-recipients:;', 'nobody is named');
is($by_subject{'bcc alone'}{headers}{'auto-submitted'}, 'no', 'Auto-Submitted as it was given');
is( $by_subject{long}{parts}[0][1],
	join("\n", map { "line $_ " . ('.' x ($_ % 70)) } 1 .. 9000) . "\n",
	'half a megabyte');
my $files = $by_subject{files};
is(came_to('files'), 'completed|done|2|250', 'a mail with files is tried again');
is($files->{type}, 'multipart/mixed', 'text and files');
is_deeply(
	[ map { $_->[0] } @{ $files->{parts} } ],
	[qw(text/plain text/html application/pdf text/plain application/octet-stream text/csv)],
	'the text in both forms, then the files');
is_deeply(
	[ map { $_->[2] } @{ $files->{parts} } ],
	[ undef, undef, 'report.pdf', 'Grüße "1".txt', 'a "b" \c.bin', undef ],
	'their names');
is_deeply(
	[ map { decode_base64($files->{parts}[$_][1]) } 2 .. 5 ],
	[ $bytes, 'hi', '', "\0\0" ],
	'every byte arrives');
is($files->{parts}[1][1], "<p>see the files</p>\n", 'the HTML too');
is_deeply(
	[ map { $_->[0] } @{ $by_subject{'one file'}{parts} } ],
	[ 'text/plain', 'application/pdf' ],
	'a text alone, and a file');
is_deeply([ grep { !$_->{ascii} || $_->{lines} > 200 || @{ $_->{defects} } } values %by_subject ],
	[], 'every mail is well-formed');

# ---- replies ------------------------------------------------------------------------------

is(came_to('busy twice'), 'completed|done|3|250', '4xx to a recipient is tried again');
is(copies('busy2-a@example.com'), 1, 'and is there once');
is(came_to('later twice') . copies('later2-b@example.com'),
	'completed|done|3|2501', '4xx to the message is tried again');
is(came_to('closing once') . copies('closing1-c@example.com'),
	'completed|done|2|2501', '421 is tried again');
is(came_to('cut twice') . copies('cut2-d@example.com'),
	'completed|done|3|2501', 'a connection lost within the message: certainly not accepted');
is(came_to('cut late') . copies('cut-d@example.com'),
	'stuck|in_doubt|10', 'but if all had left, who knows');
is(came_to('one is nobody'), 'rolled_back|failed|1|550', 'one recipient is refused');
is( field('one is nobody', "r.error->'detail'->>'body'"),
	"550-5.1.1 there is nobody\n550 5.1.1 of that name",
	'the reply is in the error');
is( (   grep {
			grep { /bob/ }
				@{ $_->{recipients} }
		} @book),
	0,
	'and nobody gets it');
is(came_to('spam'), 'rolled_back|failed|1|554', '5xx to the message');
is(came_to('early'), 'rolled_back|failed|1|552', '5xx within the message');
is(came_to('server takes none'), 'rolled_back|failed|1|554', '5xx as a greeting');
like(
	came_to('busy for ever'),
	qr/^rolled_back\|failed\|\d+\|450$/,
	'4xx until the budget is used up');
cmp_ok(field('busy for ever', 's.attempts'), '>', 10, 'is tried often');
is(came_to('server is down'), 'stuck|failed|3', 'a server that is down');
is(came_to('login comes later'),
	'stuck|failed|2|454', '4xx to the credentials is tried again');
is(came_to('slow') . copies('slow-p@example.com'),
	'completed|done|1|2501', 'a server that thinks first');

# ---- security -----------------------------------------------------------------------------------

is(came_to('without STARTTLS'), 'stuck|failed|2', 'no STARTTLS, no mail');
like(
	field('without STARTTLS', "r.error->>'message'"),
	qr/does not offer STARTTLS/,
	'and it is said');
is_deeply([ grep { $_->{event} eq 'auth' && !$_->{tls} && $_->{service} ne 'plain' } @book ],
	[], 'no credentials in clear');
is(scalar(grep { $_->{event} eq 'auth' && $_->{service} eq 'plain' } @book),
	1, 'but where a superuser has allowed it');
is(came_to('unknown authority'), 'stuck|failed|2', 'a certificate of an unknown authority');
like(field('unknown authority', "r.error->>'message'"), qr/no secure connection/, 'is named');
is(came_to('private address'), 'stuck|failed|1', 'a private address');
like(
	field('private address', "r.error->>'message'"),
	qr/not public \(loopback\).*allow_private/,
	'is refused by the engine');

# ---- doubt --------------------------------------------------------------------------------------

is(came_to('lost') . copies('lost-i@example.com'),
	'stuck|in_doubt|11', 'no reply after the message: in doubt, not sent again');
like(
	field('lost', "r.stuck->>'reason'"),
	qr/^step "send" is in doubt at system "starttls": /,
	'a person learns which mail');
is(came_to('lost, fail') . copies('lost-r@example.com'),
	'rolled_back|in_doubt|11', "doubt 'fail': the run fails");
is(field('lost, fail', "r.error->'detail'->>'in_doubt'"), 'true', 'as the body is told');
is(came_to('dropped') . copies('dropped-j@example.com'),
	'stuck|in_doubt|10', 'the same if it was not accepted: nobody can know');
is(came_to('lost, accept') . copies('lost-k@example.com'), 'completed|done|11', "doubt 'accept'");
is(field('lost, accept', 'output IS NULL'), 't', 'without an output');
is(came_to('lost, resend') . copies('lost1-l@example.com'),
	'completed|done|2|2502', "doubt 'resend' is at least once");
my @twice = @{ $mails{'lost1-l@example.com'} };
is($twice[0]{raw}, $twice[1]{raw}, 'with the same bytes, so the same Message-ID');
is(came_to('dropped, resend') . copies('dropped2-m@example.com'),
	'completed|done|3|2501', "doubt 'resend', never accepted before");
is(came_to('lost then spam') . copies('lost1-n@example.com'),
	'stuck|in_doubt|2|5541', 'a refusal does not settle an earlier doubt');
is(came_to('hang') . copies('hang-o@example.com'),
	'stuck|in_doubt|11', 'a timeout after the message');
like(
	field('hang', "s.error->>'message'"),
	qr/timed out after 4000 ms, waiting for the reply to the message/,
	'says so');
is(came_to('garbled'), 'stuck|in_doubt|1', 'a reply that is none');

# ---- credentials that are refused ----------------------------------------------------------------

mail_by('refused', 'wrong_login', 'ada@example.com');
mail_by('odd', 'odd', 'ada@example.com');
for my $name ('refused', 'odd')
{
	ok( wait_until(
			$node,
			"SELECT status = 535 AND attempts = 0 AND state = 'pending' FROM dataflows.steps
				WHERE run = '$case{$name}'"
		),
		"$name: waits without using attempts");
}
like(
	slurp_file($node->logfile),
	qr/system "wrong_login" refuses our credentials \(status 535\)/,
	'the log says which system');
$node->safe_psql('postgres',
	"ALTER USER MAPPING FOR app SERVER wrong_login OPTIONS (SET password 'hunter2');");
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$case{refused}'"),
	'goes on after the repair');
is(came_to('refused'), 'completed|done|1|250', 'with its first attempt');
as_app($node, 'postgres', "SELECT dataflows.cancel('$case{odd}')");

# ---- the breaker is not for recipients -----------------------------------------------------------

$node->safe_psql('postgres',
	server('strict', "smtp://127.0.0.1:$port{smtp}", $tls) =~
		s/breaker_failures '1000'/breaker_failures '2'/r =~
		s/breaker_cooldown '100ms'/breaker_cooldown '1h'/r);
mail_by("nobody $_", 'strict', "nobody-$_\@example.com") for 1 .. 5;
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck', 'cancelled' ], 40),
	'refused recipients');
mail_by('after nobody', 'strict', 'ada@example.com');
ok( wait_until(
		$node,
		"SELECT state = 'completed' FROM dataflows.runs WHERE run = '$case{'after nobody'}'", 40),
	'open no breaker');

# ---- stuck, repaired, sent -----------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.person (address text);
INSERT INTO app.person VALUES ('nobody-wrong@example.com');
CREATE FUNCTION app.careful(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.send_mail('send', 'starttls', jsonb_build_object('from', 'shop@example.org',
    'subject', 'careful',
    'text', 'Hello', 'to', (SELECT address FROM app.person)));
END $$;
SELECT dataflows.define_workflow('careful', 'app.careful', undo_on => 'never');
SQL
my $careful = as_app($node, 'postgres', "SELECT dataflows.start('careful')");
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$careful'"),
	'a refused mail, of a workflow that gets stuck');
as_app($node, 'postgres',
	"UPDATE app.person SET address = 'right\@example.com'; SELECT dataflows.retry('$careful');");
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$careful'"),
	'goes on after the repair');
is( $node->safe_psql(
		'postgres', "SELECT output->>'message_id' FROM dataflows.steps WHERE run = '$careful'"),
	'<' . $node->safe_psql('postgres',
		"SELECT dataflows._key('$careful', 1, 1, NULL)") . '@example.org>',
	'as a new mail, with a new key');

# ---- stuck in doubt: a person decides, not a second mail -----------------------------------------

as_app($node, 'postgres', "UPDATE app.person SET address = 'lost-person\@example.com'");
my $doubtful = as_app($node, 'postgres', "SELECT dataflows.start('careful')");
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$doubtful'"),
	'a mail in doubt, of a workflow that gets stuck');
as_app($node, 'postgres', "SELECT dataflows.retry('$doubtful')");
ok( wait_until(
		$node,
		"SELECT state = 'stuck' AND EXISTS (SELECT FROM dataflows.requests q
				WHERE q.run = r.run AND q.state = 'done')
  FROM dataflows.runs r WHERE run = '$doubtful'"),
	'is as stuck after retry()');
like(
	$node->safe_psql(
		'postgres', "SELECT error->>'message' FROM dataflows.steps WHERE run = '$doubtful'"),
	qr/a mail server cannot tell whether it has accepted a mail/,
	'which says why');
as_app($node, 'postgres',
	"SELECT dataflows.resolve('$doubtful', 'send', 'done', 'it is in the log of the mail server')");
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$doubtful'"),
	'and goes on when a person has looked');
is(scalar(grep { $_->{recipients}[0] eq 'lost-person@example.com' } $mail->accepted),
	1, 'with one mail');

# ---- systems of the other kind, changed meanwhile ------------------------------------------------

$node->safe_psql('postgres', server('web', 'http://127.0.0.1:1'));
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.mixed(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.get('ask', 'starttls', '/');
END $$;
SELECT dataflows.define_workflow('mixed', 'app.mixed', undo_on => 'never');
SQL
my $mixed = as_app($node, 'postgres', "SELECT dataflows.start('mixed')");
mail_by('by web', 'web', 'ada@example.com');
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$mixed'"),
	'HTTP to a mail server');
like(
	$node->safe_psql(
		'postgres', "SELECT stuck->>'reason' FROM dataflows.runs WHERE run = '$mixed'"),
	qr/step "ask" cannot send a request to system "starttls"/,
	'is refused');
ok( wait_until(
		$node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$case{'by web'}'"),
	'mail to a web server');
like(
	$node->safe_psql(
		'postgres', "SELECT stuck->>'reason' FROM dataflows.runs WHERE run = '$case{'by web'}'"),
	qr/step "send" cannot send mail by system "web"/,
	'is refused');

$node->safe_psql('postgres', server('moving', 'smtp://127.0.0.1:1'));
mail_by('moved', 'moving', 'ada@example.com');
ok(wait_until($node, "SELECT attempts > 1 FROM dataflows.steps WHERE run = '$case{moved}'"),
	'a mail that is tried again');
$node->safe_psql('postgres', "ALTER SERVER moving OPTIONS (SET url 'http://127.0.0.1:1')");
ok( wait_until(
		$node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$case{moved}'"),
	'does not go to a web server');
like(
	field('moved', "r.error->>'message'"),
	qr/the url of system "moving" is now not that of a mail server any more/,
	'which is said');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.undoing(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.on_rollback('undo', 'starttls', 'DELETE /x');
  RETURN '"not reached"';
END $$;
SELECT dataflows.define_workflow('undoing', 'app.undoing');
SQL
my $undoing = as_app($node, 'postgres', "SELECT dataflows.start('undoing')");
ok( wait_until(
		$node,
		"SELECT state = 'stuck'
			AND stuck->>'reason' ~ 'cannot send a request to system \"starttls\"'
			FROM dataflows.runs WHERE run = '$undoing'"),
	'nor does an undo go to a mail server');
is(field('server is down', "r.error->'detail'->>'body'"),
	'', 'what a server said before is not taken for the reason');
is(field('without STARTTLS', "r.error->'detail'->>'body'"), '', 'nor what it said in greeting');

# ---- a mail server that thinks holds up nobody ---------------------------------------------------

mail_by('hanging', 'starttls', 'hang-z@example.com');
ok(wait_until($node, "SELECT state = 'sent' FROM dataflows.steps WHERE run = '$case{hanging}'"),
	'one mail hangs');
mail_by('passing', 'starttls', 'ada@example.com');
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$case{passing}'"),
	'another one passes');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.steps WHERE state = 'sent' AND run = '$case{hanging}'"),
	1,
	'while the first still hangs');

# ---- kill -9 -------------------------------------------------------------------------------------

# however long the server takes to come back, there is time left to send again
as_app($node, 'postgres',
	q{SELECT dataflows.define_workflow('mailing', 'app.mailing', retry => '{"for": "10min"}')});
for my $round (1 .. 6)
{
	my $resend = $round % 2 ? 'fail' : 'resend';

	# the server may be about to notice the last kill; the keys make it harmless to ask again
	my $starts = <<"SQL";
SELECT count(dataflows.start('mailing', jsonb_build_object('system', 'starttls', 'message',
  jsonb_build_object('from', 'shop\@example.org',
  'to', format('kill-%s-%s\@example.com', $round, i), 'text', 'x', 'doubt', '$resend')),
    'kill-$round-' || i)) FROM generate_series(1, 40) i;
SQL
	my $end = time() + 30;
	my $rc = 1;

	while ($rc != 0 && time() < $end)
	{
		($rc) = try_psql($node, 'postgres', $starts, extra_params => [ '-U', 'app' ]);
		usleep(50_000) if $rc != 0;
	}
	wait_until(
		$node,
		"SELECT count(*) > 3 FROM dataflows.runs WHERE key LIKE 'kill-$round-%'
			AND state IN ('completed', 'running')",
		40);
	my ($pid) = grep { $_ } pids_of($node, 'worker');
	kill_process('KILL', $pid) if $pid;
}
my $ended = "SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE key LIKE 'kill-%'
		AND state NOT IN ('completed', 'rolled_back', 'stuck'))";

ok(wait_until($node, $ended, 90),
	'kill -9 of workers: all runs end, or are taken to have crashed the server');
retry_killed($node);
ok(wait_until($node, $ended, 90), 'all runs end');
my %times;
$times{ $_->{recipients}[0] }++ for grep { $_->{recipients}[0] =~ /^kill-/ } $mail->accepted;
my @rows = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT r.input->'message'->>'to', s.state, r.input->'message'->>'doubt' FROM dataflows.runs r
  JOIN dataflows.steps s USING (run)
WHERE r.key LIKE 'kill-%'
SQL
is(scalar @rows, 240, 'all are in the record');
is_deeply([ grep { $_->[1] eq 'done' && !$times{ $_->[0] } } @rows ],
	[], 'none is claimed that is not in the book');
is_deeply([ grep { ($times{ $_->[0] } // 0) > 1 && $_->[2] ne 'resend' } @rows ],
	[], "none is sent twice, unless 'resend' says so");
is_deeply([ grep { $times{ $_->[0] } && $_->[1] !~ /^(done|in_doubt)$/ } @rows ],
	[], 'none is in the book that is not done or in doubt');
is_deeply([ grep { !$times{ $_->[0] } && $_->[2] eq 'resend' } @rows ], [], "'resend' loses none");
diag(
		  scalar(grep { $_->[1] eq 'in_doubt' } @rows)
		. ' in doubt, '
		. scalar(grep { $_ > 1 } values %times)
		. ' twice');

# ---- secrets -------------------------------------------------------------------------------------

unlike(
	slurp_file($node->logfile) =~ s/^.*(?:CREATE|ALTER) USER MAPPING.*$//gmr,
	qr/hunter2|wrong-secret|aHVudGVyMg/,
	'no secret in the log');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM dataflows.step s WHERE s::text ~ 'hunter2|wrong-secret'"),
	'0',
	'nor in a row');

$node->stop;
$mail->stop;
done_testing();
