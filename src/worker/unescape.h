/*
 * worker/unescape.h
 *	  Characters as JSON, URLs and HTML may write them.
 */
#ifndef DF_UNESCAPE_H
#define DF_UNESCAPE_H

/* escapes within escapes that are understood: "\u0026amp;" is two */
#define DF_ESCAPE_LAYERS 2

/* characters of the longest escape that is understood, within another */
#define DF_LONGEST_ESCAPE 72

/*
 * An escape of that many layers at the beginning of a text: the bytes that it
 * stands for, their number in *n.  Returns its length, 0 = there is none.
 */
extern size_t df_unescape(const char *text, size_t len, int layers, unsigned char bytes[4], int *n);

#endif /* DF_UNESCAPE_H */
