#!/bin/sh
# embed.sh file...: C on stdout that has the files as df_page_files[]
set -eu
cat <<'END'
/*
 * ingress/page_files.c
 *	  The files of the page, as bytes: made from src/ingress/page by embed.sh.
 *
 * Read by the ingress process.  Never edited, never committed.
 */
END
echo '#include "postgres.h"'
echo '#include "ingress/page.h"'
n=0
for file; do
	echo "static const unsigned char bytes_$n[] = {"
	od -An -v -tu1 "$file" | sed -e 's/  */ /g' -e 's/^ //' -e 's/ *$//' -e 's/ /,/g' -e 's/$/,/'
	echo '};'
	n=$((n + 1))
done
echo 'const DfPageFile df_page_files[] = {'
n=0
for file; do
	echo "	{\"${file##*/}\", (const char *) bytes_$n, sizeof(bytes_$n)},"
	n=$((n + 1))
done
echo '	{NULL, NULL, 0}'
echo '};'
