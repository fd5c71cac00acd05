/*
 * test/unit/http/gzip.h
 *	  Answers that are compressed, made by hand: the tests need no zlib.
 */
#ifndef UNIT_GZIP_H
#define UNIT_GZIP_H

#include "postgres.h"

extern size_t make_bomb(char *to, int copies);
extern size_t make_gzip(char *to, const char *text);

#endif
