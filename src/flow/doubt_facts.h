/*
 * flow/doubt_facts.h
 *	  What the files of the decisions on doubt share; private to them.
 */
#ifndef DF_FLOW_DOUBT_FACTS_H
#define DF_FLOW_DOUBT_FACTS_H

#include "flow/doubt.h"

extern bool df_key_holds(const DfDoubtCase *about, TimestampTz since, bool effect);
/* nothing is said of for how long */
extern bool df_key_is_honoured(const DfDoubtCase *about);
extern bool df_key_is_trusted(const DfDoubtCase *about);
extern bool df_is_another_request(const DfStep *step);
extern bool df_is_harmless(const DfDoubtCase *about);
extern bool df_is_undoing(const DfDoubtCase *about);
extern TimestampTz df_next_probe(const DfDoubtCase *about, int64 retry_after_ms);
extern bool df_asks_for_time(DfFate fate, int status, int64 retry_after_ms);
extern TimestampTz df_asked_until(const DfDoubtCase *about, int64 retry_after_ms);
extern DfDecision df_decision(const DfDoubtCase *about, DfMeaning meaning);
extern int df_event_lose(const DfDoubtCase *about);
extern bool df_is_answer(const DfCame *came);
extern void df_accept_doubt(DfDecision *made);
extern DfVerdict df_doubtful(const DfDoubtCase *about);
extern void df_end_in_doubt(const DfDoubtCase *about, DfVerdict verdict, DfDecision *made);
extern void df_take_new_key(DfDecision *made);
extern bool df_probe_names_step(const DfDoubtCase *about);
extern bool df_was_carried_out(const DfStep *step);
extern bool df_was_answered_doubtfully(const DfStep *step);
extern bool df_is_sent_in_doubt(const DfDoubtCase *about);
extern bool df_looks_for_kept(const DfStep *step);

#endif /* DF_FLOW_DOUBT_FACTS_H */
