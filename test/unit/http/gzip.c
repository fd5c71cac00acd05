/*
 * test/unit/http/gzip.c
 *	  Answers that are compressed, made by hand: the tests need no zlib.
 *
 * Runs in the server that the tests of src/http fork; writes into the caller's buffer,
 * which must be large enough, and never fails.
 */
#include "postgres.h"

#include "http/gzip.h"

typedef struct Bits
{
	char *to;
	uint32 held;
	int n;
} Bits;

static void
put_bit(Bits *bits, int bit)
{
	bits->held |= bit << bits->n++;
	if (bits->n == 8)
	{
		*bits->to++ = (char) bits->held;
		bits->held = 0;
		bits->n = 0;
	}
}

/* Huffman codes go most significant bit first */
static void
put_code(Bits *bits, int code, int len)
{
	while (len-- > 0)
		put_bit(bits, (code >> len) & 1);
}

static const char gzip_header[10] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";

/* A fixed-Huffman block: one zero byte and then copies of it, 258 at a time, 13 bits each. */
size_t
make_bomb(char *to, int copies)
{
	Bits bits = {to + sizeof(gzip_header)};

	memcpy(to, gzip_header, sizeof(gzip_header));
	put_bit(&bits, 1);
	put_bit(&bits, 1);
	put_bit(&bits, 0);
	put_code(&bits, 0x30, 8);
	while (copies-- > 0)
	{
		put_code(&bits, 0xC5, 8);
		put_code(&bits, 0, 5);
	}
	put_code(&bits, 0, 7);
	put_code(&bits, 0, 7);
	return bits.to - to;
}

static void
put_le32(char *to, uint32 value)
{
	int i;

	for (i = 0; i < 4; i++)
		to[i] = (char) (value >> (8 * i));
}

/* The text in one stored block, with a right checksum. */
size_t
make_gzip(char *to, const char *text)
{
	size_t len = strlen(text);
	uint32 crc = 0xFFFFFFFF;
	size_t i;
	int k;

	for (i = 0; i < len; i++)
	{
		crc ^= (unsigned char) text[i];
		for (k = 0; k < 8; k++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	memcpy(to, gzip_header, 10);
	to[10] = 1;
	put_le32(to + 11, (uint32) len | ~(uint32) len << 16);
	memcpy(to + 15, text, len);
	put_le32(to + 15 + len, ~crc);
	put_le32(to + 19 + len, (uint32) len);
	return len + 23;
}
