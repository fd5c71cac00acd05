/*
 * http/address_filter.h
 *	  Which addresses a request may go to.
 */
#ifndef DF_HTTP_ADDRESS_FILTER_H
#define DF_HTTP_ADDRESS_FILTER_H

#include <sys/socket.h>

/* NULL if the address is a public one, else a word for what it is ("private") */
extern const char *df_policy_blocks(const struct sockaddr *address);

/* the same for an address in text, as libcurl reports that of a connection */
extern const char *df_policy_blocks_text(const char *address);

#endif /* DF_HTTP_ADDRESS_FILTER_H */
