# The alert rules and the dashboard in examples/monitoring ask for metrics and labels that exist,
# and each rule fires when it should.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = 'examples/monitoring';
my %labels = (instance => { map { $_ => 1 } qw(instance) });

# the reference names each metric with its labels
for my $line (split /\n/, slurp_file('docs/reference/metrics.md'))
{
	my ($names, $of) = $line =~ /^\| (`dataflows_[^|]*) \| ?([^|]*) \|/ or next;

	for my $name ($names =~ /`(dataflows_\w+)`/g)
	{
		$labels{$name} = { map { $_ => 1 } 'instance', $of =~ /\w+/g };
	}
}
ok(keys %labels > 30, 'the reference names the metrics');

sub check
{
	my ($what, $expression) = @_;
	my @bad;

	while ($expression =~ /\b(dataflows_\w+)(?:\{([^}]*)\})?/g)
	{
		my ($name, $selectors) = ($1, $2 // '');
		my $base = exists $labels{$name} ? $name : $name =~ s/_(?:bucket|sum|count)$//r;

		push @bad, $name unless exists $labels{$base};
		for my $label ($selectors =~ /(\w+)\s*[=!]~?=?\s*"/g)
		{
			push @bad, "$name\{$label}" unless $labels{$base}{$label} || $label eq 'le';
		}
	}
	return is("@bad", '', "$what asks for what there is");
}

my $alerts = slurp_file("$dir/alerts.yml");
my @rules = split /^      - alert: /m, $alerts;

shift @rules;
cmp_ok(scalar(@rules), '>', 10, 'there are rules');
for my $rule (@rules)
{
	my ($name) = $rule =~ /^(\w+)/;
	my ($expression) = $rule =~ /^        expr: (.*?)(?=^        \w+:)/ms;

	check($name, $expression);
	like($rule, qr/summary:.*description:/s, "$name says what it means and where to look");
}

my $dashboard = decode_json(slurp_file("$dir/dashboard.json"));
my @panels = grep { $_->{type} ne 'row' } @{ $dashboard->{panels} };

cmp_ok(scalar(@panels), '>', 10, 'there are panels');
for my $panel (@panels)
{
	check($panel->{title}, join(' ', map { $_->{expr} } @{ $panel->{targets} }));
	isnt($panel->{fieldConfig}{defaults}{unit}, undef, "$panel->{title} has a unit");
}

SKIP:
{
	my ($out, $err);

	skip 'promtool is not installed', 1
		unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
	ok(
		IPC::Run::run([ 'promtool', 'test', 'rules', "$dir/alerts_test.yml" ],
			'>', \$out, '2>', \$err),
		'each rule fires, and none at rest') or diag($out, $err);
}
done_testing();
