/*
 * shared/descriptors.h
 *	  Can this process open more descriptors?
 */
#ifndef DF_DESCRIPTORS_H
#define DF_DESCRIPTORS_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* too few descriptors or too little memory: our problem, not the other side's */
static inline bool
df_errno_is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

/* tries, because libraries often do not say why they could not open one; `any` is open */
static inline bool
df_descriptors_used_up(int any)
{
	int fd = fcntl(any, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return df_errno_is_shortage(errno);
	close(fd);
	return false;
}

#endif /* DF_DESCRIPTORS_H */
