/*
 * test/unit/http/ask.h
 *	  Requests of the tests of src/http to the small server, and what is expected of them.
 */
#ifndef UNIT_ASK_H
#define UNIT_ASK_H

#include "http/client.h"

/* main() of a test lies between these; the latter returns the exit code */
extern void begin_http_tests(void);
extern int end_http_tests(void);

extern const char *url_of(const char *path);
extern const char *https_url_of(const char *path);
extern DfHttpRequest request_for(const char *method, const char *path);
extern DfHttpResult *await_result(void);
extern DfHttpResult *ask(const DfHttpRequest *request);
extern DfHttpResult *get(const char *path);
extern void poll_for(int ms);

extern const char *fate_name(DfFate fate);
extern const char *body_of(const DfHttpResult *result);
extern void expect_fate(const DfHttpResult *result, DfFate fate, int status, const char *error);
extern void expect_said(const DfHttpResult *result, const char *text, bool said);
extern void check_get(const char *path, DfFate fate, int status, const char *error);
extern void check_body(const char *path, const char *body);
extern void check_refused(DfHttpRequest request, const char *error);

#endif
