# What every TAP test uses: all functions of the modules in Dataflows/, which see.

package Dataflows;

use strict;
use warnings;

use Exporter 'import';

use Dataflows::Cases;
use Dataflows::Collector;
use Dataflows::Onboarding;
use Dataflows::Owners;
use Dataflows::Rate;
use Dataflows::Server;
use Dataflows::Sql;
use Dataflows::Systems;
use Dataflows::Wait;

our @EXPORT = (
	qw(start_systems start_collector new_cases), @Dataflows::Cases::EXPORT,
	@Dataflows::Onboarding::EXPORT, @Dataflows::Owners::EXPORT, @Dataflows::Rate::EXPORT,
	@Dataflows::Server::EXPORT, @Dataflows::Sql::EXPORT,
	@Dataflows::Wait::EXPORT);

sub start_systems
{
	return Dataflows::Systems->new(@_);
}

sub new_cases
{
	return Dataflows::Cases->new(@_);
}

sub start_collector
{
	return Dataflows::Collector->new;
}

1;
