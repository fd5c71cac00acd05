# What the scripts of the lint share: the files of the tree, three views of them, and
# how an offence is told.  Sourced by bash; the tree is the first argument of the script.
#
# Patterns are looked for in three views of a file, which have the same lines: raw (as it
# is), text (without comments) and code (without comments and without what is inside
# quotes).  So a comment may speak of what code may not do.

# a script that is asked for its rules has no more to do
if [ "${1:-}" = --rules ]; then
	printf '%s\n' $RULES
	exit 0
fi

cd "${1:-$here/../..}" || exit 2
views=$(mktemp -d)
trap 'rm -rf "$views"' EXIT
offences=$views/offences
: >"$offences"

# ---- views of the files ----------------------------------------------------------

files()
{
	find . \( -name .git -o -name results -o -name tmp_check -o -name node_modules \
		-o -name __pycache__ \
		-o -name output_iso \) -prune -o -type f -print | sed 's|^\./||' | LC_ALL=C sort
}

c_files() { files | grep -E '^(src|test)/.*\.[ch]$'; }
# not src/sql/upgrade: what is frozen there is not ours to change, and what leads from it is
# compared with the schema by a test
sql_files() { files | grep -E '^src/sql/[^/]*\.sql$'; }

# make_views <c|sql>: file names on stdin, views below $views/text and $views/code
make_views()
{
	perl -e '
		use strict;
		use warnings;
		use File::Basename;
		use File::Path;
		my ($views, $language) = @ARGV;
		my $comment = $language eq "c" ? qr{//[^\n]*|/\*.*?\*/}s : qr{--[^\n]*|/\*.*?\*/}s;
		my $quoted = $language eq "c" ? qr{"(?:[^"\\\n]|\\.)*"|\x27(?:[^\x27\\\n]|\\.)*\x27}s
			: qr{\x27(?:[^\x27]|\x27\x27)*\x27}s;
		sub blank { my $s = shift; $s =~ s/[^\n]/ /g; return $s; }
		sub hollow
		{
			my $s = shift;
			return substr($s, 0, 1) . blank(substr($s, 1, -1)) . substr($s, -1);
		}
		sub save
		{
			my ($file, $content) = @_;
			mkpath(dirname($file));
			open(my $out, ">", $file) or die "$file: $!";
			print $out $content;
			close($out);
		}
		while (my $file = <STDIN>)
		{
			chomp $file;
			open(my $in, "<", $file) or die "$file: $!";
			local $/;
			my $text = <$in>;
			$text =~ s/($comment)|($quoted)/defined $1 ? blank($1) : $2/ge;
			save("$views/text/$file", $text);
			$text =~ s/($quoted)/hollow($1)/ge;
			save("$views/code/$file", $text);
			$/ = "\n";
		}' "$views" "$1"
}

# ---- telling -----------------------------------------------------------------------

# offend <rule> <message>: "file:line:..." on stdin
offend()
{
	sed -E "s|^([^:]*:[0-9]+):.*|\1: $1: $2|" >>"$offences"
}

# forbid <rule> <message> <raw|text|code> <pattern> <where> [except where]
# The pattern is Perl's; the two last are extended patterns on the file's name.
forbid()
{
	local rule=$1 message=$2 view=$3 pattern=$4 where=$5 except=${6:-^$}

	(
		[ "$view" = raw ] || cd "$views/$view" || exit
		files | grep -E "$where" | grep -vE "$except" | tr '\n' '\0' |
			xargs -0 -r grep -HnIP -- "$pattern"
	) | offend "$rule" "$message"
}

# Prints the offences in order; fails if there is any.
tell_offences()
{
	LC_ALL=C sort -t: -k1,1 -k2,2n -k3 -u "$offences"
	[ ! -s "$offences" ]
}
