/* The requests of the protocol, without its transport. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/* The client asked the process to end. */
extern bool quit_requested;

/* The answer to a request; never NULL. */
json_t *command_answer(json_t *request);
