/*
 * ingress/strict.h
 *	  Is the head of a request one that can be read in one way only?
 */
#ifndef DF_STRICT_H
#define DF_STRICT_H

struct MHD_Connection;

/*
 * what libmicrohttpd says of a request line; where the target began, and how long it was before
 * it was decoded
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
 * a path and maybe a query, as they came; nothing that some readers take for an end or for
 * something else
 */
extern bool df_strict_target_is_plain(const char *target);

/*
 * NULL if it is, else a constant JSON document that says why not; *chunked = the body comes in
 * chunks
 */
extern const char *df_strict_problem(struct MHD_Connection *connection, const DfRequestLine *line,
									 bool *chunked);

#endif /* DF_STRICT_H */
