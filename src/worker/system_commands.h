/*
 * worker/system_commands.h
 *	  Commands after which the options of a system and of a user mapping may not go together.
 */
#ifndef DF_SYSTEM_COMMANDS_H
#define DF_SYSTEM_COMMANDS_H

#include "nodes/parsenodes.h"

/* after the command: warns of mappings with which a system cannot be used */
extern void df_system_command_done(Node *command);

#endif /* DF_SYSTEM_COMMANDS_H */
