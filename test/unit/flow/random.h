/*
 * test/unit/flow/random.h
 *	  Numbers for the tests of src/flow: the same on every machine and in every run (xorshift64*).
 */
#ifndef UNIT_RANDOM_H
#define UNIT_RANDOM_H

#include "postgres.h"

static uint64 random_state = UINT64CONST(0x9E3779B97F4A7C15);

static inline uint32
next_random(uint32 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32) ((random_state * UINT64CONST(0x2545F4914F6CDD1D)) >> 33) % below;
}

static inline double
next_jitter(void)
{
	return (double) next_random(1000000) / 1000000.0;
}

#endif
