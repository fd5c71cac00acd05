/*
 * test/unit/http/url_test.c
 *	  Tests of src/http/url.c: paths that are joined to bases stay at their host.
 *
 * An ordinary program that prints TAP.
 *
 * sources: test/unit/tap.c src/http/url.c src/http/url_secrets.c
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "postgres.h"

#include <curl/curl.h>
#include <dlfcn.h>

#include "http/url.h"
#include "tap.h"

/* how many URLs libcurl was given to read */
static int nread = 0;

/* stands before libcurl's own, and counts */
CURLUcode
curl_url_set(CURLU *url, CURLUPart part, const char *text, unsigned int flags)
{
	CURLUcode (*real)(CURLU *, CURLUPart, const char *, unsigned int) =
		dlsym(RTLD_NEXT, "curl_url_set");

	nread++;
	return real(url, part, text, flags);
}

static void
check_join(const char *base, const char *path, const char *expected)
{
	const char *why = "";
	char *url = df_url_join(base, path, &why);

	EXPECT(url != NULL && strcmp(url, expected) == 0 && why == NULL, "%s: %s", path,
		   url != NULL ? url : why);
	pfree(url);
}

static void
check_join_refused(const char *path, const char *reason)
{
	const char *why = NULL;
	char *url = df_url_join("https://api.example.com/v1", path, &why);

	EXPECT(url == NULL, "%s became %s", path, url);
	EXPECT(why != NULL && strstr(why, reason) != NULL, "%s: %s", path,
		   why == NULL ? "no reason" : why);
	pfree(url);
}

static void
test_join(void)
{
	check_join("https://api.example.com/v1", "/users/1?x=y",
			   "https://api.example.com/v1/users/1?x=y");
	check_join("https://api.example.com/v1/", "/users", "https://api.example.com/v1/users");
	check_join("https://api.example.com", "/users/a@b.com",
			   "https://api.example.com/users/a@b.com");
	check_join("https://api.example.com/v1", "", "https://api.example.com/v1");
	check_join("https://api.example.com", "?a=..&b=/../", "https://api.example.com?a=..&b=/../");
	check_join("http://[::1]:8080/a", "/b:c;d=e,f/...", "http://[::1]:8080/a/b:c;d=e,f/...");
	check_join("https://api.example.com", "/a b/\"x\"/m\xC3\xBCller",
			   "https://api.example.com/a%20b/%22x%22/m%C3%BCller");
	check_join("https://api.example.com", "/a%2Fb?n=%0A&expand[]=c",
			   "https://api.example.com/a%2Fb?n=%0A&expand[]=c");
	check_join("https://api.example.com", "/http://x/y", "https://api.example.com/http://x/y");
	end_test("url: paths are joined");

	check_join_refused("http://evil.example/", "a scheme");
	check_join_refused("javascript:alert", "a scheme");
	check_join_refused("//evil.example/", "two slashes");
	check_join_refused("@evil.example/", "user information");
	check_join_refused(":pw@evil.example/", "user information");
	check_join_refused(".evil.example/", "begin with a slash");
	check_join_refused("users", "begin with a slash");
	check_join_refused(":8080/", "begin with a slash");
	end_test("url: another host, scheme, port or user is refused");

	check_join_refused("/a#b", "fragment");
	check_join_refused("/a\r\nX: y", "control character");
	check_join_refused("/a\x7F", "control character");
	check_join_refused("/a\tb", "control character");
	check_join_refused("/a\\b", "backslash");
	check_join_refused("/\\evil.example", "backslash");
	check_join_refused("/a%2", "percent sign");
	check_join_refused("/a%zz", "percent sign");
	end_test("url: fragments, control characters and backslashes are refused");

	check_join_refused("/..", "dot segment");
	check_join_refused("/.", "dot segment");
	check_join_refused("/a/../b", "dot segment");
	check_join_refused("/a/./b", "dot segment");
	check_join_refused("/a/..?x=y", "dot segment");
	check_join_refused("/a/%2e%2E/b", "dot segment");
	check_join_refused("/a/.%2e/b", "dot segment");
	check_join_refused("/a%2f..%2fb", "dot segment");
	check_join_refused("/a%5c..%5cb", "dot segment");
	check_join_refused("/a/%252e%252e/b", "dot segment");
	check_join_refused("/a/..;x/b", "dot segment");
	end_test("url: dot segments are refused, encoded ones too");
}

static int
reads_of_join(const char *base, const char *path)
{
	int before = nread;
	const char *why;
	char *url = df_url_join(base, path, &why);

	EXPECT(url != NULL, "%s%s: %s", base, path, url == NULL ? why : "");
	pfree(url);
	return nread - before;
}

static void
test_join_again(void)
{
	const char *why;

	EXPECT(reads_of_join("https://again.example.com/v1", "/users") == 2, "the first one");
	EXPECT(reads_of_join("https://again.example.com/v1", "/users/7?a=b%20c") == 0, "plain");
	EXPECT(reads_of_join("https://again.example.com/v2/", "/users") == 0, "another base");
	end_test("url: libcurl reads a path of plain characters at a known origin only once");

	EXPECT(reads_of_join("https://again.example.com/v1", "/users/a@b") == 2, "@");
	EXPECT(reads_of_join("https://again.example.com/v1", "/users/a:b") == 2, ":");
	EXPECT(reads_of_join("https://again.example.com", "?a=b") == 2, "no slash");
	end_test("url: libcurl reads what could be taken for a part of the host");

	EXPECT(reads_of_join("http://again.example.com", "/users") == 2, "scheme");
	EXPECT(reads_of_join("https://again.example.com:8443", "/users") == 2, "port");
	EXPECT(reads_of_join("https://again.example.co", "/users") == 2, "shorter host");
	EXPECT(reads_of_join("https://again.example.com.evil", "/users") == 2, "longer host");
	EXPECT(df_url_join("https://me@again.example.com", "/users", &why) == NULL, "user");
	EXPECT(df_url_join("https://me@again.example.com", "/users", &why) == NULL, "user again");
	EXPECT(df_url_join("https://again.example.com:99999", "/users", &why) == NULL, "bad port");
	EXPECT(df_url_join("https://again.example.com:99999", "/users", &why) == NULL, "bad again");
	end_test("url: another origin is not a known one");

	for (int i = 0; i < 40; i++)
	{
		char base[64];

		snprintf(base, sizeof(base), "https://h%d.example.com", i);
		EXPECT(reads_of_join(base, "/users") == 2, "%s", base);
		EXPECT(reads_of_join(base, "/users") == 0, "%s again", base);
	}
	EXPECT(reads_of_join("https://again.example.com/v1", "/users") == 2, "forgotten");
	end_test("url: of many origins the oldest are forgotten");
}

static void
check_base(const char *base, const char *reason)
{
	const char *problem = df_url_base_problem(base);

	EXPECT((problem == NULL) == (reason == NULL) &&
			   (problem == NULL || strstr(problem, reason) != NULL),
		   "%s: %s", base, problem == NULL ? "accepted" : problem);
}

static void
test_base(void)
{
	check_base("https://api.example.com", NULL);
	check_base("http://127.0.0.1:8080/v1/", NULL);
	check_base("http://[::1]/", NULL);
	check_base("HTTPS://Api.Example.com/x", NULL);
	check_base("", "not a URL");
	check_base("api.example.com", "not a URL");
	check_base("/v1", "not a URL");
	check_base("https://", "not a URL");
	check_base("https://api.example.com:99999", "not a URL");
	check_base("ftp://api.example.com", "scheme");
	check_base("file:///etc/passwd", "scheme");
	check_base("https://me:pw@api.example.com", "user mapping");
	check_base("https://me@api.example.com", "user mapping");
	check_base("https://api.example.com/?a=b", "query");
	check_base("https://api.example.com/#a", "fragment");
	check_base("https://api.example.com/a/../b", "dot segment");
	check_base("https://api.example.com/a\nb", "control character");
	check_base("https:\\\\api.example.com", "backslash");
	check_base("https://api.example.com/a b", "space");
	end_test("url: bases");
}

static void
test_schemes(void)
{
	EXPECT(df_url_scheme("http://a") == DF_URL_HTTP, "http");
	EXPECT(df_url_scheme("HTTPS://a") == DF_URL_HTTPS, "HTTPS");
	EXPECT(df_url_scheme("smtp://a") == DF_URL_SMTP, "smtp");
	EXPECT(df_url_scheme("sMtPs://a:465") == DF_URL_SMTPS, "sMtPs");
	EXPECT(df_url_scheme("smtp:a") == DF_URL_OTHER, "no //");
	EXPECT(df_url_scheme("ftp://smtp://a") == DF_URL_OTHER, "ftp");
	EXPECT(df_url_scheme("httpss://a") == DF_URL_OTHER, "httpss");
	EXPECT(df_url_scheme("") == DF_URL_OTHER, "nothing");
	EXPECT(df_url_is_mail("smtps://a") && !df_url_is_mail("https://a"), "is_mail");
	end_test("url: schemes");
}

static void
test_encode(void)
{
	char *encoded = df_url_encode("a-Z_0.9~ /?#%&=+:@\n\xC3\xBC");

	EXPECT(strcmp(encoded, "a-Z_0.9~%20%2F%3F%23%25%26%3D%2B%3A%40%0A%C3%BC") == 0, "%s", encoded);
	pfree(encoded);
	encoded = df_url_encode("");
	EXPECT(encoded[0] == '\0', "%s", encoded);
	pfree(encoded);
	end_test("url: percent-encoding");
}

static void
check_below(const char *base, const char *url, const char *expected)
{
	const char *why = NULL;
	char *path = df_url_below(base, "/users?x=/y", url, &why);

	EXPECT(path != NULL && strcmp(path, expected) == 0 && why == NULL, "%s: %s", url,
		   path != NULL ? path : why);
}

static void
check_not_below(const char *url, const char *reason)
{
	const char *why = NULL;
	char *path = df_url_below("https://api.example.com/v1", "/users", url, &why);

	EXPECT(path == NULL, "%s became %s", url, path);
	EXPECT(why != NULL && strstr(why, reason) != NULL, "%s: %s", url,
		   why == NULL ? "no reason" : why);
}

static void
test_below(void)
{
	const char *why;

	check_below("https://api.example.com/v1", "https://api.example.com/v1/users/7", "/users/7");
	check_below("https://api.example.com/v1/", "HTTPS://API.example.com:443/v1/users/7?a=%2F..",
				"/users/7?a=%2F..");
	check_below("https://api.example.com/v1", "/v1/users/a%40b;c", "/users/a%40b;c");
	check_below("https://api.example.com", "/users/7/", "/users/7/");
	check_below("https://api.example.com/v1//", "users/7?u=http://x/", "/users/7?u=http://x/");
	check_below("http://[::1]:8080", "http://[::1]:8080/a?b", "/a?b");
	check_below("https://api.example.com", "/users/50%25", "/users/50%25");
	end_test("url: the path of a URL of the system");

	check_not_below("https://evil.example/v1/users/7", "host");
	check_not_below("http://api.example.com/v1/users/7", "host");
	check_not_below("https://api.example.com:8443/v1/users/7", "host");
	check_not_below("https://me@api.example.com/v1/users/7", "host");
	check_not_below("https://api.example.com@evil.example/v1/users/7", "host");
	check_not_below("//api.example.com/v1/users/7", "two slashes");
	check_not_below("javascript:alert(1)/", "scheme");
	check_not_below("urn:ietf:7", "scheme");
	end_test("url: one of another origin is refused");

	check_not_below("/users/7", "below");
	check_not_below("/v10/users/7", "below");
	check_not_below("https://api.example.com/users/7", "below");
	check_not_below("https://api.example.com", "below");
	check_not_below("https://api.example.com/v1", "below");
	check_not_below("https://api.example.com/v1/", "nothing below");
	check_not_below("/v1//?x=y", "nothing below");
	check_not_below("/v1//evil.example/", "two slashes");
	check_not_below("/v1/users/../../admin", "dot segment");
	check_not_below("users/../../admin", "dot segment");
	check_not_below("/v1/users/%2e%2e/admin", "encoded");
	check_not_below("/v1/users%2Fadmin", "encoded");
	check_not_below("/v1/users%5cadmin", "encoded");
	check_not_below("/v1/users%252Fadmin", "encoded");
	check_not_below("/v1/users/%25252e./x", "encoded");
	check_not_below("/v1/users/7#x", "fragment");
	check_not_below("/v1/users/\\7", "backslash");
	check_not_below("/v1/users/7\r\nX: y", "control character");
	end_test("url: one that leaves the base, or hides what it names, is refused");

	check_not_below("7", "no slash");
	check_not_below("", "no slash");
	check_not_below("?id=/7", "no slash");
	EXPECT(df_url_below("https://a", NULL, "users/7", &why) == NULL, "relative to nothing");
	end_test("url: what is no URL is refused");
}

static void
check_last(const char *url, const char *expected)
{
	char *last = df_url_last_segment(url);

	EXPECT((last == NULL) == (expected == NULL) &&
			   (last == NULL || strcmp(last, expected) == 0),
		   "%s: %s", url, last != NULL ? last : "none");
}

static void
test_last(void)
{
	check_last("https://api.example.com/users/7", "7");
	check_last("/users/7/?a=b/c#d/e", "7");
	check_last("users/a%40b%2Fc", "a@b/c");
	check_last("7", "7");
	check_last("https://api.example.com", NULL);
	check_last("https://api.example.com/?a=/b", NULL);
	check_last("", NULL);
	check_last("/users/a%00b", NULL);
	check_last("/users/a%2", NULL);
	end_test("url: the last segment");
}

int
main(void)
{
	test_join();
	test_join_again();
	test_base();
	test_schemes();
	test_encode();
	test_below();
	test_last();
	return done_testing();
}
