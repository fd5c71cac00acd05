/*
 * compat.h
 *	  What differs between PostgreSQL 14 and 18, and nothing else.
 *
 * Wrappers have the newest signature.  No project header is included here and
 * no other file looks at PG_VERSION_NUM.
 */
#ifndef DF_COMPAT_H
#define DF_COMPAT_H

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "dataflows supports PostgreSQL 14 to 18"
#endif

#endif							/* DF_COMPAT_H */
