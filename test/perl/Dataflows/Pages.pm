# What documents show, in a form that can be compared with what comes out.

package Dataflows::Pages;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw($LINK $UUID plain);

our $UUID = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
our $LINK = qr{(?<=/event/)[\w.-]+};

# An output of psql or curl without what differs each time: ids, addresses, times,
# the bars of a timeline, the widths of columns.
sub plain
{
	my ($text) = @_;

	for ($text)
	{
		s/$UUID/RUN/g;
		s/127\.0\.0\.1:\d+/ADDRESS/g;
		s/$LINK/LINK/g;
		s/\b[\w-]{40,}\b/TOKEN/g;
		s/\b(usr|cus|con|msg)_[0-9a-f]+/$1/g;
		s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d(?::?\d\d)?)?/TIME/g;
		s/\d+(?:\.\d+)? (?:ms|s|min)\b|\d+ d \d+ h\b/TOOK/g;
		s/\|(?=[^|\n]*[#.x<])[ #.x<?!]{30,}\|/BAR/g;
		s/-{2,}(?:\+-+)*/-/g;
		s/\s+/ /g;
		s/^ | $//g;
	}
	return $text;
}

1;
