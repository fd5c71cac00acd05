/*
 * http/exchange.c
 *	  One exchange: a block of memory with copies of everything that is sent.
 *
 * Runs in workers, in no transaction.  An exchange is one block of memory: the struct, then
 * copies of everything that is sent, list nodes of headers included.  So a request costs one
 * malloc, and one explicit_bzero wipes its secrets.  Must never raise an error and never palloc.
 */
#include "postgres.h"

#include "http/exchange.h"

DfExchange *
df_exchange_new(const DfHttpRequest *request, size_t arena_size)
{
	DfExchange *exchange = malloc(offsetof(DfExchange, arena) + arena_size);

	if (exchange == NULL)
		return NULL;
	memset(exchange, 0, offsetof(DfExchange, arena));
	exchange->arena_size = arena_size;
	df_response_init(&exchange->response, request->max_body);
	exchange->timeout_ms = request->timeout_ms;
	exchange->connect_timeout_ms = request->connect_timeout_ms;
	exchange->allow_private = request->allow_private;
	exchange->by_proxy = request->proxy != NULL;
	exchange->by_unix_socket = request->unix_socket != NULL;
	return exchange;
}

void *
df_exchange_take(DfExchange *exchange, size_t len)
{
	char *taken = exchange->arena + exchange->arena_used;

	exchange->arena_used += MAXALIGN(len);
	Assert(exchange->arena_used <= exchange->arena_size);
	return taken;
}

char *
df_exchange_copy(DfExchange *exchange, const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(df_exchange_take(exchange, len), text, len);
}

size_t
df_exchange_list_size(const char *const *list)
{
	size_t size = 0;
	int n = 1;

	if (list == NULL)
		return 0;
	for (; *list != NULL; list++, n++)
		size += MAXALIGN(strlen(*list) + 1);
	return size + MAXALIGN(n * sizeof(char *));
}

const char *const *
df_exchange_copy_list(DfExchange *exchange, const char *const *list)
{
	const char **copy;
	int n = 0;

	if (list == NULL)
		return NULL;
	while (list[n] != NULL)
		n++;
	copy = df_exchange_take(exchange, (n + 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
		copy[i] = df_exchange_copy(exchange, list[i]);
	copy[n] = NULL;
	return copy;
}

void
df_exchange_free(DfExchange *exchange)
{
	df_response_free(&exchange->response);
	explicit_bzero(exchange->arena, exchange->arena_used);
	free(exchange);
}
