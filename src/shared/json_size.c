/*
 * shared/json_size.c
 *	  The length of a jsonb's text.
 *
 * Runs in every process, in any transaction and role; allocates memory, nothing else.
 * A number of a few bytes in jsonb may have 150,000 characters of text, so that half a
 * megabyte may be 8 GB long.  So the text is measured number by number: never render
 * it to find out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_bswap.h"
#include "shared/json_size.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_text_size);

/* decimal digits in a digit of numeric_send(), whose base is 10,000 */
#define DECIMALS 4

static int16
field_of(const char *bytes, int i)
{
	uint16 raw;

	memcpy(&raw, bytes + i * sizeof(raw), sizeof(raw));
	return (int16) pg_ntoh16(raw);
}

/* numeric_send() returns only the stored digits, however large scale and exponent are */
static size_t
number_size(Numeric number)
{
	bytea *sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, NumericGetDatum(number)));
	const char *fields = VARDATA(sent);
	int ndigits = field_of(fields, 0);
	int weight = field_of(fields, 1);
	bool negative = field_of(fields, 2) != 0;
	int scale = (uint16) field_of(fields, 3);
	size_t size = (negative ? 1 : 0) + (scale > 0 ? 1 + scale : 0);

	if (ndigits == 0 || weight < 0)
		size += 1;
	else
	{
		int first = field_of(fields, 4);

		size += weight * DECIMALS + (first >= 1000 ? 4 : first >= 100 ? 3
										 : first >= 10                ? 2
																	  : 1);
	}
	pfree(sent);
	return size;
}

/* with its quotes, as escape_json() writes it */
static size_t
string_size(const char *text, int len)
{
	size_t size = len + 2;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
			size += 1;
		else if (c < ' ')
			size += 5;
	}
	return size;
}

static size_t
scalar_size(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return string_size(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return number_size(value->val.numeric);
		case jbvBool:
			return value->val.boolean ? 4 : 5;
		default:
			return 4; /* null */
	}
}

/* brackets, and separators between n members, as JsonbToCString() writes them */
static size_t
punctuation(int n)
{
	return 2 + 2 * Max(n - 1, 0);
}

size_t
df_jsonb_text_size(const Jsonb *value, size_t most)
{
	JsonbIterator *it = JsonbIteratorInit((JsonbContainer *) &value->root);
	JsonbIteratorToken token;
	JsonbValue item;
	size_t size = 0;
	int depth = 0;

	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				size += item.val.array.rawScalar ? 0 : punctuation(item.val.array.nElems);
				depth++;
				break;
			case WJB_BEGIN_OBJECT:
				size += punctuation(item.val.object.nPairs);
				depth++;
				break;
			case WJB_KEY:
				size += scalar_size(&item) + 2;
				break;
			case WJB_VALUE:
			case WJB_ELEM:
				size += scalar_size(&item);
				break;
			default:
				depth--;
				break;
		}
		if (size > most || depth > DF_MAX_JSON_DEPTH)
			return Max(size, most + 1);
	}
	return size;
}

/* _text_size(value jsonb, most int) */
Datum
dataflows_text_size(PG_FUNCTION_ARGS)
{
	Jsonb *value = PG_GETARG_JSONB_P(0);
	int32 most = PG_GETARG_INT32(1);

	PG_RETURN_INT64((int64) df_jsonb_text_size(value, Max(most, 0)));
}
