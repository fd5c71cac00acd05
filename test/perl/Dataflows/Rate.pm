# What the requests in a system's log say of concurrency and rate.

package Dataflows::Rate;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max);

our @EXPORT = qw(most_together rate_of);

# The most of these requests that a system had without a response at a time.
sub most_together
{
	my (@requests) = @_;

	return max(0, map { $_->{together} } @requests);
}

# How many requests a second came at most, in the mean over all of these but those that may come
# ahead: a slow machine
# makes the way longer for some of them, and so the mean of many tells more than the most of any
# second.
sub rate_of
{
	my ($ahead, @requests) = @_;
	my @at = sort { $a <=> $b } map { $_->{at} } @requests;

	return (@at - 1 - $ahead) / ($at[-1] - $at[0]);
}

1;
