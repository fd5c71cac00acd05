/*
 * http/address_filter.c
 *	  The addresses that a request may not be sent to.
 *
 * Runs in workers, in callbacks of libcurl's, in no transaction.  Judges the address that a
 * socket is about to be connected to or is connected to, never a name, because the same
 * name may resolve to another address next time.  Judges an IPv6 address that carries an
 * IPv4 address by the latter: otherwise each transition mechanism would be a way around the
 * filter.
 *
 * Must never allocate, raise an error or wait.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "http/address_filter.h"

typedef struct BlockedV4
{
	uint32 network;
	int bits;
	const char *what;
} BlockedV4;

/* IANA's special-purpose registry; the first match names the reason */
static const BlockedV4 blocked_v4[] = {
	{0x00000000, 8, "unspecified"}, /* 0.0.0.0/8, "this host" */
	{0x0A000000, 8, "private"}, /* 10.0.0.0/8 */
	{0x64400000, 10, "private"}, /* 100.64.0.0/10, carrier-grade NAT */
	{0x7F000000, 8, "loopback"}, /* 127.0.0.0/8 */
	{0xA9FE0000, 16, "link-local"}, /* 169.254.0.0/16, cloud metadata */
	{0xAC100000, 12, "private"}, /* 172.16.0.0/12 */
	{0xC0000000, 24, "reserved"}, /* 192.0.0.0/24, protocol assignments */
	{0xC0000200, 24, "reserved"}, /* 192.0.2.0/24, documentation */
	{0xC0A80000, 16, "private"}, /* 192.168.0.0/16 */
	{0xC6120000, 15, "reserved"}, /* 198.18.0.0/15, benchmarks */
	{0xC6336400, 24, "reserved"}, /* 198.51.100.0/24, documentation */
	{0xCB007100, 24, "reserved"}, /* 203.0.113.0/24, documentation */
	{0xE0000000, 4, "multicast"}, /* 224.0.0.0/4 */
	{0xF0000000, 4, "reserved"}, /* 240.0.0.0/4, with the broadcast address */
};

typedef struct BlockedV6
{
	uint8 network[8]; /* the longest prefix here is 64 bits */
	int bits;
	const char *what;
} BlockedV6;

static const BlockedV6 blocked_v6[] = {
	{{0xFC}, 7, "private"}, /* fc00::/7, unique local */
	{{0xFE, 0x80}, 10, "link-local"}, /* fe80::/10 */
	{{0xFE, 0xC0}, 10, "private"}, /* fec0::/10, site-local of old */
	{{0xFF}, 8, "multicast"}, /* ff00::/8 */
	{{0x00, 0x64, 0xFF, 0x9B, 0x00, 0x01}, 48, "private"}, /* 64:ff9b:1::/48, local NAT64 */
	{{0x01, 0x00}, 64, "reserved"}, /* 100::/64, discard */
	{{0x20, 0x01, 0x00, 0x00}, 23, "reserved"}, /* 2001::/23, with Teredo */
	{{0x20, 0x01, 0x0D, 0xB8}, 32, "reserved"}, /* 2001:db8::/32, documentation */
	{{0x5F, 0x00}, 16, "reserved"}, /* 5f00::/16, segment routing */
};

static const char *
judge_v4(uint32 address)
{
	int i;

	for (i = 0; i < (int) lengthof(blocked_v4); i++)
	{
		uint32 mask = 0xFFFFFFFFU << (32 - blocked_v4[i].bits);

		if ((address & mask) == blocked_v4[i].network)
			return blocked_v4[i].what;
	}
	return NULL;
}

static bool
has_prefix(const uint8 *address, const uint8 *prefix, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;

	if (memcmp(address, prefix, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static uint32
v4_at(const uint8 *bytes)
{
	return ((uint32) bytes[0] << 24) | ((uint32) bytes[1] << 16) | ((uint32) bytes[2] << 8) |
		bytes[3];
}

static const char *
judge_v6(const uint8 *address)
{
	static const uint8 zero[16];
	static const uint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	static const uint8 translated[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0};
	static const uint8 nat64[12] = {0x00, 0x64, 0xFF, 0x9B};
	static const uint8 six_to_four[2] = {0x20, 0x02};
	int i;

	if (memcmp(address, zero, 16) == 0)
		return "unspecified";
	if (memcmp(address, zero, 15) == 0 && address[15] == 1)
		return "loopback";
	if (memcmp(address, mapped, 12) == 0 || memcmp(address, translated, 12) == 0 ||
		memcmp(address, nat64, 12) == 0 || memcmp(address, zero, 12) == 0)
		return judge_v4(v4_at(address + 12));
	if (memcmp(address, six_to_four, 2) == 0)
		return judge_v4(v4_at(address + 2));
	for (i = 0; i < (int) lengthof(blocked_v6); i++)
		if (has_prefix(address, blocked_v6[i].network, blocked_v6[i].bits))
			return blocked_v6[i].what;
	return NULL;
}

const char *
df_policy_blocks(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return judge_v4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return judge_v6(((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr);
	return "not an internet address";
}

const char *
df_policy_blocks_text(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (address != NULL && inet_pton(AF_INET, address, &v4) == 1)
		return judge_v4(ntohl(v4.s_addr));
	if (address != NULL && inet_pton(AF_INET6, address, &v6) == 1)
		return judge_v6(v6.s6_addr);
	return "not an internet address";
}

bool
df_policy_is_address(const char *text)
{
	struct in6_addr address; /* large enough for both */

	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}
