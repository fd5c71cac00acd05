/*
 * types/truth.h
 *	  Three-valued logic: what is unknown is neither true nor false.
 *
 * Nobody's: constants.
 */
#ifndef DF_TYPES_TRUTH_H
#define DF_TYPES_TRUTH_H

typedef enum DfTruth
{
	DF_FALSE,
	DF_TRUE,
	DF_UNKNOWN
} DfTruth;

#endif /* DF_TYPES_TRUTH_H */
