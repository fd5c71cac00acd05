/*
 * test/unit/engine/mime_test.c
 *	  Tests of src/engine/mime.c, without a server.
 *
 * An ordinary program that prints TAP.  What is written is compared with what
 * the RFCs say, letter by letter, and over many lengths with what must hold for
 * every mail: ASCII, whole lines, none too long, and that it reads back.
 *
 * sources: test/unit/tap.c src/engine/mime.c
 */
#include "postgres.h"

#include "engine/mime.h"
#include "tap.h"

static char *
header(const char *name, const char *value)
{
	StringInfoData out;

	initStringInfo(&out);
	df_mime_header(&out, name, value);
	return out.data;
}

static char *
part(const char *value)
{
	StringInfoData out;

	initStringInfo(&out);
	df_mime_text(&out, "text/plain", value);
	return out.data;
}

static char *
date(TimestampTz at)
{
	StringInfoData out;

	initStringInfo(&out);
	df_mime_date(&out, at);
	return out.data;
}

static char *
mailbox(const char *value)
{
	StringInfoData out;
	DfMailbox box;
	const char *why;

	initStringInfo(&out);
	if (!df_mailbox_parse(value, &box, &why))
		return (char *) why;
	df_mime_mailboxes(&out, "To", &box, 1);
	return out.data;
}

/* ASCII, lines that end in CR LF, none longer than allowed */
static bool
is_well_formed(const char *lines, size_t longest)
{
	size_t line = 0;

	for (; *lines != '\0'; lines++)
	{
		if (lines[0] == '\r' && lines[1] == '\n')
		{
			line = 0;
			lines++;
		}
		else if ((unsigned char) *lines > 0x7E || *lines == '\r' || *lines == '\n' ||
				 ++line > longest)
			return false;
	}
	return line == 0;
}

static void
test_headers(void)
{
	char value[800];
	bool good = true;
	char *out = "";

	is(header("Subject", "Hello"), "Subject: Hello\r\n", "a header");
	is(header("Subject", ""), "Subject:\r\n", "an empty header");
	is(header("Subject", "Gr\xC3\xBC\xC3\x9F"
						 "e aus K\xC3\xB6ln"),
	   "Subject: =?UTF-8?B?R3LDvMOfZQ==?= aus =?UTF-8?B?S8O2bG4=?=\r\n",
	   "words that are not ASCII are encoded, the others are not");
	is(header("Subject", "a \xC3\xA4 \xC3\xB6 b"), "Subject: a =?UTF-8?B?w6Qgw7Y=?= b\r\n",
	   "the space between two of them is encoded too");
	is(header("Subject", "=?UTF-8?B?eA==?="), "Subject: =?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=\r\n",
	   "what looks encoded is encoded");
	is(header("Subject", " a  b "), "Subject: =?UTF-8?B?IGEgIGIg?=\r\n",
	   "spaces that would get lost are encoded");
	is(header("S",
			  "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
			  "0123456789"),
	   "S: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n 0123456789 "
	   "0123456789\r\n",
	   "a long one is folded at a space");
	is(header("X-Long-Enough-To-Matter",
			  "<https://example.com/"
			  "0123456789012345678901234567890123456789012345678901234567890123456789>"),
	   "X-Long-Enough-To-Matter: "
	   "<https://example.com/"
	   "0123456789012345678901234567890123456789012345678901234567890123456789>\r\n",
	   "a long word stays whole, on the line of its name");
	for (size_t len = 1; len < 390 && good; len++)
	{
		value[0] = '\0';
		for (size_t i = 0; i < len; i++)
			strlcat(value, i % 7 == 3 ? "\xE2\x9C\x93" : i % 11 == 5 ? " "
																	 : "x",
					sizeof(value));
		out = header("Subject", value);
		good = is_well_formed(out, 76);
	}
	ok(good, "whatever the length, lines are short and ASCII", out);
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	ok(is_well_formed(header("Subject", value), 998), "a word that cannot be folded", "too long");
}

static void
test_mailboxes(void)
{
	DfMailbox boxes[3] = {
		{NULL, "a@example.com"}, {"Robert", "b@example.com"}, {"C\xC3\xA4sar", "c@example.com"}};
	StringInfoData out;
	static const char *const bad[] = {
		"",
		"ada",
		"@example.com",
		"ada@",
		"a@b@c",
		"ada lovelace@example.com",
		"a@b.c, d@e.f",
		"a@b.c, Bob <d@e.f>",
		"<a@b.c",
		"a@b.c>",
		"Ada <>",
		"Ada <a@b.c> x",
		"\"Ada <a@b.c>",
		"\"A\"da\" <a@b.c>",
		"\"Ada\\\" <a@b.c>",
		"Ada <<a@b.c>>",
		"a@b..c",
		"a@.b",
		"a@b.",
		"a@-b.c",
		"a@b-.c",
		"a@[127.0.0.1]",
		"a@b c",
		"a@b\r\nRCPT TO:<x@y.z>",
		"A\r\nBcc: x@y.z <a@b.c>",
		"A\tB <a@b.c>",
		"\xC3\xBC@example.com",
		"a@\xC3\xBC.example.com",
		"a(b)@example.com",
		"a;b@example.com",
		"a:b@example.com",
		"012345678901234567890123456789012345678901234567890123456789012345@example.com",
	};

	is(mailbox("ada@example.com"), "To: ada@example.com\r\n", "an address");
	is(mailbox("o'hara+tag.x@sub-domain.example.co.uk"),
	   "To: o'hara+tag.x@sub-domain.example.co.uk\r\n", "with all that it may have");
	is(mailbox("root@localhost"), "To: root@localhost\r\n", "without a dot");
	is(mailbox("<ada@example.com>"), "To: ada@example.com\r\n", "in angles");
	is(mailbox("Ada Lovelace <ada@example.com>"), "To: Ada Lovelace <ada@example.com>\r\n",
	   "with a name");
	is(mailbox("Dr. Ada <ada@example.com>"), "To: \"Dr. Ada\" <ada@example.com>\r\n",
	   "with a name that needs quotes");
	is(mailbox("\"Lovelace, Ada\" <ada@example.com>"),
	   "To: \"Lovelace, Ada\" <ada@example.com>\r\n", "with one that has them");
	is(mailbox("\"A \\\"B\\\" \\\\ C\" <ada@example.com>"),
	   "To: \"A \\\"B\\\" \\\\ C\" <ada@example.com>\r\n", "with quotes in quotes");
	is(mailbox("\"x@y.z\" <ada@example.com>"), "To: \"x@y.z\" <ada@example.com>\r\n",
	   "with another address as a name");
	is(mailbox("J\xC3\xBCrgen, \xC3\x84 <ada@example.com>"),
	   "its name has a character that needs quotes; several addresses are given as an array",
	   "a comma without quotes");
	is(mailbox("J\xC3\xBCrgen M <ada@example.com>"),
	   "To: =?UTF-8?B?SsO8cmdlbiBN?= <ada@example.com>\r\n", "with a name that is not ASCII");
	is(mailbox("=?x <ada@example.com>"), "To: =?UTF-8?B?PT94?= <ada@example.com>\r\n",
	   "with a name that looks encoded");
	initStringInfo(&out);
	df_mime_mailboxes(&out, "Cc", boxes, 3);
	is(out.data,
	   "Cc: a@example.com, Robert <b@example.com>, =?UTF-8?B?Q8Okc2Fy?=\r\n <c@example.com>\r\n",
	   "several");
	for (int i = 0; i < lengthof(bad); i++)
	{
		DfMailbox box;
		const char *why;

		ok(!df_mailbox_parse(bad[i], &box, &why) && why != NULL, "is refused", bad[i]);
	}
}

static void
test_bodies(void)
{
	char value[2000];
	bool good = true;
	char *out = "";

	is(part("a\nb"),
	   "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
	   "7bit\r\n\r\na\r\nb\r\n",
	   "ASCII as it is");
	is(strstr(part("a\r\nb\rc\n\n"), "\r\n\r\n"), "\r\n\r\na\r\nb\r\nc\r\n\r\n",
	   "all ends of lines become CR LF");
	is(strstr(part(""), "\r\n\r\n"), "\r\n\r\n\r\n", "an empty text");
	is(strstr(part("caf\xC3\xA9 = 1 \nand so on and on"), "Content-Tr"),
	   "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 =3D 1=20\r\nand so on and "
	   "on\r\n",
	   "few others: quoted-printable");
	is(strstr(part("\xC3\xA4\xC3\xB6\xC3\xBC"), "Content-Tr"),
	   "Content-Transfer-Encoding: base64\r\n\r\nw6TDtsO8DQo=\r\n", "many others: base64");
	memset(value, 'x', 1999);
	value[1999] = '\0';
	ok(strstr(part(value), "quoted-printable") != NULL && is_well_formed(part(value), 76),
	   "a long line is broken", "too long");
	for (size_t len = 1; len < 400 && good; len++)
	{
		for (size_t i = 0; i < len; i++)
			value[i] = i % 13 == 7 ? '\xE9' : i % 5 == 0 ? ' '
				: i % 83 == 40                           ? '\n'
														 : 'x';
		value[len] = '\0';
		out = part(value);
		good = is_well_formed(out, 76);
	}
	ok(good, "whatever the length, lines are short and ASCII", out);
}

static void
test_dates(void)
{
	const int64 second = USECS_PER_SEC;

	is(date(0), "Date: Sat, 1 Jan 2000 00:00:00 +0000\r\n", "the first day");
	is(date(-1), "Date: Fri, 31 Dec 1999 23:59:59 +0000\r\n", "the last moment before");
	is(date(INT64CONST(59) * 86400 * second), "Date: Tue, 29 Feb 2000 00:00:00 +0000\r\n",
	   "a leap day");
	is(date(INT64CONST(60) * 86400 * second), "Date: Wed, 1 Mar 2000 00:00:00 +0000\r\n",
	   "the day after");
	is(date(INT64CONST(817281243) * second), "Date: Mon, 24 Nov 2025 06:34:03 +0000\r\n",
	   "a day of these");
	is(date(INT64CONST(3155760000) * second), "Date: Fri, 1 Jan 2100 00:00:00 +0000\r\n",
	   "a new century");
	is(date(INT64CONST(3160857600) * second), "Date: Mon, 1 Mar 2100 00:00:00 +0000\r\n",
	   "which has no leap day");
}

static const char *
file(const char *type, const char *name, const char *bytes, size_t len)
{
	StringInfoData out;

	initStringInfo(&out);
	df_mime_file(&out, type, name, bytes, len);
	return out.data;
}

static void
test_files(void)
{
	char bytes[100];
	const char *out;

	is(file("a/b", NULL, "\0\xFF", 2),
	   "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n"
	   "Content-Disposition: attachment\r\n\r\nAP8=\r\n",
	   "a file without a name");
	is(file("a/b", "x \"y\" \\.z", "", 0),
	   "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n"
	   "Content-Disposition: attachment;\r\n filename=\"x \\\"y\\\" \\\\.z\"\r\n\r\n",
	   "quotes in a name, and no bytes");
	is(file("a/b", "\xC3\xA4 1.z", "a", 1),
	   "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n"
	   "Content-Disposition: attachment;\r\n filename*=UTF-8''%C3%A4%201.z\r\n\r\nYQ==\r\n",
	   "a name that is not ASCII");
	memset(bytes, 0, sizeof(bytes));
	out = file("a/b", NULL, bytes, sizeof(bytes));
	ok(is_well_formed(out, 76), "long files have short lines", out);
}

int
main(void)
{
	test_headers();
	test_files();
	test_mailboxes();
	test_bodies();
	test_dates();
	ok(df_mime_value_problem("a\nb") != NULL && df_mime_value_problem("a\x7F") != NULL &&
		   df_mime_value_problem("\xC3\xBC") == NULL,
	   "values of headers", "");
	ok(df_mime_name_problem("X:") != NULL && df_mime_name_problem("") != NULL &&
		   df_mime_name_problem("X y") != NULL && df_mime_name_problem("X\xC3\xBC") != NULL &&
		   df_mime_name_problem("X-Y_z") == NULL,
	   "names of headers", "");
	return done_testing();
}
