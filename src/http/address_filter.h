/*
 * http/address_filter.h
 *	  The addresses that a request may not be sent to.
 */
#ifndef DF_HTTP_ADDRESS_FILTER_H
#define DF_HTTP_ADDRESS_FILTER_H

#include <sys/socket.h>

/* NULL if the address is public, else a word for its kind ("private") */
extern const char *df_policy_blocks(const struct sockaddr *address);

/* the same for text, as libcurl reports the address of a connection */
/* false = it is a name */
extern bool df_policy_is_address(const char *text);

extern const char *df_policy_blocks_text(const char *address);

#endif /* DF_HTTP_ADDRESS_FILTER_H */
