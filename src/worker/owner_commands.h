/*
 * worker/owner_commands.h
 *	  Commands about roles that own workflows.
 */
#ifndef DF_OWNER_COMMANDS_H
#define DF_OWNER_COMMANDS_H

#include "nodes/nodes.h"

/* before a command: refuses it if live runs would lose their owner, or what the owner has */
extern void df_owner_command_check(Node *command);

/* after a command: what a renamed role owns has its new name */
extern void df_owner_command_done(Node *command);

#endif /* DF_OWNER_COMMANDS_H */
