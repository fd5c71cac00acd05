/*
 * ingress/strict.h
 *	  Refuses requests whose head can be read in more than one way.
 */
#ifndef DF_STRICT_H
#define DF_STRICT_H

struct MHD_Connection;

/*
 * A request line as libmicrohttpd reports it; where the target began, and its length before
 * it was decoded.
 */
typedef struct DfRequestLine
{
	const char *method;
	const char *target;
	size_t target_len;
	bool target_is_plain;
	const char *version;
} DfRequestLine;

/*
 * Whether it is a path with or without a query, without characters that some servers take
 * for an end or a separator.
 */
extern bool df_strict_target_is_plain(const char *target);

/*
 * NULL if it can be read in one way only, else a constant JSON document that says why not;
 * *chunked = the body is sent in chunks.
 */
extern const char *df_strict_problem(struct MHD_Connection *connection, const DfRequestLine *line,
									 bool *chunked);

#endif /* DF_STRICT_H */
