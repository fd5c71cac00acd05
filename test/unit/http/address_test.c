/*
 * test/unit/http/address_test.c
 *	  Tests of src/http: addresses that are not public are not asked.
 *
 * An ordinary program with the small server beside it; prints TAP.
 *
 * sources: test/unit/tap.c test/unit/http/ask.c test/unit/http/server.c test/unit/http/gzip.c
 * sources: src/http src/shared/header.c
 */
#include "postgres.h"

#include "http/address_filter.h"
#include "http/ask.h"
#include "http/server.h"
#include "tap.h"

static void
check_private(const char *host)
{
	DfHttpRequest request = request_for("GET", "/plain");
	DfHttpResult *result;
	char url[256];

	snprintf(url, sizeof(url), "http://%s:%d/plain", host, server_port);
	request.url = url;
	request.allow_private = false;
	seen->requests = 0;
	result = ask(&request);
	expect_fate(result, DF_FATE_REFUSED, 0, "not public");
	EXPECT(seen->requests == 0, "a request was sent");
	df_http_free(result);
	end_test(url);
}

static void
test_private(void)
{
	DfHttpRequest request = request_for("GET", "/plain");
	DfHttpResult *result;

	check_private("localhost");
	check_private("127.1");
	check_private("2130706433");
	check_private("0x7f.0.0.1");
	check_private("0");
	check_private("10.1.2.3");
	check_private("169.254.169.254");
	check_private("[::1]");
	check_private("[::ffff:127.0.0.1]");
	check_private("[64:ff9b::7f00:1]");
	check_private("[fd00::1]");

	result = ask(&request);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	df_http_free(result);
	seen->requests = 0;
	seen->connections = 0;
	request.allow_private = false;
	result = ask(&request);
	expect_fate(result, DF_FATE_REFUSED, 0, "not public (loopback)");
	EXPECT(seen->requests == 0 && seen->connections == 0, "a request was sent");
	df_http_free(result);
	end_test("a connection that somebody else left open is judged too");
}

static void
check_policy(const char *address, const char *what)
{
	const char *found = df_policy_blocks_text(address);

	EXPECT((found == NULL) == (what == NULL) && (found == NULL || strcmp(found, what) == 0),
		   "%s is %s", address, found == NULL ? "public" : found);
}

static void
test_policy(void)
{
	check_policy("8.8.8.8", NULL);
	check_policy("9.255.255.255", NULL);
	check_policy("11.0.0.0", NULL);
	check_policy("100.63.255.255", NULL);
	check_policy("100.64.0.1", "private");
	check_policy("100.127.255.255", "private");
	check_policy("100.128.0.0", NULL);
	check_policy("172.15.255.255", NULL);
	check_policy("172.31.255.255", "private");
	check_policy("172.32.0.0", NULL);
	check_policy("192.168.255.1", "private");
	check_policy("169.254.169.254", "link-local");
	check_policy("0.1.2.3", "unspecified");
	check_policy("127.255.0.1", "loopback");
	check_policy("224.0.0.1", "multicast");
	check_policy("255.255.255.255", "reserved");
	check_policy("2606:4700::1111", NULL);
	check_policy("::", "unspecified");
	check_policy("::1", "loopback");
	check_policy("::2", "unspecified");
	check_policy("fc00::1", "private");
	check_policy("fdff::1", "private");
	check_policy("fe00::1", NULL);
	check_policy("fe80::1", "link-local");
	check_policy("febf::1", "link-local");
	check_policy("ff02::1", "multicast");
	check_policy("::ffff:10.0.0.1", "private");
	check_policy("::ffff:8.8.8.8", NULL);
	check_policy("64:ff9b::a00:1", "private");
	check_policy("64:ff9b::808:808", NULL);
	check_policy("64:ff9b:1::808:808", "private");
	check_policy("2002:a00:1::1", "private");
	check_policy("2001::1", "reserved");
	check_policy("fe80::1%eth0", "not an internet address");
	check_policy("", "not an internet address");
	check_policy(NULL, "not an internet address");
	end_test("address policy");
}

int
main(void)
{
	begin_http_tests();
	test_private();
	test_policy();
	return end_http_tests();
}
