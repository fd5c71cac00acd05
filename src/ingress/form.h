/*
 * ingress/form.h
 *	  Bodies of forms.
 */
#ifndef DF_FORM_H
#define DF_FORM_H

#include "utils/jsonb.h"

/* "a=1&b=x%20y" as an object of strings; a repeated name gives an array; changes `text` */
extern Jsonb *df_form_parse(char *text);

#endif /* DF_FORM_H */
